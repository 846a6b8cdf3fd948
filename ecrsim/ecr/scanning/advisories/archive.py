"""Zip archives of very many small files, read one after the other in constant memory.

`zipfile` holds its whole directory: 300 MB for the half million records of an export of OSV. Here the directory is read
as it goes. Archives of 64 bits are read too; several disks, encryption and other methods than deflate are refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ecrsim.ecr.scanning.advisories.records import RecordRefused

#: Bytes of one record.
MAX_MEMBER = 16 * 1024 * 1024
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENTRY, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"
#: The end is behind the directory, with a comment of up to 64 KiB behind it.
_TAIL = 22 + 65_535
_FULL = 0xFFFFFFFF
_ENCRYPTED = 1


class NoArchive(ValueError):
    """It is no zip archive, or a broken one; the text says how."""


class ArchivedFile(NamedTuple):
    """A file of the archive. Sizes and offset as the directory has them."""

    name: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int


def count(stream: BinaryIO) -> int:
    """How many entries the archive says that it has, directories included. NoArchive."""
    return _end(stream)[2]


def members(stream: BinaryIO) -> Iterator[ArchivedFile]:
    """The files of an archive in the order of its directory. NoArchive, also in the middle."""
    offset, size, _ = _end(stream)
    end = offset + size
    while offset < end:
        stream.seek(offset)
        # So much at once, whatever the lengths of names are.
        piece = stream.read(min(end - offset, 1024 * 1024))
        place = 0
        while place + 46 <= len(piece):
            member, length = _entry(piece, place)
            if length > len(piece) - place:
                break
            if not member.name.endswith("/"):
                yield member
            place += length
        if place == 0:
            raise NoArchive("its directory is cut off")
        offset += place


def content(stream: BinaryIO, member: ArchivedFile) -> bytes:
    """The bytes of a file. RecordRefused."""
    if member.flags & _ENCRYPTED:
        raise RecordRefused("it is encrypted")
    if member.method not in (0, 8):
        raise RecordRefused(f"it is compressed by method {member.method}, which is not read")
    if member.size > MAX_MEMBER or member.compressed > MAX_MEMBER:
        raise RecordRefused(f"it has more than {MAX_MEMBER} bytes")
    stream.seek(member.offset)
    header = stream.read(30)
    if len(header) < 30 or header[:4] != _LOCAL:
        raise RecordRefused("it is not where the directory of the archive says")
    name, extra = struct.unpack("<HH", header[26:30])
    stream.seek(name + extra, 1)
    found = stream.read(member.compressed)
    if member.method:
        found = _inflated(found, member.size)
    if len(found) != member.size or zlib.crc32(found) != member.crc:
        raise RecordRefused("its bytes are damaged")
    return found


def _inflated(found: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-15)
    try:
        # One more than there are to be: an archive may lie about that.
        return inflater.decompress(found, size + 1)
    except zlib.error:
        raise RecordRefused("its bytes are damaged") from None


def _entry(piece: bytes, place: int) -> tuple[ArchivedFile, int]:
    if piece[place : place + 4] != _ENTRY:
        raise NoArchive("its directory is damaged")
    flags, method = struct.unpack_from("<HH", piece, place + 8)
    crc, compressed, size = struct.unpack_from("<III", piece, place + 16)
    name, extra, comment = struct.unpack_from("<HHH", piece, place + 28)
    offset = struct.unpack_from("<I", piece, place + 42)[0]
    start = place + 46
    text = piece[start : start + name].decode("utf-8", "replace")
    if _FULL in (compressed, size, offset):
        size, compressed, offset = _of_64_bits(piece[start + name : start + name + extra], size, compressed, offset)
    return ArchivedFile(text, flags, method, crc, compressed, size, offset), 46 + name + extra + comment


def _of_64_bits(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """Those that do not fit stand in an extra field, in this order."""
    values = [size, compressed, offset]
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind != 1:
            continue
        for place, value in enumerate(values):
            if value == _FULL and len(field) >= 8:
                values[place] = struct.unpack_from("<Q", field)[0]
                field = field[8:]
    return values[0], values[1], values[2]


def _end(stream: BinaryIO) -> tuple[int, int, int]:
    """Offset and size of the directory, and how many entries it has."""
    length = stream.seek(0, 2)
    start = max(0, length - _TAIL)
    stream.seek(start)
    tail = stream.read()
    found = tail.rfind(_END)
    if found < 0 or len(tail) - found < 22:
        raise NoArchive("it has no end of a zip archive")
    entries, size, offset = struct.unpack_from("<HII", tail, found + 10)
    if entries == 0xFFFF or _FULL in (size, offset):
        locator = start + found - 20
        stream.seek(max(0, locator))
        text = stream.read(20)
        if text[:4] == _LOCATOR_64:
            stream.seek(struct.unpack_from("<Q", text, 8)[0])
            record = stream.read(56)
            if record[:4] != _END_64 or len(record) < 56:
                raise NoArchive("its end is damaged")
            entries, size, offset = struct.unpack_from("<QQQ", record, 32)
    if offset + size > length:
        raise NoArchive("it is cut off")
    return offset, size, entries
