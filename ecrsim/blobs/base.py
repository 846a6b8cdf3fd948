"""The protocol of every blob store, its errors, and the names that it accepts.

A blob is immutable and named by the digest of its bytes (`sha256:<64 hex>`, `sha512:<128 hex>`: the algorithms that the
OCI image specification registers). It enters through an upload session: create, append as often as needed, digest,
commit. The size of a session is its offset; there is no second record of it that could disagree.

Two things are easy to get wrong from outside:

- A malformed name names nothing. Looking one up answers "not there" rather than failing, whatever a URL contained; only
  creating something under a malformed name is an error (ValueError).
- Many servers report a body that the client cut off as an ordinary end of file. Pass the Content-Length as `length`, or
  a half-sent layer looks whole until its digest is checked.
"""

import contextlib
import errno
import io
import re
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self

# Bytes of a body that are handed on at a time. Three such pieces of it are held at most: one being hashed, one being
# written and one being received.
CHUNK = 512 * 1024

_DIGESTS = {"sha256": re.compile("[0-9a-f]{64}"), "sha512": re.compile("[0-9a-f]{128}")}
_UPLOAD_ID = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,127}")

ALGORITHMS = tuple(_DIGESTS)


class BlobStoreError(Exception):
    """Whatever a blob store raises on purpose."""


class BlobNotFound(BlobStoreError):
    """No blob has this digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"no blob {digest}")
        self.digest = digest


class UploadNotFound(BlobStoreError):
    """No upload session has this id: never created, committed, or discarded."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"no upload session {upload_id}")
        self.upload_id = upload_id


class UploadBusy(BlobStoreError):
    """Another request, in this process or in another one, is working on the session."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload session {upload_id} is in use by another request")
        self.upload_id = upload_id


class OffsetMismatch(BlobStoreError):
    """The caller's offset is not where the session ends. `expected` is where it ends, in bytes."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"the session continues at byte {expected}")
        self.expected = expected


class TooLarge(BlobStoreError):
    """The session would grow beyond `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class ShortBody(BlobStoreError):
    """The source ended before `length`. The `received` bytes of this body were kept, to be continued after."""

    def __init__(self, received: int) -> None:
        super().__init__(f"the body ended after {received} bytes")
        self.received = received


class LongBody(BlobStoreError):
    """More bytes came than the `length` that was promised."""

    def __init__(self, length: int) -> None:
        super().__init__(f"the body goes on after {length} bytes")
        self.length = length


class DigestMismatch(BlobStoreError):
    """The bytes do not have the digest that was claimed. `computed` is what they have: {algorithm: digest}."""

    def __init__(self, computed: dict[str, str]) -> None:
        super().__init__(f"the bytes have the digest {', '.join(computed.values())}")
        self.computed = computed


class StoreUnwritable(BlobStoreError):
    """The store cannot take bytes (disk full, read-only, not permitted, failing). `reason` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BlobDamaged(BlobStoreError, OSError):
    """An encrypted file is not what was written: altered, cut off, or another's. No byte of the place was given."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)


class StreamedBlob(io.RawIOBase):
    """An open blob whose bytes no descriptor has: a server cannot send it by itself, but has to read it."""


class ByteSource(Protocol):
    """A source of bytes: a WSGI input, an open file, a BytesIO."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""


