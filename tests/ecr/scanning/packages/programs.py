"""Programs for tests: an ELF file with what Go, cargo-auditable and BusyBox write into theirs."""

from __future__ import annotations

import json
import struct
import zlib

PAGE = 4096


def elf(code: bytes = b"", data: bytes = b"", *, wide: bool = True) -> bytes:
    """A program of two segments: code, which can be run, and data, which can be written."""
    start = -(-(PAGE + len(code)) // PAGE) * PAGE
    segments = ((5, PAGE, len(code)), (6, start, len(data)))
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        rows = b"".join(
            struct.pack("<IIQQQQQQ", 1, flags, at, at, at, size, size, PAGE) for flags, at, size in segments
        )
    else:
        head = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        rows = b"".join(
            struct.pack("<IIIIIIII", 1, at, at, at, size, size, flags, PAGE) for flags, at, size in segments
        )
    return (ident + head + rows).ljust(PAGE, b"\0") + code.ljust(start - PAGE, b"\0") + data + bytes(64)


def go_block(version: str, modules: str) -> bytes:
    """What Go's linker writes since 1.18 (`debug/buildinfo`)."""

    def text(value: bytes) -> bytes:
        length, size = b"", len(value)
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return length + bytes([size]) + value

    framed = bytes(16) + modules.encode() + bytes(16)
    return b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16) + text(version.encode()) + text(framed)


def crates(*packages: dict[str, str]) -> bytes:
    """The section of cargo-auditable."""
    return zlib.compress(json.dumps({"packages": packages}, separators=(",", ":")).encode(), 7)
