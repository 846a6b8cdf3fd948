"""Go's modules, which the linker writes into every program (`debug/buildinfo`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.streams import PieceStream

_MAGIC = b"\xff Go buildinf:"
_ALIGNED = 16
#: Magic, the size of a pointer, flags; the texts begin behind it.
_HEADER = 32
_FLAGS = 15
_INLINE = 2
_VERSION_LENGTH, _MODULES_LENGTH = 256, 4 * 1024 * 1024
#: The linker puts 16 bytes before and behind the text of the modules.
_FRAME = 16
_DEVELOPED = "(devel)"
_LDFLAGS_KEY = re.compile(r"(?:[vV]er(?:sion)?|[tT]ag)$")
_LDFLAGS_VERSION = re.compile(r"v?\d+.\d+.\d+[-\w]*(?:\.[-\w]+)*")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z?$")


def find(window: bytes, start: int, base: int) -> int | None:
    """Where in the window, which begins at `base`, the block of the linker begins: aligned, and not before `start`."""
    at = window.find(_MAGIC, max(start, 0))
    while at >= 0 and ((base + at) % _ALIGNED or not window[at + _FLAGS : at + _FLAGS + 1] > b"\1"):
        at = window.find(_MAGIC, at + 1)
    return at if at >= 0 else None


def modules(begun: bytes, rest: PieceStream) -> Iterator[Package] | None:
    """The modules and Go's own library, of a block that begins with `begun`; None if it is no such block.

    Programs of Go before 1.18, whose block has pointers, are not read.
    """
    block = _Block(begun, rest)
    header = block.take(_HEADER)
    if len(header) < _HEADER or not header[_FLAGS] & _INLINE:
        return None
    version = block.text(_VERSION_LENGTH)
    if version is None or not version.startswith(("go", "devel")):
        return None
    text = block.text(_MODULES_LENGTH) or ""
    return _told(version, text[_FRAME:-_FRAME] if len(text) > 2 * _FRAME else "")


class _Block:
    def __init__(self, begun: bytes, rest: PieceStream) -> None:
        self._begun = begun
        self._rest = rest

    def take(self, size: int) -> bytes:
        taken, self._begun = self._begun[:size], self._begun[size:]
        return taken if len(taken) == size else taken + self._rest.exactly(size - len(taken))

    def text(self, most: int) -> str | None:
        """A text behind its length, which is a varint."""
        length = shift = 0
        while True:
            byte = self.take(1)
            if not byte or shift > 28:
                return None
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                break
        if length > most:
            return None
        return self.take(length).decode("utf-8", "replace")


@dataclass(slots=True)
class _Module:
    path: str
    version: str
    replaced_by: tuple[str, str] | None = None

    def package(self) -> Iterator[Package]:
        """A replacement by a folder keeps the name; a version that nobody gave is none."""
        path, version = self.path, self.version
        if self.replaced_by is not None:
            version = self.replaced_by[1]
            if not self.replaced_by[0].startswith((".", "/")):
                path = self.replaced_by[0]
        if path and version and version != _DEVELOPED:
            yield Package(type="golang", name=path, version=version)


@dataclass(slots=True)
class _Build:
    path: str = ""
    main: _Module | None = None
    needed: list[_Module] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)


def _told(version: str, text: str) -> Iterator[Package]:
    build = _parsed(text)
    main = build.main
    if main is None or main.path == "command-line-arguments":
        # A program of single files; the module that they lie in is among those that it needs.
        own = [each for each in build.needed if each.version == _DEVELOPED]
        main = own[0] if len(own) == 1 else _Module(build.path, _DEVELOPED)
    if main.version == _DEVELOPED:
        main.version = _main_version(main.path, build.settings)
    yield from main.package()
    for each in build.needed:
        if each is not main:
            yield from each.package()
    library = version.partition(" ")[0].removeprefix("go")
    if library[:1].isdigit() and (main.path or build.needed):
        yield Package(type="golang", name="stdlib", version=library, licenses=("BSD-3-Clause",))


def _parsed(text: str) -> _Build:
    build = _Build()
    last: _Module | None = None
    for line in text.splitlines():
        kind, *fields = line.split("\t")
        fields += ["", ""]
        if kind == "path":
            build.path = fields[0]
        elif kind == "mod":
            last = build.main = _Module(fields[0], fields[1])
        elif kind == "dep":
            last = _Module(fields[0], fields[1])
            build.needed.append(last)
        elif kind == "=>" and last is not None:
            last.replaced_by = (fields[0], fields[1])
        elif kind == "build":
            key, _, value = fields[0].partition("=")
            build.settings[key] = value
    return build


def _main_version(path: str, settings: dict[str, str]) -> str:
    """What `-ldflags` set, else the pseudo-version of the commit; "" if neither is told."""
    for flag in settings.get("-ldflags", "")[:4096].replace('"', " ").replace("'", " ").split():
        key, equals, value = flag.partition("=")
        owner, dot, _ = key.rpartition(".")
        is_ours = owner == "main" or owner.startswith(path + "/")
        if equals and dot and is_ours and _LDFLAGS_KEY.search(key):
            found = _LDFLAGS_VERSION.match(value.rpartition("/")[2])
            if found is not None:
                return found[0] if found[0].startswith("v") else f"v{found[0]}"
    revision, time = settings.get("vcs.revision", ""), _TIME.match(settings.get("vcs.time", ""))
    return f"v0.0.0-{''.join(time.groups())}-{revision[:12]}" if revision and time else ""
