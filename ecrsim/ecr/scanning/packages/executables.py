"""Programs: what Go and cargo-auditable write into them, and BusyBox.

A program is read once from its begin to its end, whatever its size: no piece of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.packages import golang, rust, systems
from ecrsim.ecr.scanning.packages.content import Content

_PIECE = 64 * 1024
#: So much of a piece is looked at again with the next one: what is searched for is shorter.
_OVERLAP = 1024
_MAGIC = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
#: `e_type` of programs and shared libraries; object files and cores are none.
_LOADED = (2, 3)
_LOAD, _WRITABLE = 1, 2
_ANYWHERE = (0, 1 << 62)
#: Folders where BusyBox is looked for; the others would only cost time.
_BUSYBOX = ("bin", "sbin", "usr/bin", "usr/sbin")


def is_executable(head: bytes) -> bool:
    """Whether a file that begins so is a program of Linux, Windows or macOS."""
    return head.startswith(_MAGIC)


def read_executable(content: Content) -> Iterator[Package | OperatingSystem]:
    """Modules of a Go program, crates of an auditable Rust program, the version of BusyBox."""
    start, end = 0, None
    if content.peek(4) == _MAGIC[0]:
        place = _writable(content)
        if place is None:
            return
        start, end = place
    looks_for_busybox = content.path.rpartition("/")[0] in _BUSYBOX
    window, at = content.read(_PIECE), 0
    has_go = has_rust = has_busybox = False
    while window:
        if not has_go and at + len(window) > start and (end is None or at < end):
            hit = golang.find(window, start - at, at)
            if hit is not None:
                modules = golang.modules(window[hit:], content)
                has_go = modules is not None
                yield from modules or ()
        if not has_rust and (crates := rust.find(window, content)) is not None:
            has_rust = True
            yield from crates
        if looks_for_busybox and not has_busybox and (system := systems.busybox(window)) is not None:
            has_busybox = True
            yield system
        rest = window[-_OVERLAP:]
        passed = content.passed
        piece = content.read(_PIECE)
        at = passed - len(rest)
        window = rest + piece if piece else b""


def _writable(content: Content) -> tuple[int, int] | None:
    """Where the data of an ELF program lies in the file, as Go looks for it (`debug/buildinfo`); None of other ELFs."""
    head = content.peek(64)
    if len(head) < 64 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    order, is_wide = "<>"[head[5] - 1], head[4] == 2
    if Struct(f"{order}H").unpack_from(head, 16)[0] not in _LOADED:
        return None
    table = Struct(f"{order}Q" if is_wide else f"{order}I").unpack_from(head, 32 if is_wide else 28)[0]
    size, count = Struct(f"{order}HH").unpack_from(head, 54 if is_wide else 42)
    row = Struct(f"{order}IIQQQQ" if is_wide else f"{order}IIIIIII")
    if not row.size <= size <= _PIECE or table > _PIECE or size * count > _PIECE:
        return _ANYWHERE
    segments = content.peek(table + size * count)
    for at in range(table, len(segments) - row.size + 1, size):
        if is_wide:
            kind, flags, offset, _, _, length = row.unpack_from(segments, at)
        else:
            kind, offset, _, _, length, _, flags = row.unpack_from(segments, at)
        if kind == _LOAD and flags & _WRITABLE:
            return offset, offset + length
    return _ANYWHERE
