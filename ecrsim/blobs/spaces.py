"""The store of one key space: encrypted files, in the form of `framing.py`.

What holds for plain files (`filesystem.py`) holds here: a blob is whole or absent, a session only grows under its lock.
Its size is told by the lengths of its frames. One that was cut off when its writer was killed is not counted, and is
overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ecrsim.blobs.base import (
    CHUNK,
    BlobDamaged,
    BlobNotFound,
    DigestMismatch,
    OffsetMismatch,
    Sink,
    StoreUnwritable,
    Tally,
    UploadNotFound,
    digest_to_store,
    is_upload_id,
    upload_id_to_create,
)
from ecrsim.blobs.disk import Disk, status_of
from ecrsim.blobs.filesystem import FilesystemStore, SessionSink
from ecrsim.blobs.framed import FramedReader, FramedWriter
from ecrsim.blobs.framing import HEADER, FileCipher, Growing, SpaceKey, Uniform, is_blob, size_of_blob
from ecrsim.blobs.places import encrypted_place
from ecrsim.blobs.running import HashingAside, RunningHash, RunningHashes

#: The directory of all spaces.
SPACES = "encrypted"
_KEPT = 1024


class Sessions:
    """Where the frames of sessions lie, of those that this process touched last; found under their locks."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Growing] = OrderedDict()
        self._lock = threading.Lock()

    def copy(self, upload_id: str) -> Growing:
        with self._lock:
            kept = self._kept.get(upload_id)
        return kept.copy() if kept else Growing()

    def keep(self, upload_id: str, frames: Growing) -> None:
        """Keep frames, to which the caller adds no more."""
        with self._lock:
            self._kept[upload_id] = frames
            self._kept.move_to_end(upload_id)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def drop(self, upload_id: str) -> None:
        with self._lock:
            self._kept.pop(upload_id, None)


class SharedFiles(NamedTuple):
    """What all spaces of one store have in common."""

    disk: Disk
    hashes: RunningHashes
    sessions: Sessions


class SpaceFiles(FilesystemStore):
    """The files of one key space, and what can be done with them without its key."""

    def __init__(self, shared: SharedFiles, space: str) -> None:
        self._lie_in(shared.disk, f"{SPACES}/{space}", shared.hashes)
        self._shared = shared

    def stat(self, digest: str) -> int | None:
        status = self._status(digest)
        return size_of_blob(status.st_size) if status else None

    def path(self, digest: str) -> str | None:
        return None

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        for digest, length, modified_at in super().blobs():
            yield digest, size_of_blob(length) or 0, modified_at

    def upload_size(self, upload_id: str) -> int | None:
        if not is_upload_id(upload_id):
            return None
        path = self._uploads / upload_id
        with self._disk.writing():
            status = status_of(path)
            if status is None:
                return None
            frames = self._shared.sessions.copy(upload_id)
            if frames.end < status.st_size:
                try:
                    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    return None
                try:
                    frames.scan(fd, status.st_size)
                finally:
                    os.close(fd)
        return frames.size

    def discard(self, upload_id: str) -> bool:
        removed = super().discard(upload_id)
        self._shared.sessions.drop(upload_id)
        return removed

    def uploads(self) -> Iterator[tuple[str, int, float]]:
        for name, _, modified_at in super().uploads():
            size = self.upload_size(name)
            if size is not None:
                yield name, size, modified_at

    def _frames(self, fd: int, upload_id: str) -> Growing:
        """The frames of a session that is locked."""
        frames = self._shared.sessions.copy(upload_id)
        before = frames.count
        frames.scan(fd, os.fstat(fd).st_size)
        if frames.count != before:
            self._shared.sessions.keep(upload_id, frames.copy())
        return frames

    def _length(self, fd: int, upload_id: str) -> int:
        return self._frames(fd, upload_id).size


