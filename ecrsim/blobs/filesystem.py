"""Blobs as files, shared by any number of threads and processes.

    <root>/
    ├── blobs/
    │   └── sha256/                 the algorithm
    │       └── ab/                 the first two characters of the hex
    │           └── abcdef…         the blob: its bytes and nothing else
    ├── damaged/
    │   └── sha256-abcdef…          what was found to be another's bytes, kept for people
    └── uploads/
        ├── 5f0c…                   an upload session: its size is its offset
        └── put-<process>-<n>       bytes on their way into `blobs/` without a session

Everything that enters `blobs/` does so by a rename from `uploads/`, so that a blob is whole or absent whatever happens.
Both must be on one file system. What a killed process leaves behind lies in `uploads/`: sessions can be resumed; the
rest (`put-…`) shows up in `uploads()` as well and goes with the sessions that nobody continued.

Whoever looks at the bytes of a session holds an exclusive flock on its file. Hence a session seen under the lock only
ever grows, its beginning never changes, and a running hash that covers that beginning stays good even when other
processes append in between: what is missing is read from the file when the digest is asked for.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ecrsim.blobs.base import (
    ALGORITHMS,
    CHUNK,
    BlobNotFound,
    BlobStore,
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
from ecrsim.blobs.disk import Disk, is_readable, locked, names_in, status_of
from ecrsim.blobs.running import HashingAside, RunningHash, RunningHashes


class FilesystemStore(BlobStore):
    """The store under `root`, which is made if need be (StoreUnwritable if it cannot be).

    `durability` is `process` or `power`; `disk` says what they mean.
    """

    def __init__(self, root: str | os.PathLike[str], durability: str = "process") -> None:
        self._lie_in(Disk(Path(root).absolute(), durability), "blobs", RunningHashes())
        self._disk.make(self._blobs, self._uploads)

    def _lie_in(self, disk: Disk, blobs: str, hashes: RunningHashes) -> None:
        self._disk, self._hashes = disk, hashes
        self._blobs, self._uploads = disk.root / blobs, disk.root / "uploads"
        self._text = str(self._blobs)

    # Blobs

    def stat(self, digest: str) -> int | None:
        status = self._status(digest)
        return status.st_size if status else None

    def open(self, digest: str, first: int = 0, length: int | None = None) -> BinaryIO:
        parts = split_digest(digest)
        if parts is None:
            raise BlobNotFound(digest)
        place = self._place(*parts)
        try:
            # A pipe in its place must not hold up who opens it.
            fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise BlobNotFound(digest) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a file", str(place))
        return os.fdopen(fd, "rb", buffering=0)

    def path(self, digest: str) -> str | None:
        parts = split_digest(digest)
        return str(self._place(*parts)) if parts and self._status(digest) else None

    def modified_at(self, digest: str) -> float | None:
        status = self._status(digest)
        return status.st_mtime if status else None

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        for algorithm in ALGORITHMS:
            for fan_out in names_in(self._blobs / algorithm):
                for name in names_in(self._blobs / algorithm / fan_out):
                    digest = f"{algorithm}:{name}"
                    status = self._status(digest)
                    if status:
                        yield digest, status.st_size, status.st_mtime

    def delete(self, digest: str) -> bool:
        parts = split_digest(digest)
        return parts is not None and self._disk.remove(self._place(*parts))

    def set_aside(self, digest: str, blob: BinaryIO) -> bool:
        algorithm, hexadecimal = digest_to_store(digest)
        place, status = self._place(algorithm, hexadecimal), self._status(digest)
        if status is None or not os.path.samestat(status, os.fstat(blob.fileno())):
            return False
        self._disk.install(place, self._disk.root / "damaged" / f"{algorithm}-{hexadecimal}")
        return True

    def put(self, digest: str, data: bytes) -> None:
        algorithm, hexadecimal = digest_to_store(digest)
        computed = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        if computed != digest:
            raise DigestMismatch({algorithm: computed})
        with self._disk.aside(self._uploads, data) as finished:
            self._disk.install(finished, self._place(algorithm, hexadecimal))

    # Upload sessions

    def create_upload(self, upload_id: str) -> None:
        with self._disk.create(self._uploads / upload_id_to_create(upload_id)):
            pass

    def upload_size(self, upload_id: str) -> int | None:
        with self._disk.writing():
            status = status_of(self._uploads / upload_id) if is_upload_id(upload_id) else None
        return status.st_size if status else None

    def read_upload(self, upload_id: str, digest: str | None = None) -> BinaryIO:
        if not is_upload_id(upload_id):
            raise UploadNotFound(upload_id)
        try:
            # No buffer: what was empty a moment ago may not be any more.
            return (self._uploads / upload_id).open("rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise UploadNotFound(upload_id) from None

    def receive(
        self, upload_id: str, offset: int | None = None, limit: int | None = None, length: int | None = None
    ) -> Sink:
        with contextlib.ExitStack() as held:
            fd = held.enter_context(self._session(upload_id))
            status = os.fstat(fd)
            start = status.st_size
            # A file of two names is a blob already, whose bytes are never touched.
            if status.st_nlink > 1 or (offset is not None and offset != start):
                raise OffsetMismatch(start)
            tally = Tally(start, limit, length)
            running = self._hashes.copy(upload_id, "sha256")
            # Where there are bytes that the hash has not seen, `digest_upload` will catch up with all of them.
            hashing = HashingAside(running) if running.covers == start else None
            held.callback(self._keep_hash, upload_id, fd, running)
            return SessionSink(self._disk, fd, start, tally, hashing, held.pop_all())

    def _keep_hash(self, upload_id: str, fd: int, running: RunningHash) -> None:
        if running.covers == self._length(fd, upload_id):
            self._hashes.keep(upload_id, running)

    def _length(self, fd: int, _upload_id: str) -> int:
        """Bytes of an open session."""
        return os.fstat(fd).st_size

    def digest_upload(self, upload_id: str, algorithm: str = "sha256") -> tuple[str, int]:
        known_algorithm(algorithm)
        with self._session(upload_id) as fd:
            return self._digest(fd, upload_id, algorithm)

    def sync(self, upload_id: str) -> None:
        with self._session(upload_id) as fd:
            try:
                self._disk.flush(fd)
            except StoreUnwritable:
                # The kernel reports lost pages once and then takes them for clean: asking again would succeed wrongly.
                self._disk.forget(self._uploads / upload_id)
                raise

    def commit(self, upload_id: str, digest: str, keep: bool = False) -> None:
        algorithm, hexadecimal = digest_to_store(digest)
        target = self._place(algorithm, hexadecimal)
        try:
            with self._session(upload_id) as fd:
                computed, _ = self._digest(fd, upload_id, algorithm)
                if computed != digest:
                    raise DigestMismatch({algorithm: computed})
                self._put_in_place(fd, upload_id, digest, target, keep=keep)
        except UploadNotFound:
            # A second attempt at a transaction whose first one got as far as this.
            if not self._disk.renew(target):
                raise
        if not keep:
            self._hashes.drop(upload_id)

    def _put_in_place(self, _fd: int, upload_id: str, _digest: str, target: Path, *, keep: bool) -> None:
        """Make the file of an open session the blob at `target`, which may be damaged: these bytes are right."""
        path = self._uploads / upload_id
        if not (keep and self._disk.link(path, target)):
            self._disk.install(path, target)
            # A rename leaves both names of one file, as they are after a commit that kept the session.
            self._disk.remove(path)

    def discard(self, upload_id: str) -> bool:
        try:
            with self._session(upload_id):
                removed = self._disk.remove(self._uploads / upload_id)
        except UploadNotFound:
            return False
        self._hashes.drop(upload_id)
        return removed

    def uploads(self) -> Iterator[tuple[str, int, float]]:
        for name in names_in(self._uploads):
            status = status_of(self._uploads / name) if is_upload_id(name) else None
            if status:
                yield name, status.st_size, status.st_mtime

    # The store as a whole

    def check(self) -> None:
        self._disk.make(self._blobs, self._uploads)
        with self._disk.aside(self._uploads, bytes(4096)) as finished:
            # One name for all: what a killed process leaves there does not pile up.
            in_place = self._blobs / "writable"
            self._disk.install(finished, in_place)
            self._disk.remove(in_place)

    # Files

    def _place(self, algorithm: str, hexadecimal: str) -> Path:
        return self._blobs / algorithm / hexadecimal[:2] / hexadecimal

    def _status(self, digest: str) -> os.stat_result | None:
        parts = split_digest(digest)
        if parts is None:
            return None
        algorithm, hexadecimal = parts
        place = f"{self._text}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"
        try:
            status = status_of(place)
            return status if status and is_readable(place, status) else None
        except OSError:
            # A disk that fails, a directory that may not be entered: bytes that cannot be had are not promised.
            return None

    @contextlib.contextmanager
    def _session(self, upload_id: str) -> Iterator[int]:
        """The session's file, open for reading and appending and locked against every other request."""
        if not is_upload_id(upload_id):
            raise UploadNotFound(upload_id)
        path = self._uploads / upload_id
        try:
            with self._disk.writing():
                fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise UploadNotFound(upload_id) from None
        with contextlib.ExitStack() as held:
            held.callback(self._disk.close, fd)
            try:
                held.enter_context(locked(fd, path))
            except BlockingIOError:
                raise UploadBusy(upload_id) from None
            except FileNotFoundError:
                raise UploadNotFound(upload_id) from None
            yield fd

    def _digest(self, fd: int, upload_id: str, algorithm: str) -> tuple[str, int]:
        """(digest, size) of an open session; reads what the running hash has not seen, which is nothing as a rule."""
        running = self._hashes.copy(upload_id, algorithm)
        if running.covers != self._length(fd, upload_id):
            self._catch_up(fd, upload_id, running)
            self._hashes.keep(upload_id, running)
        return running.digest(), running.covers

    def _catch_up(self, fd: int, _upload_id: str, running: RunningHash) -> None:
        """Hash what a running hash has not seen of an open session."""
        while chunk := os.pread(fd, CHUNK, running.covers):
            running.update(chunk)


