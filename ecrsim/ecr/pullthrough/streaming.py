"""A layer as a body while it comes: what the staged file has so far, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from ecrsim.blobs.base import CHUNK
from ecrsim.core.web import Feed

#: Seconds between two looks where nothing new was there: at first, and at most. A look costs as much as 100 KB do.
_SHORTEST, _LONGEST = 0.008, 0.064
#: Bytes that are given at once.
_PIECE = CHUNK


class LayerStream(Feed):
    """`length` bytes from `first` on of a file that grows.

    The last of them is given when the layer is known to have its digest (`state` is True). Where it turns out not to
    (False), the body ends before its Content-Length: no client takes it for whole.
    """

    ends = True

    def __init__(
        self,
        file: BinaryIO,
        first: int,
        length: int,
        state: Callable[[], bool | None],
        wait: Callable[[float], bool],
    ) -> None:
        super().__init__(self._next, wait, _SHORTEST, file.close)
        self._file, self._left, self._state = file, length, state
        self._next_pause = _SHORTEST
        file.seek(first)

    def _next(self) -> bytes | None:
        if not self._left:
            return None
        # Asked before the file is read: what is verified is in it as a whole.
        state = self._state()
        room = self._left if state else self._left - 1
        piece = self._file.read(min(_PIECE, room)) if room and state is not False else b""
        if piece:
            self._left -= len(piece)
            self._next_pause = _SHORTEST
            return piece
        if state is not None:
            return None
        self.pause, self._next_pause = self._next_pause, min(self._next_pause * 2, _LONGEST)
        return b""
