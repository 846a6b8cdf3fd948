"""rpm's old database: a hash of Berkeley DB, whose values are headers (Berkeley DB's `dbinc/db_page.h`)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error
from typing import IO

from ecrsim.ecr.scanning.packages.limits import Limits, Unread

_MAGIC = 0x00061561
_UNSORTED, _HASH, _OVERFLOW = 2, 13, 7
_KEY_DATA, _OFF_PAGE = 1, 3
_PAGE_HEADER = 26


def berkeley_headers(file: IO[bytes], size: int, limits: Limits) -> Iterator[bytes]:
    """Every header of the database. Unread where it is broken."""
    try:
        yield from _Pages(file, size, limits).headers()
    except error:
        raise Unread("the rpm database is truncated") from None


class _Pages:
    def __init__(self, file: IO[bytes], size: int, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        file.seek(0)
        meta = file.read(512)
        if len(meta) < 512:
            raise Unread("the rpm database is truncated")
        self._order = "<" if meta[12:16] == _MAGIC.to_bytes(4, "little") else ">"
        magic, self._page_size = Struct(f"{self._order}12xI4xI").unpack(meta[:24])
        # Magic, version, page size. Pages are powers of two.
        if magic != _MAGIC or not 512 <= self._page_size <= 65536 or self._page_size & (self._page_size - 1):
            raise Unread("no rpm database of the Berkeley format")
        self._count = size // self._page_size
        #: Links, entries, where the free space begins, level and kind of a page.
        self._head = Struct(f"{self._order}8xIIIHHBB")
        self._taken = 0

    def headers(self) -> Iterator[bytes]:
        for number in range(1, self._count):
            page = self._page(number)
            _, _, _, entries, _, _, kind = self._head.unpack_from(page)
            if kind in (_HASH, _UNSORTED) and _PAGE_HEADER + 2 * entries <= len(page):
                yield from self._values(page, entries)

    def _page(self, number: int) -> bytes:
        self._file.seek(number * self._page_size)
        return self._file.read(self._page_size)

    def _values(self, page: bytes, entries: int) -> Iterator[bytes]:
        """Keys and values take turns, from the page's end towards its begin."""
        places = Struct(f"{self._order}{entries}H").unpack_from(page, _PAGE_HEADER)
        for index in range(1, entries, 2):
            start, end = places[index], places[index - 1]
            value = page[start:end]
            if value[:1] == bytes([_OFF_PAGE]):
                number, length = Struct(f"{self._order}4xII").unpack_from(value)
                yield self._chain(number, length)
            elif value[:1] == bytes([_KEY_DATA]) and len(value) > 32:
                # The record with key 0 is a number, and no header.
                yield value[1:]

    def _chain(self, number: int, length: int) -> bytes:
        """A value that lies on pages of its own, each of which names the next."""
        if length > self._limits.rpm_header:
            raise Unread(f"the rpm database has a header of {length:,} bytes")
        data = bytearray()
        while number and len(data) < length:
            page = self._page(number)
            _, _, following, _, used, _, kind = self._head.unpack_from(page)
            self._taken += 1
            # Each page belongs to one value; a loop would be read for ever.
            if kind != _OVERFLOW or self._taken > self._count or not used:
                raise Unread("a header of the rpm database is broken")
            data += page[_PAGE_HEADER : _PAGE_HEADER + used]
            number = following
        if len(data) < length:
            raise Unread("the rpm database is truncated")
        return bytes(data[:length])
