"""How Inspector calls operating systems, package managers and the parts of a version. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ecrsim.ecr.scanning.bill import OperatingSystem, Package

#: By the id of `os-release`; others are in capitals.
_NAMES = {
    "almalinux": "ALMA_LINUX",
    "alpine": "ALPINE_LINUX",
    "amzn": "AMAZON_LINUX",
    "azurelinux": "AZURE_LINUX",
    "ol": "ORACLE_LINUX",
    "opensuse-leap": "OPEN_SUSE",
    "photon": "PHOTON_OS",
    "rocky": "ROCKY_LINUX",
    "sles": "SUSE_SERVER",
}
#: Those that are named by the first part of their version alone.
_BY_MAJOR = frozenset({"almalinux", "amzn", "azurelinux", "debian", "fedora", "ol", "photon", "rhel", "rocky"})
#: By what the path of the file ends with, the longest first.
_MANAGERS = (
    ("package-lock.json", "NPM"),
    ("pnpm-lock.yaml", "NPM"),
    ("yarn.lock", "YARN"),
    ("package.json", "NODEPKG"),
    ("Pipfile.lock", "PIPENV"),
    ("poetry.lock", "POETRY"),
    ("requirements.txt", "PIP"),
    ("go.mod", "GOMOD"),
    ("pom.xml", "POM"),
    (".gemspec", "GEMSPEC"),
    ("Gemfile.lock", "BUNDLER"),
    ("packages.lock.json", "NUGET"),
    (".deps.json", "DOTNET_CORE"),
)
_BY_TYPE = {
    "pypi": "PYTHONPKG",
    "npm": "NODEPKG",
    "golang": "GOBINARY",
    "maven": "JAR",
    "gem": "GEMSPEC",
    "cargo": "CARGO",
    "composer": "COMPOSER",
    "nuget": "NUGET",
}
#: How a distribution upgrades one package (recorded of dnf, the others are inferred).
_UPGRADES = {"rpm": "dnf update {}", "deb": "apt-get install --only-upgrade {}", "apk": "apk upgrade {}"}


def platform(system: OperatingSystem | None) -> str | None:
    """`DEBIAN_12`, `ALPINE_LINUX_3_21`, `AMAZON_LINUX_2023` (recorded of some, inferred for the others)."""
    if system is None or not system.id:
        return None
    name = _NAMES.get(system.id, system.id.upper().replace("-", "_"))
    parts = system.version_id.split(".") if system.version_id else []
    kept = parts[:1] if system.id in _BY_MAJOR else parts[:2]
    return "_".join([name, *kept])


def package_manager(package: Package) -> str:
    """The word of Inspector for who put the package there: `OS`, or by the file that tells of it."""
    if package.of_system:
        return "OS"
    for ending, manager in _MANAGERS:
        if package.path.endswith(ending):
            return manager
    return _BY_TYPE.get(package.type, "OS")


def split_version(package: Package) -> tuple[int, str, str]:
    """Epoch, version and release; a package of a language has a version alone."""
    if not package.of_system:
        return 0, package.version, ""
    epoch, colon, rest = package.version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", package.version
    version, dash, release = rest.rpartition("-")
    return (int(epoch), version, release) if dash else (int(epoch), rest, "")


def remediation(fixed: Sequence[Package]) -> str | None:
    """The command that upgrades packages of the operating system which have a fix; None where there is none."""
    names = list(dict.fromkeys(each.name for each in fixed if each.of_system))
    form = next((_UPGRADES[each.type] for each in fixed if each.type in _UPGRADES), None)
    return form.format(" ".join(names)) if form and names else None
