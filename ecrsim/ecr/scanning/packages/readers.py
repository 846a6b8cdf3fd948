"""Which file is read by what: by its name and the folders above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.packages import alpine, debian, dotnet, java, locks, node, php, python, rpm, ruby, systems
from ecrsim.ecr.scanning.packages.content import Content

#: It yields what it finds as it reads; Unread ends it, and nothing of the file is taken.
Reader = Callable[[Content], Iterator[Package | OperatingSystem]]


def reader_of(path: str) -> Reader | None:
    """What reads the file at this path, or None if nothing does."""
    above, _, name = path.rpartition("/")
    if (rows := _BY_NAME.get(name)) is not None:
        for ends, reader in rows:
            if _is_below(above, ends):
                return reader
    if (lock := _LOCKS.get(name)) is not None and locks.is_of_application(path):
        return lock
    if above.endswith("lib/dpkg/status.d") and not name.endswith(".md5sums"):
        return debian.read_dpkg
    for suffix, reader in _BY_SUFFIX:
        if name.endswith(suffix):
            return reader
    if name.endswith(".gemspec") and "/specifications/" in path:
        return ruby.read_gemspec
    return None


def _is_below(above: str, ends: str) -> bool:
    """Whether the folder `above` is `ends`, in any folder; one that begins with a star may begin otherwise."""
    if ends[:1] == "*":
        return above.endswith(ends[1:])
    return not ends or above == ends or above.endswith("/" + ends)


_RPM = ("var/lib/rpm", "usr/share/rpm", "usr/lib/sysimage/rpm")

#: By the file's name: the end of the folder's path, and what reads it.
_BY_NAME: dict[str, tuple[tuple[str, Reader], ...]] = {
    "os-release": (("etc", systems.read_os_release), ("usr/lib", systems.read_os_release)),
    "status": (("lib/dpkg", debian.read_dpkg),),
    "installed": (("lib/apk/db", alpine.read_apk),),
    "rpmdb.sqlite": tuple((folder, rpm.read_rpm_sqlite) for folder in _RPM),
    "Packages.db": tuple((folder, rpm.read_rpm_ndb) for folder in _RPM),
    "Packages": tuple((folder, rpm.read_rpm_berkeley) for folder in _RPM),
    "METADATA": (("*dist-info", python.read_metadata), ("*DIST-INFO", python.read_metadata)),
    "PKG-INFO": (("*egg-info", python.read_metadata), ("*EGG-INFO", python.read_metadata)),
    "package.json": (("", node.read_package_json),),
    "installed.json": (("", php.read_installed),),
    "packages.lock.json": (("", dotnet.read_packages_lock),),
    "container-manifest-2": (("var/lib/rpmmanifest", rpm.read_rpm_manifest),),
}

#: Lock files, in any folder where nothing was installed.
_LOCKS: dict[str, Reader] = {
    "package-lock.json": locks.read_package_lock,
    "yarn.lock": locks.read_yarn_lock,
    "pnpm-lock.yaml": locks.read_pnpm_lock,
    "Gemfile.lock": locks.read_gemfile_lock,
    "Cargo.lock": locks.read_cargo_lock,
    "composer.lock": php.read_composer_lock,
}

#: By the end of its name.
_BY_SUFFIX: tuple[tuple[str, Reader], ...] = (
    (".egg-info", python.read_metadata),
    (".deps.json", dotnet.read_deps),
    *((suffix, java.read_archive) for suffix in java.SUFFIXES),
)
