"""rpm's own database format, NDB: pages of slots, each the place of one header (rpm's `lib/backend/ndb/rpmpkg.c`)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import IO

from ecrsim.ecr.scanning.packages.limits import Limits, Unread

_PAGE, _BLOCK = 4096, 16
#: Magic, version, generation, pages of slots, next index.
_HEADER = Struct("<4s4I12x")
#: Magic, index, offset and length in blocks.
_SLOT = Struct("<4s3I")
#: Magic, index, generation, length in bytes.
_BLOB = Struct("<4s3I")


def ndb_headers(file: IO[bytes], size: int, limits: Limits) -> Iterator[bytes]:
    """Every header of the database. Unread where it is broken."""
    file.seek(0)
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise Unread("the rpm database is truncated")
    magic, version, _, pages, _ = _HEADER.unpack(head)
    if magic != b"RpmP" or version != 0:
        raise Unread("no rpm database of the NDB format")
    if pages * _PAGE > size or pages * (_PAGE // _SLOT.size) > limits.packages:
        raise Unread("the rpm database claims more slots than it has")
    for magic, index, offset, count in _SLOT.iter_unpack(file.read(pages * _PAGE - _HEADER.size)):
        if magic == b"Slot" and index:
            yield _blob(file, index, offset * _BLOCK, count * _BLOCK, limits)


def _blob(file: IO[bytes], index: int, offset: int, most: int, limits: Limits) -> bytes:
    file.seek(offset)
    head = file.read(_BLOB.size)
    if len(head) < _BLOB.size:
        raise Unread("the rpm database is truncated")
    magic, found, _, length = _BLOB.unpack(head)
    if magic != b"BlbS" or found != index or length > min(most, limits.rpm_header):
        raise Unread("a header of the rpm database is broken")
    return file.read(length)
