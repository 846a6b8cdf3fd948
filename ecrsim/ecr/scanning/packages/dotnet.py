""".NET's packages: `deps.json` of what was published, and `packages.lock.json`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content
from ecrsim.ecr.scanning.packages.parsed_values import members, word

#: What a package may bring to an application; one that brings none of it, itself or by others, was needed to build it.
_BROUGHT = ("runtime", "runtimeTargets", "resources", "native", "compile")


def read_deps(content: Content) -> Iterator[Package]:
    """The libraries of type package that bring files, or that need ones that do."""
    value = members(content.json())
    needed: dict[str, Any] = {}
    for target in members(value.get("targets")).values():
        needed |= members(target)
    brings = _bring(needed)
    for key, library in members(value.get("libraries")).items():
        if key in brings and word(members(library).get("type")) == "package":
            yield from _nuget(*key.split("/", 1))


def _bring(needed: dict[str, Any]) -> set[str]:
    """The libraries `NAME/VERSION` that bring files: those that say so, and all that depend on such."""
    above: dict[str, list[str]] = {}
    found: list[str] = []
    for key, library in needed.items():
        if any(members(library).get(each) for each in _BROUGHT):
            found.append(key)
        for name, version in members(members(library).get("dependencies")).items():
            above.setdefault(f"{name}/{version}", []).append(key)
    brings: set[str] = set()
    while found:
        key = found.pop()
        if key not in brings:
            brings.add(key)
            found += above.get(key, ())
    return brings


def read_packages_lock(content: Content) -> Iterator[Package]:
    """What each target framework was resolved to."""
    found: dict[tuple[str, str], str] = {}
    for framework in members(members(content.json()).get("dependencies")).values():
        for name, entry in members(framework).items():
            found.setdefault((name.lower(), word(members(entry).get("resolved"))), name)
    for (_, version), name in found.items():
        yield from _nuget(name, version)


def _nuget(name: str, version: str = "") -> Iterator[Package]:
    if name and version:
        yield Package(type="nuget", name=name, version=version)
