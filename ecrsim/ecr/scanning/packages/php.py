"""PHP's packages: Composer's `installed.json`, which stands beside them, and its lock file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content
from ecrsim.ecr.scanning.packages.parsed_values import items, members, word, words


def read_installed(content: Content) -> Iterator[Package]:
    """A list of packages; since Composer 2 it is a member."""
    value = content.json()
    for each in items(members(value).get("packages") if isinstance(value, dict) else value):
        yield from _package(each)


def read_composer_lock(content: Content) -> Iterator[Package]:
    """What is needed; what only the development needs is a member of its own."""
    for each in items(members(content.json()).get("packages")):
        yield from _package(each)


def _package(value: dict[str, Any]) -> Iterator[Package]:
    vendor, _, name = word(value.get("name")).rpartition("/")
    version = word(value.get("version"))
    if name and version:
        licenses = words(value.get("license"))
        yield Package(type="composer", name=name, version=version, namespace=vendor, licenses=licenses)
