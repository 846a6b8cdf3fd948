"""What is remembered of a layer, by its digest."""

from __future__ import annotations

import base64
from array import array
from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from sys import byteorder
from typing import Any

from ecrsim.ecr.scanning.bill import OperatingSystem, Package

_MARK = 6


@dataclass(frozen=True, slots=True)
class FoundInFile:
    """What one file told: its packages, without path, layer and the distribution's id; or which system it is."""

    packages: tuple[Package, ...] = ()
    system: OperatingSystem | None = None

    @property
    def is_empty(self) -> bool:
        return not self.packages and self.system is None


@dataclass(frozen=True, slots=True)
class LayerContents:
    """What one layer adds, replaces and takes away. Paths have no leading slash."""

    digest: str
    #: What files told, by path.
    files: dict[str, FoundInFile] = field(default_factory=dict)
    #: Hard links to such files, or to files that are not in this layer.
    hard_links: dict[str, str] = field(default_factory=dict)
    #: Symlinks that may lead to directories, or to `os-release`, as they are written.
    symlinks: dict[str, str] = field(default_factory=dict)
    #: Paths of lower layers that are gone, with all below them.
    whiteouts: tuple[str, ...] = ()
    #: Directories below which nothing of lower layers is left.
    opaque: tuple[str, ...] = ()
    #: Marks of all paths of this layer, sorted: what it replaces below it can be told by them.
    marks: bytes = b""
    #: Files that could not be read, with the reason.
    unread: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A value for JSON from which `from_json` makes this layer again; what is empty is left out."""
        value = {
            "digest": self.digest,
            "files": {path: _found_to_json(found) for path, found in self.files.items()},
            "hard_links": self.hard_links,
            "symlinks": self.symlinks,
            "whiteouts": list(self.whiteouts),
            "opaque": list(self.opaque),
            "marks": base64.b64encode(self.marks).decode(),
            "unread": self.unread,
        }
        return {name: each for name, each in value.items() if each}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LayerContents:
        """The layer that `to_json` wrote."""
        return cls(
            digest=value["digest"],
            files={path: _found_from_json(found) for path, found in value.get("files", {}).items()},
            hard_links=value.get("hard_links", {}),
            symlinks=value.get("symlinks", {}),
            whiteouts=tuple(value.get("whiteouts", ())),
            opaque=tuple(value.get("opaque", ())),
            marks=base64.b64decode(value.get("marks", "")),
            unread=value.get("unread", {}),
        )


#: The fields of Package that a file tells, in the order in which they are kept.
_TOLD = ("type", "name", "version", "namespace", "arch", "source_name", "source_version", "licenses")


def _found_to_json(found: FoundInFile) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if found.packages:
        value["packages"] = [_trimmed([getattr(package, name) for name in _TOLD]) for package in found.packages]
    if found.system is not None:
        value["system"] = asdict(found.system)
    return value


def _trimmed(row: list[Any]) -> list[Any]:
    while row and not row[-1]:
        row.pop()
    return row


def _found_from_json(value: dict[str, Any]) -> FoundInFile:
    system = value.get("system")
    return FoundInFile(
        packages=tuple(_package(row) for row in value.get("packages", ())),
        system=None if system is None else OperatingSystem(**{**system, "id_like": tuple(system["id_like"])}),
    )


def _package(row: list[Any]) -> Package:
    told = dict(zip(_TOLD, row, strict=False))
    return Package(**{**told, "licenses": tuple(told.get("licenses", ()))})


class Marks:
    """A set of paths as 48-bit hashes: 6 bytes for each. Two of a million paths share one with a chance of 0.4 %."""

    def __init__(self, packed: bytes = b"") -> None:
        self._marks = array("Q")
        if packed:
            wide = bytearray(len(packed) // _MARK * 8)
            for at in range(_MARK):
                wide[at if byteorder == "little" else 7 - at :: 8] = packed[at::_MARK]
            self._marks.frombytes(bytes(wide))

    def add(self, path: str) -> None:
        """Note a path; a directory's ends in a slash. `packed` sorts them: only then they can be looked up."""
        self._marks.append(mark(path))

    def sort(self) -> None:
        """Make what was added ready to be looked up."""
        self._marks = array("Q", sorted(set(self._marks)))

    def __contains__(self, path: str) -> bool:
        return self.has(mark(path))

    def has(self, wanted: int) -> bool:
        """Whether a path with this mark is there."""
        at = bisect_left(self._marks, wanted)
        return at < len(self._marks) and self._marks[at] == wanted

    def packed(self) -> bytes:
        """For `Marks(…)` to unpack, on any machine."""
        return b"".join(each.to_bytes(_MARK, "little") for each in self._marks)


def mark(path: str) -> int:
    """The hash that stands for a path."""
    return int.from_bytes(blake2b(path.encode("utf-8", "surrogatepass"), digest_size=_MARK).digest(), "little")
