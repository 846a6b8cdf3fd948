"""Which operating system an image has: `os-release`, and BusyBox, which has none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ecrsim.ecr.scanning.bill import OperatingSystem
from ecrsim.ecr.scanning.packages.content import Content

#: In the order in which they are asked (os-release(5)).
PATHS = ("etc/os-release", "usr/lib/os-release")
BUSYBOX = ("bin/busybox", "usr/bin/busybox")

_LINE = re.compile(r"""^\s*([A-Z_]+)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#]*)""")
_ESCAPE = re.compile(r"\\(.)")
_BUSYBOX = re.compile(rb"BusyBox v(\d[\d.]{0,20})")


def read_os_release(content: Content) -> Iterator[OperatingSystem]:
    """os-release(5): assignments as a shell has them."""
    values: dict[str, str] = {}
    for line in content.text().splitlines():
        if found := _LINE.match(line):
            values[found[1]] = _unquoted(found[2])
    if values.get("ID"):
        yield OperatingSystem(
            id=values["ID"],
            version_id=values.get("VERSION_ID", ""),
            version_codename=values.get("VERSION_CODENAME", ""),
            pretty_name=values.get("PRETTY_NAME", ""),
            id_like=tuple(values.get("ID_LIKE", "").split()),
        )


def _unquoted(value: str) -> str:
    if value[:1] == "'":
        return value[1:-1]
    return _ESCAPE.sub(r"\1", value[1:-1] if value[:1] == '"' else value)


def busybox(piece: bytes) -> OperatingSystem | None:
    """The BusyBox whose program this piece is of."""
    found = _BUSYBOX.search(piece) if b"BusyBox v" in piece else None
    if found is None:
        return None
    version = found[1].decode().rstrip(".")
    return OperatingSystem(id="busybox", version_id=version, pretty_name=f"BusyBox v{version}")