class SessionSink(Sink):
    """Onto the end of an open session's file: each piece is hashed in another thread while this one writes it."""

    def __init__(
        self,
        disk: Disk,
        fd: int,
        start: int,
        tally: Tally,
        hashing: HashingAside | None,
        held: contextlib.ExitStack,
    ) -> None:
        self._disk, self._fd, self._start = disk, fd, start
        self._tally, self._hashing, self._held = tally, hashing, held
        self._closed = False

    def write(self, piece: bytes) -> None:
        try:
            self._tally.count(piece)
            if self._hashing is not None:
                self._hashing.update(piece)
            self._store(piece)
        except BaseException:
            self.abandon()
            raise

    def close(self) -> int:
        if not self._closed:
            try:
                self._store_rest()
            except BaseException:
                self.abandon()
                raise
            self._end()
            self._tally.end()
        return self._start + self._tally.received

    def abandon(self) -> None:
        if not self._closed:
            try:
                self._go_back()
            finally:
                self._end()

    def _store(self, piece: bytes) -> None:
        self._disk.write(self._fd, piece)

    def _store_rest(self) -> None:
        """What was not written yet."""

    def _go_back(self) -> None:
        # It also frees the space: a full disk stays usable for those who need less of it.
        with self._disk.writing():
            os.ftruncate(self._fd, self._start)

    def _end(self) -> None:
        self._closed = True
        with self._held:
            if self._hashing is not None:
                self._hashing.finish()
