"""Python's distributions: `METADATA` of wheels, and the `PKG-INFO` or file of eggs."""

from __future__ import annotations

from collections.abc import Iterator

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of

_FIELDS = frozenset({b"name", b"version", b"license", b"license-expression"})


def read_metadata(content: Content) -> Iterator[Package]:
    """The head of a mail, as far as its first empty line: the description follows."""
    fields: dict[bytes, str] = {}
    for line in content.lines():
        if not line.strip():
            if fields:
                break
            continue
        before, colon, value = line.partition(b":")
        if colon and (key := before.strip().lower()) in _FIELDS and line[:1] not in b" \t":
            fields[key] = text_of(value)
    name, version = fields.get(b"name", ""), fields.get(b"version", "")
    # An egg of Python 2 calls the interpreter itself a distribution.
    if name and version and name != "Python":
        license_ = fields.get(b"license-expression") or fields.get(b"license", "")
        yield Package(type="pypi", name=name, version=version, licenses=(license_,) if license_ else ())