class EncryptedSpace(SpaceFiles):
    """The blobs of one key space, by their digests; sessions are those of the whole store."""

    def __init__(self, shared: SharedFiles, key: SpaceKey) -> None:
        super().__init__(shared, key.space)
        self._key = key

    def place(self, digest: str) -> str | None:
        if self.stat(digest) is None:
            return None
        return encrypted_place(self._disk.root, self._key.space, self._key.key, digest)

    # Blobs

    def open(self, digest: str, first: int = 0, length: int | None = None) -> BinaryIO:
        with super().open(digest) as file:
            size = size_of_blob(os.fstat(file.fileno()).st_size)
            if size is None:
                raise BlobDamaged(f"blob {digest} is cut off")
            cipher = self._key.of_blob(file.read(HEADER), digest, size)
            return cast(BinaryIO, FramedReader(os.dup(file.fileno()), cipher, Uniform(size)))

    def put(self, digest: str, data: bytes) -> None:
        algorithm, hexadecimal = digest_to_store(digest)
        computed = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        if computed != digest:
            raise DigestMismatch({algorithm: computed})
        with self._encrypted(digest, len(data), iter((data,))) as finished:
            self._disk.install(finished, self._place(algorithm, hexadecimal))

    @contextlib.contextmanager
    def _encrypted(self, digest: str, size: int, pieces: Iterator[bytes]) -> Iterator[Path]:
        """A finished file of the blob, to be moved away inside the block."""
        with self._disk.unfinished(self._uploads) as (path, fd):
            header, cipher = self._key.new_header()
            self._disk.write(fd, self._key.blob_header(header, cipher, digest, size))
            writer = FramedWriter(self._disk, fd, cipher, Growing())
            for piece in pieces:
                writer.gather(piece)
            writer.finish()
            self._disk.flush(fd)
            yield path

    # Upload sessions

    def create_upload(self, upload_id: str) -> None:
        header, _ = self._key.new_header(upload_id_to_create(upload_id))
        with self._disk.create(self._uploads / upload_id) as fd:
            self._disk.write(fd, header)

    def commit(self, upload_id: str, digest: str, keep: bool = False) -> None:
        super().commit(upload_id, digest, keep)
        if not keep:
            self._shared.sessions.drop(upload_id)

    def read_upload(self, upload_id: str, digest: str | None = None) -> BinaryIO:
        with super().read_upload(upload_id) as file:
            fd = os.dup(file.fileno())
        try:
            cipher, frames = self._cipher(fd, upload_id), Growing()
        except BlobDamaged:
            os.close(fd)
            raise UploadNotFound(upload_id) from None  # who adds to it is told more
        except BaseException:
            os.close(fd)
            raise
        return cast(BinaryIO, FramedReader(fd, cipher, frames, lambda: frames.scan(fd, os.fstat(fd).st_size)))

    def receive(
        self, upload_id: str, offset: int | None = None, limit: int | None = None, length: int | None = None
    ) -> Sink:
        with contextlib.ExitStack() as held:
            fd = held.enter_context(self._session(upload_id))
            cipher, frames = self._cipher(fd, upload_id), self._frames(fd, upload_id)
            status = os.fstat(fd)
            # A file of two names is a blob already, whose bytes are never touched.
            if status.st_nlink > 1 or (offset is not None and offset != frames.size):
                raise OffsetMismatch(frames.size)
            tally = Tally(frames.size, limit, length)
            if status.st_size > frames.end:
                with self._disk.writing():
                    os.ftruncate(fd, frames.end)
            running = self._hashes.copy(upload_id, "sha256")
            hashing = HashingAside(running) if running.covers == frames.size else None
            held.callback(self._keep_hash, upload_id, fd, running)
            writer = FramedWriter(self._disk, fd, cipher, frames.copy())
            return _FramedSink(self._shared, upload_id, fd, frames, tally, hashing, held.pop_all(), writer)

    @contextlib.contextmanager
    def _session(self, upload_id: str) -> Iterator[int]:
        with super()._session(upload_id) as fd:
            try:
                yield fd
            except BlobDamaged as error:
                # As where the disk lost pages of it: nobody can go on from bytes that are unknown.
                self._disk.forget(self._uploads / upload_id)
                self._shared.sessions.drop(upload_id)
                self._hashes.drop(upload_id)
                raise StoreUnwritable(f"upload session {upload_id} is damaged and was given up") from error

    def _cipher(self, fd: int, upload_id: str) -> FileCipher:
        header = os.pread(fd, HEADER, 0)
        if len(header) < HEADER:
            raise UploadNotFound(upload_id)  # its maker was killed, and has told nobody of it
        return self._key.of_session(header, upload_id)

    def _reader(self, fd: int, upload_id: str) -> FramedReader:
        cipher, frames = self._cipher(fd, upload_id), self._frames(fd, upload_id)
        return FramedReader(os.dup(fd), cipher, frames)

    def _catch_up(self, fd: int, upload_id: str, running: RunningHash) -> None:
        with self._reader(fd, upload_id) as reader:
            reader.seek(running.covers)
            while chunk := reader.read(CHUNK):
                running.update(chunk)

    def _put_in_place(self, fd: int, upload_id: str, digest: str, target: Path, *, keep: bool) -> None:
        frames = self._frames(fd, upload_id)
        if self._seal(fd, upload_id, frames, digest):
            super()._put_in_place(fd, upload_id, digest, target, keep=keep)
            return
        # Its frames are as long as they came: a blob's are found by arithmetic.
        with self._reader(fd, upload_id) as reader, self._encrypted(digest, frames.size, _chunks(reader)) as finished:
            self._disk.install(finished, target)
        if not keep:
            self._disk.remove(self._uploads / upload_id)

    def _seal(self, fd: int, upload_id: str, frames: Growing, digest: str) -> bool:
        """Bind a session's file to what is its digest for good. False when it cannot be the blob's as it is."""
        header, status = os.pread(fd, HEADER, 0), os.fstat(fd)
        if not frames.is_uniform or status.st_size != frames.end:
            return False
        if is_blob(header):
            try:
                self._key.of_blob(header, digest, frames.size)
            except BlobDamaged:
                return False  # of a commit under another digest
            return True
        cipher = self._key.of_session(header, upload_id)
        # Not by `fd`: what is opened for appending is written at its end alone.
        with self._disk.writing():
            other = os.open(self._uploads / upload_id, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(other, self._key.blob_header(header, cipher, digest, frames.size), 0)
                self._disk.flush(other)
            finally:
                os.close(other)
        return True


def _chunks(reader: FramedReader) -> Iterator[bytes]:
    while chunk := reader.read(CHUNK):
        yield chunk


def _never() -> bytes:
    raise AssertionError("nothing is encrypted here")


def open_blob(root: Path, space: str, key: bytes, digest: str) -> BinaryIO:
    """A blob of the store under `root`, for who has nothing else to do with it. FileNotFoundError, BlobDamaged."""
    shared = SharedFiles(Disk(root, "process"), RunningHashes(), Sessions())
    try:
        return EncryptedSpace(shared, SpaceKey(space, key, _never)).open(digest)
    except BlobNotFound as error:
        raise FileNotFoundError(errno.ENOENT, str(error)) from None


class _FramedSink(SessionSink):
    """Onto the end of an open session's file, in frames."""

    def __init__(
        self,
        shared: SharedFiles,
        upload_id: str,
        fd: int,
        frames: Growing,
        tally: Tally,
        hashing: HashingAside | None,
        held: contextlib.ExitStack,
        writer: FramedWriter,
    ) -> None:
        super().__init__(shared.disk, fd, frames.size, tally, hashing, held)
        self._sessions, self._upload_id = shared.sessions, upload_id
        self._before, self._writer = frames, writer

    def _store(self, piece: bytes) -> None:
        self._writer.write(piece)

    def _store_rest(self) -> None:
        self._writer.finish()
        self._sessions.keep(self._upload_id, self._writer.frames)

    def _go_back(self) -> None:
        self._sessions.keep(self._upload_id, self._before)
        with self._disk.writing():
            os.ftruncate(self._fd, self._before.end)
