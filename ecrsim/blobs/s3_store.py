"""Blobs in S3, shared by any number of nodes.

    <prefix>/
    ├── blobs/sha256/ab/abcdef…   the blob, as a directory has it (`filesystem.py`)
    ├── damaged/sha256-abcdef…    what was found to be another's bytes, kept for people
    ├── uploads/<upload id>/…     an upload session (`s3_session.py`)
    └── store.json                whose store it is (`s3_identity.py`)

Everything enters `blobs/` by one request that S3 does as a whole, after the digest was checked: a copy within S3, or
the completion of a multipart upload whose parts S3 copies from a session's pieces. Bytes pass through ecrsim once.

Readers are never on the loop of the door: `may_wait` raises there, and the work is done in a thread. A blob whose size
was learnt a moment ago is known without asking: what takes blobs out looks at the rows that name them first, and a
push looks at the rows as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import wait
from typing import BinaryIO, cast

from ecrsim.blobs.base import (
    ALGORITHMS,
    CHUNK,
    BlobNotFound,
    BlobStore,
    BlobStoreError,
    DigestMismatch,
    OffsetMismatch,
    Sink,
    StoreUnwritable,
    Tally,
    UploadBusy,
    UploadNotFound,
    digest_to_store,
    is_upload_id,
    known_algorithm,
    split_digest,
    upload_id_to_create,
)
from ecrsim.blobs.running import HashingAside, RunningHashes
from ecrsim.blobs.s3 import Bucket, Missing, Overtaken, Stored
from ecrsim.blobs.s3_reading import OpenAnswers, S3File, S3Upload, same
from ecrsim.blobs.s3_session import LONGEST, S3Sessions, SessionContent, piece
from ecrsim.blobs.s3_sink import Beat, S3Sink

#: Seconds for which a size is known without asking, and how many are.
_KNOWN_FOR, _KNOWN = 15.0, 20_000
#: Seconds after which a multipart upload that nobody has completed is one that nobody will.
_ABANDONED = 3600
#: The ids under which such uploads are listed among the sessions.
_MULTIPART = "multipart-"


class S3Store(BlobStore):
    """The store in a bucket. `new_token` gives texts that nobody has had before, on any node."""

    waits = True

    def __init__(self, bucket: Bucket, new_token: Callable[[], str]) -> None:
        self.bucket, self._new_token = bucket, new_token
        self._sessions = S3Sessions(bucket, new_token)
        self._answers = OpenAnswers()
        self._hashes = RunningHashes()
        self._beat = Beat()
        self._lock = threading.Lock()
        self._held: dict[str, S3Sink | None] = {}
        self._changes = 0
        self._readers: dict[str, weakref.WeakSet[S3Upload]] = {}
        self._ended: set[str] = set()
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    # Blobs

    def stat(self, digest: str) -> int | None:
        known = self._known.get(digest)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = self._head(digest)
        return None if found is None else found.size

    def learn(self, digests: Collection[str]) -> None:
        now = time.monotonic()
        asked = {digest for digest in digests if self._known.get(digest, (0, 0.0))[1] < now + _KNOWN_FOR / 2}
        if len(asked) > 1:
            self.bucket.may_wait()
            wait([self.bucket.pool().submit(self._head, digest) for digest in asked])
        elif asked:
            self._head(asked.pop())

    def _head(self, digest: str) -> Stored | None:
        parts = split_digest(digest)
        if parts is None:
            return None
        try:
            found = self.bucket.head(_place(*parts))
        except Missing:
            self._forget(digest)
            return None
        self._know(digest, found.size)
        return found

    def _know(self, digest: str, size: int) -> None:
        with self._lock:
            self._known[digest] = size, time.monotonic() + _KNOWN_FOR
            self._known.move_to_end(digest)
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)

    def _forget(self, digest: str) -> None:
        with self._lock:
            self._known.pop(digest, None)

    def open(self, digest: str, first: int = 0, length: int | None = None) -> BinaryIO:
        parts = split_digest(digest)
        if parts is None:
            raise BlobNotFound(digest)
        try:
            return cast(BinaryIO, S3File(self.bucket, _place(*parts), self._answers, first, length))
        except Missing:
            self._forget(digest)
            raise BlobNotFound(digest) from None

    def path(self, digest: str) -> str | None:
        return None

    def url(self, digest: str, seconds: int) -> str | None:
        parts = split_digest(digest)
        return None if parts is None else self.bucket.presigned(_place(*parts), seconds)

    def modified_at(self, digest: str) -> float | None:
        found = self._head(digest)
        return None if found is None else found.modified_at

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        for algorithm in ALGORITHMS:
            for found in self.bucket.objects(f"blobs/{algorithm}/"):
                digest = f"{algorithm}:{found.key.rpartition('/')[2]}"
                parts = split_digest(digest)
                if parts is not None and found.key == _place(*parts):
                    yield digest, found.size, found.modified_at

    def delete(self, digest: str) -> bool:
        if self._head(digest) is None:
            return False
        self._forget(digest)
        self.bucket.delete(_place(*digest_to_store(digest)))
        return True

    def set_aside(self, digest: str, blob: BinaryIO) -> bool:
        algorithm, hexadecimal = digest_to_store(digest)
        found = self._head(digest)
        if found is None or not same(found, cast(S3File, blob).stored):
            return False
        self.bucket.copy(found, f"damaged/{algorithm}-{hexadecimal}")
        self._forget(digest)
        self.bucket.delete(found.key)
        return True

    def put(self, digest: str, data: bytes) -> None:
        algorithm, hexadecimal = digest_to_store(digest)
        computed = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        if computed != digest:
            raise DigestMismatch({algorithm: computed})
        self.bucket.put(_place(algorithm, hexadecimal), data)
        self._know(digest, len(data))

    # Upload sessions

    def create_upload(self, upload_id: str) -> None:
        self._sessions.create(upload_id_to_create(upload_id))

    def upload_size(self, upload_id: str) -> int | None:
        if not is_upload_id(upload_id):
            return None
        sink = self._held.get(upload_id)
        if sink is not None:
            return sink.size
        found = self._sessions.find(upload_id)
        return None if found is None else found.content.size

    def read_upload(self, upload_id: str, digest: str | None = None) -> BinaryIO:
        if not is_upload_id(upload_id) or self._sessions.find(upload_id) is None:
            raise UploadNotFound(upload_id)

        def find() -> SessionContent | None:
            found = self._sessions.find(upload_id)
            return None if found is None else found.content

        def look(offset: int, size: int) -> tuple[bytes | None, SessionContent | None, int]:
            sink = self._held.get(upload_id)
            if sink is None:
                return None, None, self._changes
            part = sink.part(offset, size)
            return part, sink.content() if part is None else None, self._changes

        blob = None if digest is None else lambda first: self.open(digest, first)
        reader = S3Upload(self.bucket, upload_id, self._answers, look, find, blob, self._reader_closed)
        with self._lock:
            self._readers.setdefault(upload_id, weakref.WeakSet()).add(reader)
        return cast(BinaryIO, reader)

    def _reader_closed(self, reader: S3Upload) -> None:
        """The last one of a session that is over takes its pieces with it."""
        upload_id = reader.upload_id
        with self._lock:
            readers = self._readers.get(upload_id)
            if readers is None:
                return
            readers.discard(reader)
            if readers:
                return
            del self._readers[upload_id]
            is_over = upload_id in self._ended
            self._ended.discard(upload_id)
        if is_over:
            with contextlib.suppress(BlobStoreError):
                self._sessions.discard(upload_id)

    def receive(
        self, upload_id: str, offset: int | None = None, limit: int | None = None, length: int | None = None
    ) -> Sink:
        with contextlib.ExitStack() as held:
            held.enter_context(self._alone(upload_id))
            before = self._sessions.get(upload_id)
            start = before.content.size
            if before.content.is_sealed or (offset is not None and offset != start):
                raise OffsetMismatch(start)
            tally = Tally(start, LONGEST if limit is None else min(limit, LONGEST), length)
            running = self._hashes.copy(upload_id, "sha256")
            # Where there are bytes that the hash has not seen, `digest_upload` will catch up with all of them.
            hashing = HashingAside(running) if running.covers == start else None

            def ended(is_kept: bool) -> None:
                if is_kept and hashing is not None:
                    self._hashes.keep(upload_id, running)
                self._beat.remove(sink)
                rest.close()

            sink = S3Sink(self._sessions, upload_id, before, tally, hashing, ended)
            self._held[upload_id] = sink
            rest = held.pop_all()
        self._beat.add(sink)
        return sink

    def digest_upload(self, upload_id: str, algorithm: str = "sha256") -> tuple[str, int]:
        known_algorithm(algorithm)
        with self._alone(upload_id):
            return self._digest(upload_id, self._sessions.get(upload_id).content, algorithm)

    def _digest(self, upload_id: str, content: SessionContent, algorithm: str) -> tuple[str, int]:
        """Reads what the running hash has not seen, which is nothing where all of it came to this process."""
        running = self._hashes.copy(upload_id, algorithm)
        if running.covers != content.size:
            while (found := content.piece_at(running.covers)) is not None:
                name, first, left = found
                try:
                    file = S3File(self.bucket, piece(upload_id, name), self._answers, first)
                except Missing:
                    raise UploadNotFound(upload_id) from None
                with file:
                    while left and (chunk := file.read(min(CHUNK, left))):
                        running.update(chunk)
                        left -= len(chunk)
            self._hashes.keep(upload_id, running)
        return running.digest(), running.covers

    def sync(self, upload_id: str) -> None:
        with self._alone(upload_id):
            self._sessions.get(upload_id)  # what S3 has acknowledged is as durable as it gets

    def commit(self, upload_id: str, digest: str, keep: bool = False) -> None:
        algorithm, hexadecimal = digest_to_store(digest)
        target = _place(algorithm, hexadecimal)
        try:
            with self._alone(upload_id):
                before = self._sessions.get(upload_id)
                computed, size = self._digest(upload_id, before.content, algorithm)
                if computed != digest:
                    raise DigestMismatch({algorithm: computed})
                if not before.content.is_sealed:
                    # From now on no node adds to it. Who held it, and was killed, holds it no more.
                    self._sessions.write(upload_id, before.content._replace(is_sealed=True, holder=""), before)
                self._join(upload_id, before.content, target)
                self._know(digest, size)
                if not keep:
                    self._drop(upload_id, before.content)
        except UploadNotFound:
            # A second attempt at a transaction whose first one got as far as this.
            found = self._head(digest)
            if found is None:
                raise
            self.bucket.renew(found)

    def _join(self, upload_id: str, content: SessionContent, target: str) -> None:
        """Make one object of the pieces, which is there as a whole or not at all."""
        try:
            match list(content.pieces()):
                case []:
                    self.bucket.put(target, b"")
                case [(name, size)]:
                    self.bucket.copy(Stored(piece(upload_id, name), size, 0), target)
                case pieces:
                    self.bucket.join([(piece(upload_id, name), 0, size) for name, size in pieces], target)
        except Missing:
            # Another node has committed it in the meantime, and discarded it.
            raise UploadNotFound(upload_id) from None

    def discard(self, upload_id: str) -> bool:
        if upload_id.startswith(_MULTIPART):
            return self._abort(upload_id)
        try:
            with self._alone(upload_id):
                found = self._sessions.find(upload_id)
                if found is not None and found.is_held:
                    raise UploadBusy(upload_id)
                self._drop(upload_id, None if found is None else found.content)
                return found is not None
        except UploadNotFound:
            return False

    def _drop(self, upload_id: str, content: SessionContent | None) -> None:
        self._hashes.drop(upload_id)
        with self._lock:
            readers = list(self._readers.get(upload_id, ()))
            if readers:
                self._ended.add(upload_id)
        for reader in readers:
            if content is not None:
                reader.ended(content)
        if readers:
            self._sessions.end(upload_id)
        else:
            self._sessions.discard(upload_id, content)

    def _abort(self, upload_id: str) -> bool:
        for key, multipart_id, begun_at in self.bucket.unfinished():
            if _name(key, multipart_id) == upload_id:
                # By S3's clock, which began it: a commit that is under way is none of those.
                if self.bucket.now() - begun_at < _ABANDONED:
                    raise UploadBusy(upload_id)
                self.bucket.abort(key, multipart_id)
                return True
        return False

    def uploads(self) -> Iterator[tuple[str, int, float]]:
        for upload_id, size, modified_at in self._sessions.all():
            if is_upload_id(upload_id):
                yield upload_id, size, modified_at
        for key, multipart_id, begun_at in self.bucket.unfinished():
            yield _name(key, multipart_id), 0, begun_at

    # The store as a whole

    def check(self) -> None:
        """Two sessions in one state must be told apart, so a server without conditional writes is refused."""
        key = f"writable/{self._new_token()}"
        self.bucket.put(key, b"ecrsim")
        try:
            self.bucket.put(key, b"ecrsim again", only_new=True)
        except Overtaken:
            return
        finally:
            self.bucket.delete(key)
        raise StoreUnwritable(f"{self.bucket.url}: this S3 server ignores If-None-Match, so that nodes cannot share it")

    def close(self) -> None:
        self.bucket.close()

    @contextlib.contextmanager
    def _alone(self, upload_id: str) -> Iterator[None]:
        """Against every other request of this process; those of others are held off by what the session says."""
        if not is_upload_id(upload_id):
            raise UploadNotFound(upload_id)
        with self._lock:
            if upload_id in self._held:
                raise UploadBusy(upload_id)
            self._held[upload_id] = None
        try:
            yield
        finally:
            with self._lock:
                del self._held[upload_id]
                self._changes += 1


def _place(algorithm: str, hexadecimal: str) -> str:
    return f"blobs/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"


def _name(key: str, multipart_id: str) -> str:
    """The id of a multipart upload among the sessions."""
    return _MULTIPART + hashlib.sha256(f"{key}\n{multipart_id}".encode()).hexdigest()[:40]
