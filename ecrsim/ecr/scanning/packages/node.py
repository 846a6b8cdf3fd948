"""Node's packages: each `package.json`, installed or not."""

from __future__ import annotations

from collections.abc import Iterator

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content
from ecrsim.ecr.scanning.packages.parsed_values import members, word, words


def read_package_json(content: Content) -> Iterator[Package]:
    """The package that the file describes, if it has a name and a version."""
    value = members(content.json())
    license_ = value.get("license")
    yield from npm(
        word(value.get("name")), word(value.get("version")), words(license_ or members(license_).get("type"))
    )


def npm(name: str, version: str, licenses: tuple[str, ...] = ()) -> Iterator[Package]:
    """The package of npm with this name, which has the scope in it."""
    if name and version:
        scope, _, bare = name.rpartition("/")
        yield Package(type="npm", name=bare, version=version, namespace=scope, licenses=licenses)
