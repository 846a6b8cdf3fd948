"""Which ecosystem of advisories a package belongs to, and under which name: the keys of the index."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ecrsim.ecr.scanning.bill import OperatingSystem, Package

#: OSV's names of the ecosystems of languages, by the type of a package URL.
LANGUAGES = {
    "pypi": "PyPI",
    "npm": "npm",
    "golang": "Go",
    "maven": "Maven",
    "gem": "RubyGems",
    "cargo": "crates.io",
    "composer": "Packagist",
    "nuget": "NuGet",
}
#: OSV's names of distributions, by `ID` of os-release, and how many numbers of VERSION_ID name a release.
_DISTRIBUTIONS = {
    "debian": ("Debian", 1),
    "ubuntu": ("Ubuntu", 2),
    "alpine": ("Alpine", 2),
    "wolfi": ("Wolfi", 0),
    "chainguard": ("Chainguard", 0),
    "minimos": ("MinimOS", 0),
    "echo": ("Echo", 0),
    "rhel": ("Red Hat", 1),
    "centos": ("Red Hat", 1),
    "rocky": ("Rocky Linux", 1),
    "almalinux": ("AlmaLinux", 1),
    "amzn": ("Amazon Linux", 1),
    "ol": ("Oracle Linux", 1),
    "fedora": ("Fedora", 1),
    "photon": ("Photon OS", 2),
    "azurelinux": ("Azure Linux", 1),
    "mageia": ("Mageia", 1),
    "sles": ("SUSE", 2),
    "sles_sap": ("SUSE", 2),
    "opensuse-leap": ("openSUSE:Leap", 2),
    "opensuse-tumbleweed": ("openSUSE:Tumbleweed", 0),
    "hummingbird": ("Hummingbird", 0),
}
#: Distributions whose records name sources alone; those of rpm name binaries, sources or both.
_OF_SOURCES = ("deb", "apk")

_RED_HAT = re.compile(r"Red Hat:enterprise_linux:(\d+)(?:\.\d+)?(?:::.*)?")
_UBUNTU_PRO = re.compile(r"Ubuntu:(?:Pro|ubuntu_pro):(\d+\.\d+)(?::.*)?")
_UBUNTU = re.compile(r"Ubuntu:(\d+\.\d+)(?::.*)?")
_AMAZON = re.compile(r"Amazon Linux:(?:amazon_linux_)?(\d+)(?:[.:].*)?")
_ORACLE = re.compile(r"Oracle Linux:(?:ol)?(\d+)(?:[_:.].*)?")
_SUSE_SERVER = re.compile(
    r"SUSE:Linux Enterprise (?:Server|Desktop|Module for .+?|High Performance Computing|Server for SAP Applications) "
    r"(\d+)(?:[ .](?:SP)?(\d+))?(?:-.*)?"
)
_SUSE_CPE = re.compile(r"SUSE Linux Enterprise [^:]+:\w+:(\d+)(?::sp(\d+))?(?:::.*)?")
_LEAP = re.compile(r"openSUSE:Leap[ :](\d+\.\d+).*")
_EXACT = (
    (_RED_HAT, "Red Hat:{}"),
    (_UBUNTU_PRO, "Ubuntu:Pro:{}"),
    (_UBUNTU, "Ubuntu:{}"),
    (_AMAZON, "Amazon Linux:{}"),
    (_ORACLE, "Oracle Linux:{}"),
    (_LEAP, "openSUSE:Leap:{}"),
)
_SEPARATORS = re.compile(r"[-_.]+")


class Key(NamedTuple):
    """Where the index is asked: ecosystem and name, and the version to compare."""

    ecosystem: str
    name: str
    version: str


@lru_cache(maxsize=4_096)
def ecosystem_key(text: str) -> str:
    """One spelling of an ecosystem: `Ubuntu:22.04:LTS` is `Ubuntu:22.04`; what tells of channels is left out."""
    for pattern, form in _EXACT:
        found = pattern.fullmatch(text)
        if found is not None:
            return form.format(found[1])
    found = _SUSE_SERVER.fullmatch(text) or _SUSE_CPE.fullmatch(text)
    if found is not None:
        return f"SUSE:{found[1]}.{found[2] or 0}"
    head, colon, rest = text.partition(":")
    if head in ("Maven", "Packagist", "NuGet", "PyPI", "npm", "Go", "RubyGems", "crates.io"):
        # Behind the colon stands the address of another registry of packages.
        return head
    if head == "Alpine" and colon:
        return f"Alpine:v{rest.removeprefix('v')}"
    if head in ("Rocky Linux", "AlmaLinux", "Debian") and colon:
        return f"{head}:{rest.partition('.')[0]}"
    return text


def name_key(ecosystem: str, name: str) -> str:
    """One spelling of a package's name: as PyPI normalizes it, and in lower case where the registry takes any."""
    if ecosystem == "PyPI":
        return _SEPARATORS.sub("-", name).lower()
    return name.lower() if ecosystem in ("NuGet", "Packagist", "crates.io") else name


def ecosystems_of(system: OperatingSystem) -> tuple[str, ...]:
    """The ecosystems of a distribution's packages, the nearest first; empty for one that no advisory is about."""
    found = _DISTRIBUTIONS.get(system.id)
    if found is None:
        return ()
    name, numbers = found
    if not numbers:
        return (name,)
    parts = system.version_id.split(".")
    release = ".".join(parts[:numbers])
    if not release:
        return (name,)
    if name == "SUSE" and len(parts) == 1:
        release += ".0"
    if name == "Alpine":
        return (f"Alpine:v{release}", "Alpine")
    more = (f"Ubuntu:Pro:{release}",) if name == "Ubuntu" else ()
    return (f"{name}:{release}", *more, name)


def keys_of(package: Package, system: OperatingSystem | None) -> list[Key]:
    """Where advisories about a package stand, the most telling first."""
    language = LANGUAGES.get(package.type)
    if language is not None:
        return [Key(language, name_key(language, _full_name(package)), package.version)]
    if system is None or not package.of_system:
        return []
    source = (package.source_name or package.name, package.source_version or package.version)
    names = [source]
    if package.type not in _OF_SOURCES:
        names.insert(0, (package.name, package.version))
    ecosystems = ecosystems_of(system)
    return [Key(ecosystem, name, version) for ecosystem in ecosystems for name, version in dict.fromkeys(names)]


def _full_name(package: Package) -> str:
    if not package.namespace:
        return package.name
    return f"{package.namespace}{':' if package.type == 'maven' else '/'}{package.name}"
