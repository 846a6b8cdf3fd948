"""Reading and writing the frames of an encrypted file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

from ecrsim.blobs.base import BlobDamaged, StreamedBlob
from ecrsim.blobs.disk import Disk
from ecrsim.blobs.framing import FRAME, FileCipher, Growing, Span, Uniform

#: Pieces below this size are written as they come, so that a session shows what arrived; of larger ones, which more
#: will follow, what does not fill a frame waits for the next one.
_SMALL = FRAME // 4
_ALL = 1 << 62


class FramedReader(StreamedBlob):
    """The plaintext of an open file, which it closes. Every frame is verified before a byte of it is given.

    `look` is called where there are no more frames, to find those that were written since.
    """

    def __init__(
        self, fd: int, cipher: FileCipher, frames: Uniform | Growing, look: Callable[[], None] | None = None
    ) -> None:
        super().__init__()
        self._fd, self._cipher, self._frames, self._look = fd, cipher, frames, look
        self._position = 0
        # The frame that was read last, for those who read in small pieces.
        self._number, self._first, self._plain = -1, 0, b""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, and as many where there are so many. BlobDamaged."""
        wanted = _ALL if size is None or size < 0 else size
        pieces = []
        while wanted and (piece := self._piece(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readall(self) -> bytes:
        return self.read(-1)

    def _piece(self, size: int) -> bytes:
        """What the frame at the position has; empty at the end."""
        start = self._position - self._first
        if not 0 <= start < len(self._plain):
            span = self._frames.find(self._position)
            if span is None and self._look is not None:
                self._look()
                span = self._frames.find(self._position)
            if span is None:
                return b""
            self._load(span)
            start = self._position - self._first
        piece = self._plain[start : start + size]  # a frame as a whole is not copied
        self._position += len(piece)
        return piece

    def _load(self, span: Span) -> None:
        # Nothing of the frame before is given should this one be wrong.
        self._number, self._plain = -1, b""
        stored = os.pread(self._fd, span.length, span.offset)
        plain = self._cipher.opened(span.number, stored)
        if len(plain) + span.first > self._frames.size:
            raise BlobDamaged("an encrypted file has a frame that is too long")
        self._number, self._first, self._plain = span.number, span.first, plain

    def readinto(self, buffer: Any) -> int:
        piece = self._piece(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._frames.size}[whence]
        if before + offset < 0:
            raise ValueError("negative seek position")
        self._position = before + offset
        return self._position

    def fileno(self) -> int:
        """Of the file with the ciphertext."""
        return self._fd

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
            super().close()


class FramedWriter:
    """Frames onto the end of an open file, behind those that `frames` tells of."""

    def __init__(self, disk: Disk, fd: int, cipher: FileCipher, frames: Growing) -> None:
        self._disk, self._fd, self._cipher = disk, fd, cipher
        self.frames = frames
        self._waiting = b""

    def write(self, piece: bytes) -> None:
        """Take bytes of a session. StoreUnwritable, after which the file may end with a part of a frame."""
        self.gather(piece)
        if len(piece) <= _SMALL:
            self.finish()

    def gather(self, piece: bytes) -> None:
        """Take bytes; what does not fill a frame waits for those that follow."""
        data = self._waiting + piece if self._waiting else piece
        whole = len(data) - len(data) % FRAME
        self._waiting = data[whole:]
        self._store(memoryview(data)[:whole])

    def finish(self) -> None:
        """Write what waits."""
        data, self._waiting = self._waiting, b""
        self._store(memoryview(data))

    def _store(self, data: memoryview) -> None:
        for first in range(0, len(data), FRAME):
            plain = data[first : first + FRAME]
            parts = self._cipher.sealed(self.frames.count, plain)
            self._disk.write_parts(self._fd, parts)
            self.frames.add(len(plain))
