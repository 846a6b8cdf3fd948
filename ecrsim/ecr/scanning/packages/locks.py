"""Lock files of applications: what was resolved, whether it was installed or not.

Those inside of an installed package are that package's own affair, and are not asked.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of
from ecrsim.ecr.scanning.packages.limits import Unread
from ecrsim.ecr.scanning.packages.node import npm
from ecrsim.ecr.scanning.packages.parsed_values import items, members, word
from ecrsim.ecr.scanning.packages.rust import crate

#: Folders whose content was installed.
_INSTALLED = frozenset({"node_modules", "site-packages", "dist-packages", "gems", "vendor", "registry", "bundle"})
_MODULES = "node_modules/"
#: Dependencies of dependencies in package-lock.json of the first version.
_DEPTH = 64
_GEM = re.compile(r"    ([^\s(]+) \(([^)]+)\)")
_GEM_SECTIONS = frozenset({"GEM", "GIT", "PATH", "PLUGIN SOURCE"})
#: `/@scope/name/1.2.3_peer@1.0.0` of version 5, `/name@1.2.3(peer@1.0.0)` of 6, `name@1.2.3` of 9.
_PNPM = re.compile(r"""  ['"]?/?((?:@[^/]+/)?[^@/]+)[@/]([^@/:('"_]+)[^:]*?['"]?:""")
_YARN_VERSION = re.compile(r'  version:? "?([^"]+)"?')
_YARN_RESOLUTION = re.compile(r'  resolution: "?((?:@[^/]+/)?[^@]+)@([a-z]+):')


def is_of_application(path: str) -> bool:
    """Whether a lock file at this path is the application's own."""
    return not _INSTALLED.intersection(path.split("/"))


def read_package_lock(content: Content) -> Iterator[Package]:
    """npm's; what only the development needs is left out."""
    value = members(content.json())
    packages = value.get("packages")
    if packages is None:
        yield from _dependencies(value, _DEPTH)
    for path, each in members(packages).items():
        name = word(members(each).get("name")) or path.rpartition(_MODULES)[2]
        if not members(each).get("dev") and not members(each).get("link"):
            yield from npm(name, word(members(each).get("version")))


def _dependencies(value: dict[str, Any], depth: int) -> Iterator[Package]:
    for name, each in members(value.get("dependencies")).items():
        version = word(members(each).get("version"))
        if members(each).get("dev"):
            continue
        # An alias stands for another package: `npm:name@1.2.3`.
        real, _, aliased = version.removeprefix("npm:").rpartition("@")
        yield from npm(real, aliased) if version.startswith("npm:") else npm(name, version)
        if depth:
            yield from _dependencies(members(each), depth - 1)


def read_yarn_lock(content: Content) -> Iterator[Package]:
    """yarn's, of version 1 and of those since 2, which look like YAML."""
    seen = set()
    name = version = ""
    for line in content.lines():
        text = line.decode("utf-8", "replace").rstrip()
        if text and text[0] not in " #":
            if (name, version) not in seen:
                yield from npm(name, version)
            seen.add((name, version))
            name, version = _yarn_name(text), ""
        elif not version and (found := _YARN_VERSION.fullmatch(text)):
            version = found[1]
        elif found := _YARN_RESOLUTION.match(text):
            # The application itself, and the parts that it is made of, are not packages of npm's.
            name = found[1] if found[2] == "npm" else ""
    if (name, version) not in seen:
        yield from npm(name, version)


def _yarn_name(header: str) -> str:
    """`"@scope/name@^1.0.0", "@scope/name@^1.2.0":`, or `alias@npm:name@^1.0.0`."""
    wanted = header.rstrip(":").split(",")[0].strip('" ')
    name, _, range_ = wanted[1:].partition("@")
    real = range_.removeprefix("npm:")
    if range_ != real and "@" in real[1:]:
        return real[:1] + real[1:].partition("@")[0]
    return wanted[:1] + name if range_ else ""


def read_pnpm_lock(content: Content) -> Iterator[Package]:
    """pnpm's: the keys below `packages`, each once, whatever it was resolved beside."""
    is_inside = False
    seen = set()
    for line in content.lines():
        if line[:1] not in b" \r":
            is_inside = line.startswith(b"packages:")
        elif is_inside and line[2:3] not in b" " and (found := _PNPM.match(line.decode("utf-8", "replace"))):
            if found.groups() not in seen:
                yield from npm(found[1], found[2])
            seen.add(found.groups())


def read_gemfile_lock(content: Content) -> Iterator[Package]:
    """Bundler's: four spaces, name and version, in the sections of the sources."""
    section = ""
    for line in content.lines():
        text = line.decode("utf-8", "replace").rstrip()
        if text[:1].strip():
            section = text
        elif section in _GEM_SECTIONS and (found := _GEM.fullmatch(text)):
            yield Package(type="gem", name=found[1], version=found[2])


def read_cargo_lock(content: Content) -> Iterator[Package]:
    """Cargo's."""
    try:
        value = tomllib.loads(text_of(content.whole()))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unread(f"no TOML that can be read: {str(error)[:200]}") from None
    for each in items(value.get("package")):
        yield from crate(each)
