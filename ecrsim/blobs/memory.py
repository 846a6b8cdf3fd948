"""Blobs in a dictionary, for tests and for small registries that need not outlive the process.

It behaves as the other stores do, but that an opened blob has no `fileno`, that no blob has a path, and that a session
costs twice its size for the moment of its commit. Other processes see nothing of it.
"""

import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from ecrsim.blobs.base import (
    BlobNotFound,
    BlobStore,
    DigestMismatch,
    LongBody,
    OffsetMismatch,
    Sink,
    Tally,
    TooLarge,
    UploadBusy,
    UploadNotFound,
    digest_to_store,
    known_algorithm,
    upload_id_to_create,
)


class MemoryStore(BlobStore):
    """An empty store. `now` gives modification times, in epoch seconds: there is no file system to take them from."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._blobs: dict[str, _Blob] = {}
        self._sessions: dict[str, _Session] = {}
        # Guards the dictionaries; a session that is being worked on is guarded by its own lock.
        self._lock = threading.Lock()

    # Blobs

    def stat(self, digest: str) -> int | None:
        blob = self._blobs.get(digest)
        return len(blob.data) if blob else None

    def open(self, digest: str, first: int = 0, length: int | None = None) -> BinaryIO:
        blob = self._blobs.get(digest)
        if blob is None:
            raise BlobNotFound(digest)
        return io.BytesIO(blob.data)

    def path(self, digest: str) -> str | None:
        return None

    def modified_at(self, digest: str) -> float | None:
        blob = self._blobs.get(digest)
        return blob.modified_at if blob else None

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        with self._lock:
            blobs = list(self._blobs.items())
        for digest, blob in blobs:
            yield digest, len(blob.data), blob.modified_at

    def delete(self, digest: str) -> bool:
        with self._lock:
            return self._blobs.pop(digest, None) is not None

    def set_aside(self, digest: str, blob: BinaryIO) -> bool:
        blob.seek(0)
        with self._lock:
            found = self._blobs.get(digest)
            if found is None or found.data != blob.read():
                return False
            del self._blobs[digest]
            return True

    def put(self, digest: str, data: bytes) -> None:
        algorithm, _ = digest_to_store(digest)
        computed = _digest(algorithm, data)
        if computed != digest:
            raise DigestMismatch({algorithm: computed})
        with self._lock:
            self._blobs[digest] = _Blob(data, self._now())

    # Upload sessions

    def create_upload(self, upload_id: str) -> None:
        upload_id_to_create(upload_id)
        with self._lock:
            if upload_id in self._sessions:
                raise FileExistsError(upload_id)
            self._sessions[upload_id] = _Session(self._now())

    def upload_size(self, upload_id: str) -> int | None:
        session = self._sessions.get(upload_id)
        return len(session.data) if session else None

    def read_upload(self, upload_id: str, digest: str | None = None) -> BinaryIO:
        session = self._sessions.get(upload_id)
        if session is None:
            raise UploadNotFound(upload_id)
        return cast(BinaryIO, _Growing(session.data))

    def receive(
        self, upload_id: str, offset: int | None = None, limit: int | None = None, length: int | None = None
    ) -> Sink:
        with contextlib.ExitStack() as held:
            session = held.enter_context(self._session(upload_id))
            start = len(session.data)
            if session.is_blob or (offset is not None and offset != start):
                raise OffsetMismatch(start)
            tally = Tally(start, limit, length)
            return _MemorySink(session, tally, self._now, held.pop_all())

    def digest_upload(self, upload_id: str, algorithm: str = "sha256") -> tuple[str, int]:
        known_algorithm(algorithm)
        with self._session(upload_id) as session:
            return session.digest(algorithm), len(session.data)

    def sync(self, upload_id: str) -> None:
        with self._session(upload_id):
            pass  # memory is as durable as it gets

    def commit(self, upload_id: str, digest: str, keep: bool = False) -> None:
        algorithm, _ = digest_to_store(digest)
        try:
            with self._session(upload_id) as session:
                computed = session.digest(algorithm)
                if computed != digest:
                    raise DigestMismatch({algorithm: computed})
                blob = _Blob(bytes(session.data), self._now())
                with self._lock:
                    self._blobs[digest] = blob
                    session.is_blob = True
                    if not keep:
                        del self._sessions[upload_id]
        except UploadNotFound:
            with self._lock:
                if digest not in self._blobs:
                    raise
                self._blobs[digest].modified_at = self._now()

    def discard(self, upload_id: str) -> bool:
        try:
            with self._session(upload_id), self._lock:
                return self._sessions.pop(upload_id, None) is not None
        except UploadNotFound:
            return False

    def uploads(self) -> Iterator[tuple[str, int, float]]:
        with self._lock:
            sessions = list(self._sessions.items())
        for upload_id, session in sessions:
            yield upload_id, len(session.data), session.modified_at

    # The store as a whole

    def check(self) -> None:
        """Memory takes bytes until the process dies of it."""

    @contextlib.contextmanager
    def _session(self, upload_id: str) -> Iterator["_Session"]:
        """The session, locked against every other request."""
        session = self._sessions.get(upload_id)
        if session is None:
            raise UploadNotFound(upload_id)
        if not session.lock.acquire(blocking=False):
            raise UploadBusy(upload_id)
        try:
            # It may have been committed or discarded between finding and locking.
            if self._sessions.get(upload_id) is not session:
                raise UploadNotFound(upload_id)
            yield session
        finally:
            session.lock.release()


class _MemorySink(Sink):
    def __init__(self, session: "_Session", tally: Tally, now: Callable[[], float], held: contextlib.ExitStack) -> None:
        self._session, self._tally, self._now, self._held = session, tally, now, held
        self._start = len(session.data)
        self._closed = False

    def write(self, piece: bytes) -> None:
        try:
            self._tally.count(piece)
        except (TooLarge, LongBody):
            self.abandon()
            raise
        self._session.data += piece

    def close(self) -> int:
        if not self._closed:
            self._end()
            self._tally.end()
        return self._start + self._tally.received

    def abandon(self) -> None:
        if not self._closed:
            del self._session.data[self._start :]
            self._end()

    def _end(self) -> None:
        self._closed = True
        self._session.modified_at = self._now()
        self._held.close()


class _Blob:
    def __init__(self, data: bytes, modified_at: float) -> None:
        self.data = data
        self.modified_at = modified_at


class _Session:
    def __init__(self, modified_at: float) -> None:
        self.data = bytearray()
        self.modified_at = modified_at
        self.is_blob = False
        self.lock = threading.Lock()
        self._digests: dict[str, tuple[int, str]] = {}

    def digest(self, algorithm: str) -> str:
        """The digest of all bytes; known for nothing while no byte has been added since it was asked for last."""
        size, digest = self._digests.get(algorithm, (-1, ""))
        if size != len(self.data):
            digest = _digest(algorithm, self.data)
            self._digests[algorithm] = (len(self.data), digest)
        return digest


class _Growing(io.RawIOBase):
    """The bytes of a session, as far as they go."""

    def __init__(self, data: bytearray) -> None:
        self._data, self._position = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a session that grows is read from its start")
        self._position = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        piece = bytes(self._data[self._position : self._position + len(buffer)])
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _digest(algorithm: str, data: bytes | bytearray) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
