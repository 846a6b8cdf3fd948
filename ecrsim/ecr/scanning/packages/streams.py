"""A layer as a stream of unpacked bytes: gzip, zstd or none, told by its first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO, Protocol, cast

from ecrsim.ecr.scanning.packages.limits import BrokenLayer, Limits

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: The last three bytes of the magic number of a frame that decoders skip; the first is 50 to 5f.
_SKIPPABLE = b"\x2a\x4d\x18"
#: What is taken of the packed stream at a time, and what one step may unpack it to.
_PACKED = 64 * 1024
_PIECE = 256 * 1024


class ReadableBytes(Protocol):
    """What bytes are read from: an open file, a BytesIO, a member of an archive."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""


class PieceStream:
    """Bytes that come in pieces, read as a stream; it holds one piece."""

    def __init__(self, pieces: Iterator[bytes], *, ends_surely: bool = True) -> None:
        self._pieces = pieces
        #: Whether the end of these bytes is that of their source. zstandard does not tell when a frame is cut.
        self.ends_surely = ends_surely
        self._piece = b""
        self._at = 0
        self._before = 0

    @property
    def passed(self) -> int:
        """Bytes that were read or skipped so far."""
        return self._before + self._at

    def _more(self) -> bool:
        """Join the next piece onto what is left of the last one. False at the end."""
        piece = next(self._pieces, b"")
        if not piece:
            return False
        self._before += self._at
        self._piece = self._piece[self._at :] + piece if self._at < len(self._piece) else piece
        self._at = 0
        return True

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end; they stay where they are."""
        while len(self._piece) - self._at < size and self._more():
            pass
        return self._piece[self._at : self._at + size]

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        if self._at >= len(self._piece) and not self._more():
            return b""
        taken = self._piece[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def give_back(self, data: bytes) -> None:
        """Undo that the last `data` was read."""
        if data:
            self._before += self._at - len(data)
            self._piece = data + self._piece[self._at :]
            self._at = 0

    def exactly(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        taken = self.peek(size)
        self._at += len(taken)
        return taken

    def skip(self, size: int) -> int:
        """Pass over `size` bytes. How many there were."""
        passed = 0
        while passed < size:
            if self._at >= len(self._piece) and not self._more():
                break
            step = min(len(self._piece) - self._at, size - passed)
            self._at += step
            passed += step
        return passed


def unpacked(stream: ReadableBytes, limits: Limits) -> PieceStream:
    """The tar that `stream` holds. BrokenLayer, also later while it is read, if it is packed wrongly or a bomb."""
    first = stream.read(_PACKED)
    while len(first) < 4 and (more := stream.read(_PACKED)):
        first += more
    if not first:
        raise BrokenLayer("the layer is empty")
    if first.startswith(_GZIP):
        return PieceStream(_bounded(_gzip(first, stream), limits))
    if first.startswith(_ZSTD) or (first[1:4] == _SKIPPABLE and first[0] & 0xF0 == 0x50):
        return PieceStream(_bounded(_zstd(first, stream, limits), limits), ends_surely=False)
    return PieceStream(_bounded(_plain(first, stream), limits))


def _bounded(steps: Iterator[tuple[int, bytes]], limits: Limits) -> Iterator[bytes]:
    """The pieces of `steps`, as long as they are in proportion to the packed bytes that were taken for them."""
    taken = given = 0
    for packed, piece in steps:
        taken += packed
        given += len(piece)
        if given > limits.size:
            raise BrokenLayer(f"the layer unpacks to more than {limits.size >> 20} MiB")
        if given > limits.free + taken * limits.ratio:
            raise BrokenLayer(f"the layer unpacks to more than {limits.ratio} times its size: a decompression bomb")
        if piece:
            yield piece


def _plain(first: bytes, stream: ReadableBytes) -> Iterator[tuple[int, bytes]]:
    piece = first
    while piece:
        yield len(piece), piece
        piece = stream.read(_PIECE)


def _gzip(first: bytes, stream: ReadableBytes) -> Iterator[tuple[int, bytes]]:
    """Members follow each other in layers that can be read from the middle (eStargz, pigz)."""
    packed, taken = first, len(first)
    while True:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not packed:
                packed = stream.read(_PACKED)
                taken += len(packed)
                if not packed:
                    raise BrokenLayer("the layer is truncated: its gzip stream ends early")
            try:
                piece = member.decompress(packed, _PIECE)
            except zlib.error as error:
                raise BrokenLayer(f"the gzip stream of the layer is broken ({error})") from None
            yield taken, piece
            packed, taken = member.unconsumed_tail, 0
        packed = member.unused_data
        if not packed:
            packed = stream.read(_PACKED)
            taken = len(packed)
        if not packed:
            return


def _zstd(first: bytes, stream: ReadableBytes, limits: Limits) -> Iterator[tuple[int, bytes]]:
    import zstandard  # 14 ms and 2 MB at start, for layers that are rare

    counted = _Counted(first, stream)
    # In zstandard's own steps: a reader asks its source for `read_size` bytes and keeps no more than those.
    reader = zstandard.ZstdDecompressor(max_window_size=limits.window).stream_reader(
        cast(IO[bytes], counted),  # of which only `read` is called
        read_size=_PACKED,
        read_across_frames=True,
    )
    while True:
        try:
            piece = reader.read(_PIECE)
        except zstandard.ZstdError as error:
            raise BrokenLayer(f"the zstd stream of the layer is broken ({error})") from None
        if not piece:
            return
        yield counted.since(), piece


class _Counted:
    """A stream that has been begun, and how much of it was taken since it was last asked."""

    def __init__(self, first: bytes, stream: ReadableBytes) -> None:
        self._first = first
        self._stream = stream
        self._taken = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        if self._first:
            piece, self._first = self._first[:size], self._first[size:]
        else:
            piece = self._stream.read(size)
        self._taken += len(piece)
        return piece

    def since(self) -> int:
        """Bytes that were taken since the last time."""
        taken, self._taken = self._taken, 0
        return taken
