"""Alpine's packages, and those of its kin Wolfi and Chainguard: apk's `installed`."""

from __future__ import annotations

from collections.abc import Iterator

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of

_FIELDS = frozenset(b"PVAoL")


def read_apk(content: Content) -> Iterator[Package]:
    """A package is a block of lines, each a letter, a colon and a value; an empty line ends it."""
    block: dict[str, str] = {}
    for line in content.lines():
        if not line.strip():
            yield from _package(block)
            block = {}
        elif line[1:2] == b":" and line[0] in _FIELDS:
            block[chr(line[0])] = text_of(line[2:])
    yield from _package(block)


def _package(block: dict[str, str]) -> Iterator[Package]:
    name, version = block.get("P", ""), block.get("V", "")
    if not name or not version:
        return
    license_ = block.get("L", "")
    yield Package(
        type="apk",
        name=name,
        version=version,
        arch=block.get("A", ""),
        source_name=block.get("o") or name,
        source_version=version,
        licenses=(license_,) if license_ else (),
    )
