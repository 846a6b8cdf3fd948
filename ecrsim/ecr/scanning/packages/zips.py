"""The members of a zip, one after the other, as they stream by.

Python's zipfile begins at the directory, which is at a zip's end, and so needs all of it. Here each member is told by
its own header, as unzip does for a pipe; what was deleted from the directory alone is seen, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from ecrsim.ecr.scanning.packages.limits import Limits, TooMuch, Unread
from ecrsim.ecr.scanning.packages.streams import PieceStream

_LOCAL = b"PK\x03\x04"
_DESCRIPTOR = b"PK\x07\x08"
#: Magic, version, flags, method, time, date, checksum, packed size, size, lengths of name and extra fields.
_HEADER = Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_FOLLOW = 1, 8
_WIDE = 0xFFFFFFFF
_PIECE = 64 * 1024
#: A script may stand before a zip, as in an executable jar of Spring Boot.
_SCRIPT = 1024 * 1024


@dataclass(slots=True)
class Budget:
    """What the members of an archive, and of all archives in it, may still cost."""

    members: int
    size: int

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        return cls(limits.members, limits.archive)

    def member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise TooMuch("an archive with too many members")

    def take(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise TooMuch("an archive that unpacks to too much: a zip bomb")


@dataclass(slots=True)
class ZipMember:
    """One file of a zip. `data` has to be read before the next member is asked for, or is passed over."""

    name: str
    data: PieceStream


def members_of(archive: PieceStream, budget: Budget) -> Iterator[ZipMember]:
    """The files of the zip. Unread where it is broken or costs too much."""
    _find_first(archive)
    while archive.peek(4) == _LOCAL:
        budget.member()
        yield from _member(archive, budget)


def _find_first(archive: PieceStream) -> None:
    if archive.peek(4) == _LOCAL or archive.peek(2) == b"PK":
        return
    script = archive.peek(_SCRIPT)
    at = script.find(_LOCAL)
    if at < 0:
        raise Unread("no zip")
    archive.skip(at)


def _member(archive: PieceStream, budget: Budget) -> Iterator[ZipMember]:
    head = archive.exactly(_HEADER.size)
    if len(head) < _HEADER.size:
        raise Unread("the archive is truncated")
    _, _, flags, method, _, _, _, packed, size, name_length, extra_length = _HEADER.unpack(head)
    name = archive.exactly(name_length).decode("utf-8", "replace")
    extra = archive.exactly(extra_length)
    if _WIDE in (packed, size):
        packed = _wide_size(extra, size == _WIDE)
    follows = bool(flags & _SIZES_FOLLOW)
    if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED) or (follows and method == _STORED and not packed):
        if follows and not packed:
            raise Unread("an archive with a member whose size is not told")
        _skip(archive, packed)
    elif method == _STORED:
        content = _Bounded(archive, packed)
        yield ZipMember(name, PieceStream(_counted(content, budget)))
        content.finish()
    else:
        limited = None if follows and not packed else _Bounded(archive, packed)
        inflating = _inflated(archive if limited is None else limited, budget)
        yield ZipMember(name, PieceStream(inflating))
        for _ in inflating if limited is None else ():
            pass
        if limited is not None:
            limited.finish()
    if follows:
        _pass_descriptor(archive)


def _wide_size(extra: bytes, has_size: bool) -> int:
    """The packed size of the Zip64 field; the unpacked one stands before it, where it is told there."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = int.from_bytes(extra[at : at + 2], "little"), int.from_bytes(extra[at + 2 : at + 4], "little")
        if kind == 1:
            start = at + 4 + (8 if has_size else 0)
            return int.from_bytes(extra[start : start + 8], "little")
        at += 4 + length
    raise Unread("an archive with a member whose size is not told")


def _skip(archive: PieceStream, size: int) -> None:
    if archive.skip(size) < size:
        raise Unread("the archive is truncated")


class _Bounded(PieceStream):
    """The next `size` bytes of an archive."""

    def __init__(self, archive: PieceStream, size: int) -> None:
        self._archive = archive
        self._left = size
        super().__init__(self._next())

    def _next(self) -> Iterator[bytes]:
        while self._left:
            piece = self._archive.read(min(self._left, _PIECE))
            if not piece:
                raise Unread("the archive is truncated")
            self._left -= len(piece)
            yield piece

    def finish(self) -> None:
        """Pass over what nobody read."""
        left, self._left = self._left, 0
        _skip(self._archive, left)


def _counted(data: PieceStream, budget: Budget) -> Iterator[bytes]:
    while piece := data.read(_PIECE):
        budget.take(len(piece))
        yield piece


def _inflated(packed: PieceStream, budget: Budget) -> Iterator[bytes]:
    """The deflated member that begins here; what is read beyond its end is given back."""
    unpacking = zlib.decompressobj(wbits=-15)
    rest = b""
    while not unpacking.eof:
        rest = rest or packed.read(_PIECE)
        try:
            piece = unpacking.decompress(rest, _PIECE)
        except zlib.error as error:
            raise Unread(f"an archive with a broken member ({error})") from None
        if not rest and not piece and not unpacking.eof:
            raise Unread("the archive is truncated")
        rest = unpacking.unconsumed_tail
        budget.take(len(piece))
        if piece:
            yield piece
    packed.give_back(unpacking.unused_data)


def _pass_descriptor(archive: PieceStream) -> None:
    """Checksum and sizes behind a member: with a magic number or without, of 4 bytes or of 8."""
    head = archive.peek(28)
    start = 4 if head[:4] == _DESCRIPTOR else 0
    narrow, wide = start + 12, start + 20
    archive.skip(wide if head[narrow : narrow + 2] != b"PK" and head[wide : wide + 2] == b"PK" else narrow)
