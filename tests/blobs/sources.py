"""Bodies that behave as clients do, a clock that stands still, and digests to hold the stores against."""

import hashlib
from collections.abc import Callable, Iterator

Piece = bytes | BaseException | Callable[[], object]


class Clock:
    """Epoch seconds that stand still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Body:
    """A source of given pieces, one for each read; a piece may be an error to raise or something to do first."""

    def __init__(self, *pieces: Piece) -> None:
        self._pieces: Iterator[Piece] = iter(pieces)
        self.asked: list[int] = []

    def read(self, size: int, /) -> bytes:
        self.asked.append(size)
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, bytes):
                return piece
            piece()
        return b""


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
