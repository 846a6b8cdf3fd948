"""Reading a layer: one pass over its stream, keeping only what files told."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname

from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.packages import systems
from ecrsim.ecr.scanning.packages.content import Content
from ecrsim.ecr.scanning.packages.executables import is_executable, read_executable
from ecrsim.ecr.scanning.packages.layer import FoundInFile, LayerContents, Marks
from ecrsim.ecr.scanning.packages.limits import LIMITS, BrokenLayer, Limits, Unread
from ecrsim.ecr.scanning.packages.readers import reader_of
from ecrsim.ecr.scanning.packages.streams import PieceStream, ReadableBytes, unpacked
from ecrsim.ecr.scanning.packages.tar import DIRECTORY, FILE, HARD_LINK, SYMLINK, TarEntry, entries

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
#: Links that lead on to one file before it is taken for none.
_STEPS = 16


def read_layer(stream: ReadableBytes, media_type: str, digest: str, limits: Limits = LIMITS) -> LayerContents:
    """What the layer adds to an image and takes away from it; `stream` is its blob, as it lies in the store.

    The content tells how it is packed: media types are wrong now and then. BrokenLayer if it cannot be read whole.
    """
    if media_type.endswith("+encrypted"):
        raise BrokenLayer("the layer is encrypted")
    return _Reading(digest, limits).read(unpacked(stream, limits))


class _Reading:
    def __init__(self, digest: str, limits: Limits) -> None:
        self._digest = digest
        self._limits = limits
        self._marks = Marks()
        self._files: dict[str, FoundInFile] = {}
        self._hard_links: dict[str, str] = {}
        self._symlinks: dict[str, str] = {}
        self._whiteouts: list[str] = []
        self._opaque: list[str] = []
        self._unread: dict[str, str] = {}
        self._kept = 0
        self._packages = 0

    def read(self, tar: PieceStream) -> LayerContents:
        for entry in entries(tar, self._limits):
            name = entry.path.rpartition("/")[2]
            if name.startswith(_WHITEOUT):
                self._take_away(entry, name)
            elif entry.path:
                self._marks.add(entry.path + "/" if entry.kind == DIRECTORY else entry.path)
                self._take(entry, tar)
        self._marks.sort()
        return LayerContents(
            digest=self._digest,
            files=self._files,
            hard_links=self._kept_hard_links(),
            symlinks={path: target for path, target in self._symlinks.items() if self._may_matter(path)},
            whiteouts=tuple(sorted(set(self._whiteouts))),
            opaque=tuple(sorted(set(self._opaque))),
            marks=self._marks.packed(),
            unread=self._unread,
        )

    def _take_away(self, entry: TarEntry, name: str) -> None:
        above = dirname(entry.path)
        self._keep(entry.path)
        if name == _OPAQUE:
            self._opaque.append(above)
        elif not name.startswith(".wh..wh.") and name != _WHITEOUT:
            self._whiteouts.append(f"{above}/{name[len(_WHITEOUT) :]}".lstrip("/"))

    def _take(self, entry: TarEntry, tar: PieceStream) -> None:
        """Of several entries with one path the last one stands."""
        for told in (self._files, self._hard_links, self._symlinks, self._unread):
            told.pop(entry.path, None)
        if entry.kind == SYMLINK:
            self._keep(entry.path, entry.target)
            self._symlinks[entry.path] = entry.target
        elif entry.kind == HARD_LINK:
            self._keep(entry.path, entry.target)
            self._hard_links[entry.path] = entry.target
        elif entry.kind == FILE and entry.size:
            self._take_file(entry, tar)

    def _take_file(self, entry: TarEntry, tar: PieceStream) -> None:
        reader = reader_of(entry.path)
        if reader is None and is_executable(tar.peek(4)):
            reader = read_executable
        if reader is None:
            return
        try:
            told = reader(Content(entry.path, tar, entry.size, self._limits))
            found = self._found(entry.path, told)
        except Unread as reason:
            self._keep(entry.path)
            self._unread[entry.path] = str(reason)
            return
        if not found.is_empty:
            self._keep(entry.path)
            self._files[entry.path] = found

    def _found(self, path: str, told: Iterator[Package | OperatingSystem]) -> FoundInFile:
        """All that is told, within the bounds of the layer."""
        packages: list[Package] = []
        system = None
        for each in told:
            if isinstance(each, OperatingSystem):
                system = each
                continue
            texts = (each.name, each.version, each.namespace, each.arch, each.source_name, each.source_version)
            if max(map(len, texts)) > self._limits.name:
                self._unread[path] = f"a package with a name or a version of more than {self._limits.name:,} characters"
                continue
            self._keep(*texts, *each.licenses)
            self._packages += 1
            if self._packages > self._limits.packages:
                raise BrokenLayer(f"the layer has more than {self._limits.packages:,} packages")
            packages.append(each)
        return FoundInFile(tuple(packages), system)

    def _keep(self, *texts: str) -> None:
        """Count what is remembered for as long as the layer is read, so that names alone cannot fill the memory."""
        self._kept += sum(map(len, texts))
        if self._kept > self._limits.kept:
            raise BrokenLayer(f"the layer has more than {self._limits.kept >> 20} MiB of names")

    def _kept_hard_links(self) -> dict[str, str]:
        """Those to files that told something, and those to files that must be in lower layers."""
        kept = {}
        for path, target in self._hard_links.items():
            end = target
            for _ in range(_STEPS):
                if end not in self._hard_links:
                    break
                end = self._hard_links[end]
            if end not in self._marks or end in self._files:
                kept[path] = end
        return kept

    def _may_matter(self, path: str) -> bool:
        """Whether a symlink may lead to a directory; those to files of this layer, the most of them, do not."""
        if path in systems.PATHS:
            return True
        for _ in range(_STEPS):
            target = self._symlinks.get(path)
            if target is None:
                return path not in self._marks
            path = followed(path, target)
        return False


def followed(path: str, target: str) -> str:
    """The path that a symlink at `path` leads to. A root has no folder above it: `/..` is `/`."""
    parts: list[str] = [] if target.startswith("/") else path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
