"""The content of one file of a layer, or of one member of an archive, as a reader of packages takes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ecrsim.ecr.scanning.packages.limits import Limits, Unread
from ecrsim.ecr.scanning.packages.streams import PieceStream, ReadableBytes

_PIECE = 64 * 1024


class Content(PieceStream):
    """Bytes of a file that are read once, in order. `size` is None where only the end tells it."""

    def __init__(self, path: str, source: ReadableBytes, size: int | None, limits: Limits) -> None:
        super().__init__(_limited(source, size))
        self.path = path
        self.size = size
        self.limits = limits

    def whole(self, most: int | None = None) -> bytes:
        """All of it. Unread if that is more than `most` bytes, which are those of a text unless they are given."""
        most = self.limits.text if most is None else most
        data = b"" if self.size is not None and self.size > most else self.exactly(most + 1)
        if len(data) > most or (self.size is not None and self.size > most):
            raise Unread(f"larger than {most >> 10:,} KiB")
        return data

    def text(self) -> str:
        """All of it as text; what is no UTF-8 is replaced."""
        return self.whole().decode("utf-8-sig", "replace")

    def json(self) -> Any:
        """The value that it holds. Unread if it is no JSON, or nested deeper than 1,024 times."""
        data = self.whole().removeprefix(b"\xef\xbb\xbf")
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise Unread(f"no JSON that can be read: {error}") from None

    def lines(self) -> Iterator[bytes]:
        """Its lines without their ends. Unread at one that is too long."""
        rest = b""
        while piece := self.read(_PIECE):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > self.limits.line:
                raise Unread(f"a line of more than {self.limits.line >> 10:,} KiB")
        if rest:
            yield rest


def _limited(source: ReadableBytes, size: int | None) -> Iterator[bytes]:
    while size is None or size > 0:
        piece = source.read(_PIECE if size is None else min(_PIECE, size))
        if not piece:
            return
        if size is not None:
            size -= len(piece)
        yield piece


def text_of(data: bytes) -> str:
    """Text of a field; what is no UTF-8 is replaced."""
    return data.decode("utf-8", "replace").strip()
