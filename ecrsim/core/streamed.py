"""Bodies of blobs whose bytes no server can send by itself: they have to be read here."""

from __future__ import annotations

from typing import BinaryIO

from ecrsim.blobs.base import CHUNK
from ecrsim.core.web import Feed


class StreamedPart(Feed):
    """`length` bytes of an open blob from `first` on, as a body that this side has to read: no server has its bytes.

    What goes wrong on the way is raised by `look`. The body then ends before its Content-Length: no client takes it
    for whole. The first piece was read before the status went out, and what is wrong with it raised here.
    """

    ends = True

    def __init__(self, file: BinaryIO, first: int, length: int) -> None:
        self._file, self._left = file, length
        if first:
            file.seek(first)
        self._first = file.read(min(CHUNK, length)) if length else b""
        super().__init__(self._next, _no_wait, 0, file.close)

    def _next(self) -> bytes | None:
        piece, self._first = self._first, b""
        if not piece and self._left:
            piece = self._file.read(min(CHUNK, self._left))
        self._left -= len(piece)
        return piece or None


def _no_wait(_: float) -> bool:
    return False