class Sink(Protocol):
    """Where the body of one request goes: onto the end of an upload session, which nobody else touches meanwhile.

    Its methods may be called in any thread, one at a time. Each of them may wait for the disk, none for the client.
    As a context it is closed at the end; after an error it keeps what was written.
    """

    def write(self, piece: bytes) -> None:
        """Take the bytes that follow. The caller does not change them.

        Raises TooLarge, LongBody and StoreUnwritable, after which the sink is closed and the session is as it was
        before it.
        """

    def close(self) -> int:
        """End it. The session's new size. ShortBody when fewer bytes came than were promised: those are kept.

        Closing again does nothing.
        """

    def abandon(self) -> None:
        """End it, and leave the session as it was before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What the body ended with matters more than that it is short.
        with contextlib.suppress(*(() if error is None else (BlobStoreError,))):
            self.close()


class BlobStore(Protocol):
    """Bytes by digest, and upload sessions.

    Safe for threads and, where the bytes outlive the process, for several processes over the same place. Writing raises
    StoreUnwritable when the store cannot take the bytes; what was there before is then as it was.
    """

    #: Whether it waits for a network: nobody then asks it who may not wait, and whoever reads may get StoreUnwritable.
    waits: bool = False

    def stat(self, digest: str) -> int | None:
        """The size of the blob in bytes, or None."""

    def learn(self, digests: Collection[str]) -> None:
        """Learn the sizes of blobs at once, before a transaction in which `stat` is asked for them.

        Nothing where asking costs nothing.
        """
        return

    def open(self, digest: str, first: int = 0, length: int | None = None) -> BinaryIO:
        """The blob, open for reading; the caller closes it. Raises BlobNotFound.

        Whoever wants only `length` bytes from `first` on says so, and seeks there: a store that sends them over a
        network sends no others.

        Deleting the blob does not disturb those who have it open.
        """

    def path(self, digest: str) -> str | None:
        """The file that holds the blob; None when there is no blob, or the store has no files."""

    def place(self, digest: str) -> str | None:
        """What `places.py: open_place` opens, in another process too: `path`, or more where that is not enough."""
        return self.path(digest)

    def url(self, digest: str, seconds: int) -> str | None:
        """A URL from which anybody gets the bytes, ranges of them too, for so long. None where the store has none."""
        return None

    def modified_at(self, digest: str) -> float | None:
        """When the blob was last stored or stored again, in epoch seconds; None when there is no blob."""

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        """(digest, size, modified at) of every blob, in no order; what comes or goes meanwhile may be missed."""

    def delete(self, digest: str) -> bool:
        """Remove the blob. Whether there was one."""

    def set_aside(self, digest: str, blob: BinaryIO) -> bool:
        """Move a blob that is wrong to where nobody takes it for one. A store of files keeps it there, for people.

        False when `blob`, which is open, is not any more what lies under this digest: it was replaced or is gone.
        """

    def put(self, digest: str, data: bytes) -> None:
        """Store bytes that are in memory already. What is there under that name is replaced: it may be damaged.

        Raises DigestMismatch, and ValueError for a malformed digest.
        """

    def create_upload(self, upload_id: str) -> None:
        """Begin an empty session. Ids are never used twice.

        Raises FileExistsError for an id in use, ValueError for one that is not `[A-Za-z0-9][A-Za-z0-9_-]*`.
        """

    def upload_size(self, upload_id: str) -> int | None:
        """The bytes received so far, those of a request still in flight included; None when there is no session."""

    def read_upload(self, upload_id: str, digest: str | None = None) -> BinaryIO:
        """The session's bytes so far, open for reading from their start; the caller closes it. Raises UploadNotFound.

        Empty where there are no more yet: what is added later can be read later, also once the session is a blob or
        gone. Nobody is kept from adding. `digest`: of the blob that it is to become, where the rest is read when
        another node has made it one.
        """

    def receive(
        self, upload_id: str, offset: int | None = None, limit: int | None = None, length: int | None = None
    ) -> Sink:
        """Begin to add a body to the end of the session, which is busy until the sink is closed.

        `offset`: where the caller believes that the session ends. `length`: the bytes that the body promises. `limit`:
        the largest size that the session may reach.

        Raises UploadNotFound, UploadBusy, OffsetMismatch, and TooLarge where `length` says that it will be.
        """

    def digest_upload(self, upload_id: str, algorithm: str = "sha256") -> tuple[str, int]:
        """(digest, size) of the session's bytes. Costs nothing for sha256 where this store saw all of them arrive.

        Raises UploadNotFound, UploadBusy, and ValueError for an algorithm that is not in ALGORITHMS.
        """

    def sync(self, upload_id: str) -> None:
        """Bring the session's bytes to where the durability policy wants them; call it before `commit`.

        Raises UploadNotFound, UploadBusy, and StoreUnwritable, after which the session is gone: its bytes are unknown.
        """

    def commit(self, upload_id: str, digest: str, keep: bool = False) -> None:
        """Turn the session into the blob `digest`, at once and as a whole. Quick enough for an open transaction.

        A blob that is there already is replaced at once by these bytes, which are known to be right: it may be damaged.
        Readers that have it open are not disturbed, and committing again does no harm. Call `digest_upload` first: it
        takes whatever time the digest costs. The digest is held against the bytes once more here, which is free after
        that unless somebody appended in between.

        `keep` leaves the session, where the store can, to be discarded once the transaction is through: when that
        fails, or the process dies before, the session can be committed again. It takes no more bytes (OffsetMismatch).

        Raises UploadNotFound, UploadBusy, DigestMismatch, and ValueError for a malformed digest.
        """

    def discard(self, upload_id: str) -> bool:
        """Remove the session and its bytes. Whether there was one.

        Raises UploadBusy: a session is never taken from under the request that fills it, however old it looks.
        """

    def uploads(self) -> Iterator[tuple[str, int, float]]:
        """(upload id, size, modified at) of every session, in no order."""

    def check(self) -> None:
        """Raise StoreUnwritable, with a reason, if bytes cannot be stored now."""

    def close(self) -> None:
        """Let go what the store holds of the process: threads, connections."""
        return

    def append(
        self,
        upload_id: str,
        source: ByteSource,
        offset: int | None = None,
        limit: int | None = None,
        length: int | None = None,
    ) -> int:
        """`receive`, with a body that is read here, in constant memory; no more of it than `length`.

        Returns the session's new size. Raises what `receive` and the sink raise, and ShortBody or whatever the source
        raises, after which the bytes that arrived are kept.
        """
        with self.receive(upload_id, offset, limit, length) as sink:
            left = length
            while left != 0 and (piece := source.read(CHUNK if left is None else min(CHUNK, left))):
                sink.write(piece)
                left = None if left is None else left - len(piece)
            return sink.close()

    def append_bytes(self, upload_id: str, data: bytes, offset: int | None = None, limit: int | None = None) -> int:
        """`append` for bytes that are in memory already."""
        return self.append(upload_id, io.BytesIO(data), offset=offset, limit=limit, length=len(data))


class KeyedStore(BlobStore, Protocol):
    """A store that is encrypted: what it holds is one blob for each key space. Its own names say both (`names.py`)."""

    def within(self, space: str, key: bytes) -> BlobStore:
        """The blobs of one space, by their digests. `space`: 32 hexadecimal digits; `key`: 32 bytes."""

    def open_file(self, name: str) -> BinaryIO:
        """The file of a blob as it lies there, encrypted. Raises BlobNotFound."""


def split_digest(digest: str) -> tuple[str, str] | None:
    """(algorithm, hex) of a well-formed digest of a known algorithm, else None."""
    algorithm, _, hexadecimal = digest.partition(":")
    pattern = _DIGESTS.get(algorithm)
    return (algorithm, hexadecimal) if pattern and pattern.fullmatch(hexadecimal) else None


def digest_to_store(digest: str) -> tuple[str, str]:
    """`split_digest` for a digest that something is about to be stored under: ValueError when malformed."""
    parts = split_digest(digest)
    if parts is None:
        raise ValueError(f"not a digest: {digest!r}")
    return parts


def known_algorithm(algorithm: str) -> str:
    """The algorithm itself; ValueError when blobs are not named by it."""
    if algorithm not in _DIGESTS:
        raise ValueError(f"not one of {', '.join(ALGORITHMS)}: {algorithm!r}")
    return algorithm


def is_upload_id(upload_id: str) -> bool:
    """Whether a session may have this id: it must be a file name that leads nowhere else."""
    return _UPLOAD_ID.fullmatch(upload_id) is not None


def upload_id_to_create(upload_id: str) -> str:
    """The id itself; ValueError when no session may have it."""
    if not is_upload_id(upload_id):
        raise ValueError(f"not an upload id: {upload_id!r}")
    return upload_id


class Tally:
    """A count of a sink's bytes, under the rules of `BlobStore.receive`: `size` is where its session ended before."""

    def __init__(self, size: int, limit: int | None, length: int | None) -> None:
        if limit is not None and size + (length or 0) > limit:
            raise TooLarge(limit)
        self.received = 0
        self._room = None if limit is None else limit - size
        self._limit, self._length = limit, length

    def count(self, piece: bytes) -> None:
        """TooLarge or LongBody where the piece is one too many."""
        self.received += len(piece)
        if self._length is not None and self.received > self._length:
            raise LongBody(self._length)
        if self._room is not None and self.received > self._room:
            raise TooLarge(self._limit or 0)

    def end(self) -> None:
        """ShortBody where fewer bytes came than were promised."""
        if self._length is not None and self.received < self._length:
            raise ShortBody(self.received)
