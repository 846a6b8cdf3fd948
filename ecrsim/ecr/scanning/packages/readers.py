"""Which file is read by what: by its name and the folders above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.packages import alpine, debian, systems
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
    if above.endswith("lib/dpkg/status.d") and not name.endswith(".md5sums"):
        return debian.read_dpkg
    return None


def _is_below(above: str, ends: str) -> bool:
    """Whether the folder `above` is `ends`, or a folder of that name somewhere deeper; "" is any folder."""
    return not ends or above == ends or above.endswith("/" + ends)


#: By the file's name: the end of the folder's path, and what reads it.
_BY_NAME: dict[str, tuple[tuple[str, Reader], ...]] = {
    "os-release": (("etc", systems.read_os_release), ("usr/lib", systems.read_os_release)),
    "status": (("lib/dpkg", debian.read_dpkg),),
    "installed": (("lib/apk/db", alpine.read_apk),),
}
