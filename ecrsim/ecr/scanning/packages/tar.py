"""The entries of a tar, one after the other, as Docker and containerd would unpack them.

Python's tarfile reads extended headers whole, whatever size they claim, and keeps every member; so the headers are read
here: ustar, PAX (POSIX.1-2001), GNU's long names, base-256 numbers and sparse files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ecrsim.ecr.scanning.packages.limits import BrokenLayer, Limits
from ecrsim.ecr.scanning.packages.streams import PieceStream

BLOCK = 512
_EMPTY = bytes(BLOCK)
FILE, HARD_LINK, SYMLINK, DIRECTORY, OTHER = "file", "hard link", "symlink", "directory", "other"
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"S": FILE,
    b"1": HARD_LINK,
    b"2": SYMLINK,
    b"5": DIRECTORY,
    b"3": OTHER,
    b"4": OTHER,
    b"6": OTHER,
}


@dataclass(slots=True)
class TarEntry:
    """One entry. `path` is clean: no leading slash, no `.` or `..`, no end in a slash; the root itself is ""."""

    kind: str
    path: str
    #: Of a hard link: clean as `path`. Of a symlink: as it is written.
    target: str
    size: int


def entries(tar: PieceStream, limits: Limits) -> Iterator[TarEntry]:
    """Whoever takes an entry may read its `size` bytes from `tar` until the next one is asked for, or fewer.

    Raises BrokenLayer where the tar is cut or wrong, or exceeds a limit.
    """
    return _Reader(tar, limits).entries()


class _Reader:
    def __init__(self, tar: PieceStream, limits: Limits) -> None:
        self._tar = tar
        self._limits = limits
        self._everywhere: dict[str, str] = {}

    def entries(self) -> Iterator[TarEntry]:
        count = 0
        extended: dict[str, str] = {}
        while header := self._header():
            kind, size = header[156:157], _number(header[124:136])
            if kind in (b"x", b"g", b"L", b"K"):
                extended |= self._extension(kind, size)
                continue
            count += 1
            if count > self._limits.entries:
                raise BrokenLayer(f"the layer has more than {self._limits.entries:,} entries")
            entry = self._entry(header, size, {**self._everywhere, **extended})
            extended = {}
            yield from self._content(entry, kind, header)

    def _header(self) -> bytes | None:
        """None at the end. A tar without the two empty blocks at its end is taken, as others do."""
        header = self._tar.exactly(BLOCK)
        if header == _EMPTY or (not header and self._tar.ends_surely and self._tar.passed):
            return None
        if len(header) < BLOCK:
            raise BrokenLayer("the layer is truncated: its tar ends in a header")
        try:
            told = _number(header[148:156])
        except BrokenLayer:
            told = -1
        if sum(header) - sum(header[148:156]) + 8 * 32 != told:
            raise BrokenLayer("the layer is no tar, or a broken one: the checksum of a header is wrong")
        return header

    def _extension(self, kind: bytes, size: int) -> dict[str, str]:
        """What an extended header says of the entry behind it."""
        if size > self._limits.headers:
            raise BrokenLayer(f"the layer has an extended header of {size:,} bytes")
        data = self._tar.exactly(size)
        if len(data) < size or self._tar.skip(-size % BLOCK) < -size % BLOCK:
            raise BrokenLayer("the layer is truncated: its tar ends in an extended header")
        if kind in (b"L", b"K"):
            return {"path" if kind == b"L" else "linkpath": _text(data.split(b"\0", 1)[0])}
        records = dict(_records(data))
        if kind == b"g":
            self._everywhere |= records
            return {}
        return records

    def _entry(self, header: bytes, size: int, extended: dict[str, str]) -> TarEntry:
        name = _text(header[:100].split(b"\0", 1)[0])
        if header[257:263] == b"ustar\0" and (prefix := header[345:500].split(b"\0", 1)[0]):
            name = f"{_text(prefix)}/{name}"
        name = extended.get("GNU.sparse.name") or extended.get("path") or name
        target = extended.get("linkpath") or _text(header[157:257].split(b"\0", 1)[0])
        if "size" in extended:
            size = _decimal(extended["size"])
        kind = _KINDS.get(header[156:157], FILE)
        if kind == FILE and name.endswith("/"):
            kind = DIRECTORY
        if kind != FILE:
            # As Go's archive/tar has it: these have no content, whatever their size says.
            size = 0
        path = clean(name, self._limits)
        if kind == HARD_LINK:
            target = clean(target, self._limits, "hard link")
        elif kind == SYMLINK:
            _stays_inside(path, target, self._limits)
        return TarEntry(kind, path, target, size)

    def _content(self, entry: TarEntry, kind: bytes, header: bytes) -> Iterator[TarEntry]:
        """Hand the entry over, and pass over what was left of its content."""
        if kind == b"S":
            self._sparse(header)
        if entry.size > self._limits.size:
            raise BrokenLayer(f"the layer has a file of {entry.size:,} bytes")
        before = self._tar.passed
        yield entry
        left = entry.size - (self._tar.passed - before)
        padding = -entry.size % BLOCK
        if self._tar.skip(left) < left:
            raise BrokenLayer(f"the layer is truncated: its tar ends in {_shown(entry.path)}")
        # Without its padding the last file is whole all the same; the next header tells if there should be more.
        self._tar.skip(padding)

    def _sparse(self, header: bytes) -> None:
        """The maps of an old GNU sparse file continue in blocks of their own, before the content."""
        more, blocks = header[482:483] not in (b"\0", b""), 0
        while more:
            block = self._tar.exactly(BLOCK)
            blocks += 1
            if len(block) < BLOCK:
                raise BrokenLayer("the layer is truncated: its tar ends in the map of a sparse file")
            if blocks * BLOCK > self._limits.headers:
                raise BrokenLayer(
                    f"the layer has a sparse file whose map is longer than {self._limits.headers:,} bytes"
                )
            more = block[504:505] != b"\0"


def clean(name: str, limits: Limits, what: str = "entry") -> str:
    """The path that `name` is below the root. BrokenLayer if it is not below it, or too long or deep."""
    if len(name) > limits.path:
        raise BrokenLayer(f"the layer has a path of {len(name):,} characters")
    if "\0" in name:
        raise BrokenLayer("the layer has a path with a zero byte")
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise BrokenLayer(f"the layer has the {what} {_shown(name)}, which leaves the image's root")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if len(parts) > limits.depth:
        raise BrokenLayer(f"the layer has a path of {len(parts)} folders")
    return "/".join(parts)


def _stays_inside(path: str, target: str, limits: Limits) -> None:
    """Docker refuses a layer with a symlink that climbs out of the root; one that is absolute begins at that root."""
    if len(target) > limits.path:
        raise BrokenLayer(f"the layer has a symlink to a path of {len(target):,} characters")
    height = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        height += -1 if part == ".." else part not in ("", ".")
        if height < 0 and not target.startswith("/"):
            raise BrokenLayer(f"the layer has the symlink {_shown(path)} to {_shown(target)}, outside of the root")


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """`LENGTH KEYWORD=VALUE` and a line feed, again and again; the length is that of the whole record."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = _decimal(_text(data[at:space])) if space > at else 0
        record = data[space + 1 : at + length]
        keyword, equals, value = record.partition(b"=")
        if space < 0 or not record.endswith(b"\n") or not equals or at + length > len(data):
            raise BrokenLayer("the layer has an extended header that is broken")
        yield _text(keyword), _text(value[:-1])
        at += length


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 with the highest bit set."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise BrokenLayer("the layer has a header with a negative number")
        return int.from_bytes(bytes([field[0] & 0x3F]) + field[1:])
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise BrokenLayer("the layer has a header with a number that is none") from None


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BrokenLayer("the layer has an extended header with a number that is none")
    return int(text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _shown(path: str) -> str:
    return repr(path if len(path) <= 120 else path[:117] + "...")
