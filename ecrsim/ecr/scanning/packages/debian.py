"""Debian's packages: dpkg's `status`, and the `status.d` of images that have no dpkg (distroless)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of

_FIELDS = frozenset({b"package", b"status", b"version", b"source", b"architecture"})
_SOURCE = re.compile(r"(\S+)(?: \((.*)\))?")


def read_dpkg(content: Content) -> Iterator[Package]:
    """The packages that are installed; of one that was removed its configuration may be left, and it stands there."""
    for stanza in _stanzas(content):
        yield from _package(stanza)


def _stanzas(content: Content) -> Iterator[dict[bytes, str]]:
    stanza: dict[bytes, str] = {}
    for line in content.lines():
        if not line.strip():
            if stanza:
                yield stanza
            stanza = {}
        elif line[:1] not in b" \t":
            name, colon, value = line.partition(b":")
            if colon and (name := name.strip().lower()) in _FIELDS:
                stanza[name] = text_of(value)
    if stanza:
        yield stanza


def _package(stanza: dict[bytes, str]) -> Iterator[Package]:
    name, version = stanza.get(b"package", ""), stanza.get(b"version", "")
    if not name or not version or "deinstall" in stanza.get(b"status", ""):
        return
    source = _SOURCE.match(stanza.get(b"source", ""))
    yield Package(
        type="deb",
        name=name,
        version=version,
        arch=stanza.get(b"architecture", ""),
        source_name=source[1] if source else name,
        source_version=(source[2] if source else None) or version,
    )
