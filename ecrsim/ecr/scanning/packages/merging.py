"""Layers on top of each other: what is left of them in the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ecrsim.ecr.scanning.bill import Bill, OperatingSystem, Package
from ecrsim.ecr.scanning.packages import systems
from ecrsim.ecr.scanning.packages.layer import FoundInFile, LayerContents, Marks, mark
from ecrsim.ecr.scanning.packages.limits import BrokenLayer
from ecrsim.ecr.scanning.packages.readers import reader_of
from ecrsim.ecr.scanning.packages.reading import followed

#: As many links are followed as the kernel follows before it says ELOOP.
_STEPS = 40


class _Kept(NamedTuple):
    found: FoundInFile
    layer: str
    #: The file that a hard link was made to.
    same_as: str | None = None


def bill_of(layers: Sequence[LayerContents]) -> Bill:
    """What the image of these layers holds, the lowest first: what a higher one deletes or replaces is not in it.

    BrokenLayer if a layer has a hard link to a file that no layer has: nobody could unpack the image.
    """
    tree = _Tree()
    for layer in layers:
        tree.put(layer)
    return tree.bill()


class _Tree:
    """The files of the image that told something, at the places where symlinks bring them."""

    def __init__(self) -> None:
        self._files: dict[str, _Kept] = {}
        self._links: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._below: list[Marks] = []
        self._hashes: dict[str, int] = {}

    def put(self, layer: LayerContents) -> None:
        """Lay the layer on top."""
        marks = Marks(layer.marks)
        self._remove(layer, marks)
        # A link stands at the real place of its folder, which links of lower layers may tell, and of its own.
        for path, target in layer.symlinks.items():
            self._links[self._place(path)] = target
        for path, found in layer.files.items():
            self._files[self._place(path)] = _Kept(found, layer.digest)
        for path, target in layer.hard_links.items():
            self._hard_link(path, self._place(target), layer, marks)
        self._unread |= layer.unread
        self._below.append(marks)

    def _remove(self, layer: LayerContents, marks: Marks) -> None:
        gone = {self._place(path) for path in layer.whiteouts}
        opaque = {self._resolved(path) for path in layer.opaque}
        aliases = self._aliases()
        for told in (self._files, self._links, self._unread):
            for path in [each for each in told if self._is_gone(each, gone, opaque, marks, aliases)]:
                del told[path]

    def _is_gone(
        self, path: str, gone: set[str], opaque: set[str], marks: Marks, aliases: dict[str, list[str]]
    ) -> bool:
        if "" in opaque or path in gone or any(each in gone or each in opaque for each in _above(path)):
            return True
        return any(
            # Another file is there, or a directory; or a file is where a folder was that it lay in.
            self._has(marks, name)
            or self._has(marks, name + "/")
            or any(self._has(marks, each) for each in _above(name))
            for name in (path, *_other_names(path, aliases))
        )

    def _has(self, marks: Marks, path: str) -> bool:
        found = self._hashes.get(path)
        if found is None:
            found = self._hashes[path] = mark(path)
        return marks.has(found)

    def _aliases(self) -> dict[str, list[str]]:
        """The links to each folder: a layer may put files into the folder by their names."""
        aliases: dict[str, list[str]] = {}
        for link in self._links:
            aliases.setdefault(self._resolved(link), []).append(link)
        return aliases

    def _hard_link(self, path: str, target: str, layer: LayerContents, marks: Marks) -> None:
        kept = self._files.get(target)
        if kept is not None and reader_of(path) is not reader_of(target):
            # A file of another name, as a copy in a cache, is not asked there.
            return
        if kept is not None:
            self._files[self._place(path)] = kept._replace(layer=layer.digest, same_as=target)
        elif not any(self._has(each, target) for each in (marks, *self._below)):
            raise BrokenLayer(
                f"the layer has a hard link to a file that no layer has: {path[:120]!r} to {target[:120]!r}"
            )

    def _place(self, path: str) -> str:
        """Where a file at this path lies: the links among the folders above it are followed, it is not."""
        above, slash, name = path.rpartition("/")
        return f"{self._resolved(above)}/{name}".lstrip("/") if slash else path

    def _resolved(self, path: str) -> str:
        """The path with all links followed, as far as the layers so far have them; a loop ends where it is."""
        rest = path.split("/")[::-1]
        done = ""
        steps = 0
        while rest:
            part = rest.pop()
            here = f"{done}/{part}".lstrip("/")
            target = self._links.get(here)
            if target is None or steps >= _STEPS:
                done = here
                continue
            steps += 1
            rest += followed(here, target).split("/")[::-1]
            done = ""
        return done

    def bill(self) -> Bill:
        packages = sorted(self._packages(), key=lambda each: (each.type, each.name, each.version, each.path))
        return Bill(system=self._system(), packages=tuple(packages), unread=tuple(sorted(self._unread.items())))

    def _packages(self) -> Iterator[Package]:
        system = self._system()
        for path, kept in self._files.items():
            if kept.same_as is not None and (origin := self._files.get(kept.same_as)) and origin.found is kept.found:
                continue
            for package in kept.found.packages:
                namespace = system.id if system is not None and package.of_system else package.namespace
                yield replace(package, path=path, layer=kept.layer, namespace=namespace)

    def _system(self) -> OperatingSystem | None:
        for path in (*systems.PATHS, *systems.BUSYBOX):
            kept = self._files.get(self._resolved(path))
            if kept is not None and kept.found.system is not None:
                return kept.found.system
        return None


def _above(path: str) -> Iterable[str]:
    """The folders that the path is in, the nearest first."""
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path


def _other_names(path: str, aliases: dict[str, list[str]]) -> Iterator[str]:
    for above in _above(path):
        for link in aliases.get(above, ()):
            yield link + path[len(above) :]
