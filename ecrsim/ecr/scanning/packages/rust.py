"""Rust's crates: what cargo-auditable writes into programs, and `Cargo.lock`."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import orjson

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.limits import Unread
from ecrsim.ecr.scanning.packages.parsed_values import items, members, word
from ecrsim.ecr.scanning.packages.streams import PieceStream

#: The two bytes that a zlib stream begins with, of all levels of compression.
_ZLIB = re.compile(rb"x[\x01\x5e\x9c\xda]")
_BEGIN = b'{"packages":['
#: So much of the stream is needed to see how the list begins, for its codes stand before it.
_AHEAD = 512
_MOST = 8 * 1024 * 1024
_PIECE = 64 * 1024


def find(window: bytes, rest: PieceStream) -> Iterator[Package] | None:
    """The crates of the list that begins in this window, if one does: JSON, packed with zlib, in a section `.dep-v0`.

    Where the section lies is written at the end of the program, so it is told by what it holds.
    """
    for found in _ZLIB.finditer(window):
        at = found.start()
        # Too near to the end: it is in the next window, too.
        if at > len(window) - _AHEAD:
            return None
        begin = zlib.decompressobj()
        try:
            if begin.decompress(window[at : at + _AHEAD], len(_BEGIN)) != _BEGIN:
                continue
        except zlib.error:
            continue
        return _crates(_unpacked(window[at:], rest))
    return None


def _unpacked(begun: bytes, rest: PieceStream) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(begun, _MOST)
        while not unpacking.eof and len(data) < _MOST and (piece := rest.read(_PIECE)):
            data += unpacking.decompress(unpacking.unconsumed_tail + piece, _MOST - len(data))
    except zlib.error as error:
        raise Unread(f"the list of crates is broken ({error})") from None
    if not unpacking.eof:
        raise Unread("the list of crates is too long, or cut off")
    return data


def _crates(data: bytes) -> Iterator[Package]:
    try:
        value = members(orjson.loads(data))
    except orjson.JSONDecodeError as error:
        raise Unread(f"the list of crates is no JSON that can be read: {error}") from None
    for each in items(value.get("packages")):
        # What only the build needed is not in the program.
        if word(each.get("kind")) != "build":
            yield from crate(each)


def crate(value: dict[str, Any]) -> Iterator[Package]:
    """The crate with this name and version."""
    name, version = word(value.get("name")), word(value.get("version"))
    if name and version:
        yield Package(type="cargo", name=name, version=version)
