"""Bodies of blobs whose bytes no server can send by itself: they have to be read here."""

from __future__ import annotations

from typing import BinaryIO

from ecrsim.blobs.base import CHUNK
from ecrsim.core.web import Feed

#: Bytes of a blob that are read before its answer begins, wherever that is.
_SOON = 1 << 18


class StreamedPart(Feed):
    """`length` bytes of an open blob from `first` on, as a body that this side has to read: no server has its bytes.

    What goes wrong on the way is raised by `look`. The body then ends before its Content-Length: no client takes it
    for whole. The first piece was read before the status went out, and what is wrong with it raised here.
    """

    ends = True
    #: So much that a client is never waited for that takes it as fast as it comes (measured: half of it is a third
    #: slower, and four times as much no faster).
    room = 1 << 21

    def __init__(self, file: BinaryIO, first: int, length: int) -> None:
        self._file, self._left = file, length
        if first:
            file.seek(first)
        try:
            self._first = file.read(min(_SOON, length)) if length else b""
        except BaseException:
            file.close()
            raise
        super().__init__(self._next, _no_wait, 0, file.close)

    def _next(self) -> bytes | None:
        piece, self._first = self._first, b""
        if not piece and self._left:
            piece = self._file.read(min(CHUNK, self._left))
        self._left -= len(piece)
        return piece or None


def _no_wait(_: float) -> bool:
    return False
