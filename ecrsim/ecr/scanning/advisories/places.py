"""Where advisories are brought from: a file or a directory, as steps that can be left out when an import goes on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from ecrsim.core.clock import iso
from ecrsim.core.durations import SECOND
from ecrsim.ecr.scanning.advisories import archive
from ecrsim.ecr.scanning.advisories.records import RecordRefused
from ecrsim.ecr.scanning.advisories.trackers import DEBIAN, is_alpine, of_alpine, of_debian
from ecrsim.ecr.scanning.advisories.writing import RecordInFile

#: Bytes of one JSON file that is not in an archive: the whole of Debian's tracker is 70 MB.
MAX_JSON = 512 * 1024 * 1024
_PIECE = 1024 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")

#: Reads one file of an archive, one file of a directory, or one member of a big document.
Step = Callable[[], Iterator[RecordInFile]]


class NoPlace(Exception):
    """Nothing can be imported from there; the text says why."""


def kinds_of(path: Path) -> list[Path]:
    """The files of a place, in order: itself, or all JSON files and zip archives below a directory. NoPlace."""
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        found = sorted(each for each in path.rglob("*") if each.suffix in (".json", ".zip") and each.is_file())
    except OSError as error:
        raise NoPlace(f"{path} cannot be read: {error.strerror}") from error
    if not found:
        raise NoPlace(f"{path} has no .json and no .zip in it")
    return found


def fingerprint(files: list[Path]) -> str:
    """Another one where the content is another: of one file its bytes, of many their names, sizes and times."""
    hasher = hashlib.sha256()
    try:
        if len(files) == 1:
            with files[0].open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        for each in files:
            found = each.stat()
            hasher.update(f"{each}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise NoPlace(f"{error.filename} cannot be read: {error.strerror}") from error
    return hasher.hexdigest()


def count(files: list[Path]) -> int | None:
    """How many steps there are about; None where only reading would tell."""
    total = 0
    for each in files:
        if each.suffix != ".zip":
            total += 1
            continue
        with each.open("rb") as stream:
            try:
                total += archive.count(stream)
            except archive.NoArchive:
                total += 1
    return total if len(files) > 1 or files[0].suffix == ".zip" else None


def steps(files: list[Path]) -> Iterator[Step]:
    """Everything that is to be read, in the same order each time.

    A step is good until the next one is asked for; one that is not called reads nothing.
    """
    for each in files:
        with each.open("rb") as stream:
            head = stream.read(4)
            if head[:2] == b"PK":
                yield from _of_archive(each, stream)
            else:
                yield from _of_json(each)


def _of_archive(file: Path, stream: BinaryIO) -> Iterator[Step]:
    modified = _modified(file)
    try:
        for member in archive.members(stream):
            yield lambda member=member: _member(stream, member, modified)  # type: ignore[misc]
    except archive.NoArchive as error:
        reason = RecordRefused(f"the archive is broken: {error}")
        yield lambda: iter([RecordInFile(file.name, reason)])


def _member(stream: BinaryIO, member: archive.ArchivedFile, modified: str) -> Iterator[RecordInFile]:
    if not member.name.endswith(".json"):
        return
    try:
        document = _parsed(archive.content(stream, member))
    except RecordRefused as reason:
        yield RecordInFile(member.name, reason)
        return
    yield from entries_of(document, member.name, modified)


def _of_json(file: Path) -> Iterator[Step]:
    if file.stat().st_size > archive.MAX_MEMBER:
        yield from _of_big_json(file)
        return

    def read() -> Iterator[RecordInFile]:
        try:
            document = _parsed(file.read_bytes())
        except (RecordRefused, OSError) as reason:
            yield RecordInFile(file.name, RecordRefused(str(reason)))
            return
        yield from entries_of(document, file.name, _modified(file))

    yield read


def entries_of(document: Any, place: str, modified: str) -> Iterator[RecordInFile]:
    """The records of a document: itself, a list, `{"records": […]}`, a secdb, or Debian's tracker."""
    if is_alpine(document):
        for found in of_alpine(document, modified):
            yield RecordInFile(place, found, joins=True)
    elif isinstance(document, list):
        for each in document:
            yield RecordInFile(place, each)
    elif isinstance(document, dict) and "id" not in document and isinstance(document.get("records"), list):
        for each in document["records"]:
            yield RecordInFile(place, each)
    elif isinstance(document, dict) and DEBIAN.match(_head(document)):
        for source, found in document.items():
            yield from _debian(source, found, place, modified)
    else:
        yield RecordInFile(place, document)


def _head(document: dict[str, Any]) -> str:
    """The beginning of a document, as far as it tells the tracker's from a record."""
    for name, value in document.items():
        inner = next(iter(value), "") if isinstance(value, dict) else ""
        return f'{{"{name}":{{"{inner}"'
    return ""


def _debian(source: str, found: Any, place: str, modified: str) -> Iterator[RecordInFile]:
    for each in of_debian(source, found, modified):
        yield RecordInFile(place, each, joins=True)


def _of_big_json(file: Path) -> Iterator[Step]:
    """A list of records, or Debian's tracker: one member after the other, the text alone being in memory."""
    place, modified = file.name, _modified(file)
    if file.stat().st_size > MAX_JSON:
        yield lambda: iter([RecordInFile(place, RecordRefused(f"it has more than {MAX_JSON} bytes"))])
        return
    try:
        text = file.read_text(encoding="utf-8")
        is_debian = DEBIAN.match(text) is not None
        if not is_debian and not text.lstrip(" \t\r\n").startswith("["):
            raise RecordRefused("it is neither a list of records nor Debian's tracker, and too long for one record")
        for name, value in _inside(text):
            if is_debian:
                yield lambda name=name, value=value: _debian(name, value, place, modified)  # type: ignore[misc]
            else:
                yield lambda value=value: iter([RecordInFile(place, value)])  # type: ignore[misc]
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, RecordRefused) else RecordRefused(f"it is not JSON: {error}")
        yield lambda: iter([RecordInFile(place, reason)])


def _inside(text: str) -> Iterator[tuple[str, Any]]:
    """The members of the outermost object, or the elements of the list, which have no names. ValueError."""
    decoder = json.JSONDecoder()

    def past(place: int) -> int:
        found = _SPACE.match(text, place)
        return place if found is None else found.end()

    place = past(0)
    is_object, end = text[place] == "{", {"{": "}", "[": "]"}[text[place]]
    place = past(place + 1)
    while text[place : place + 1] != end:
        name = ""
        if is_object:
            name, place = decoder.raw_decode(text, place)
            place = past(place)
            if text[place : place + 1] != ":":
                raise ValueError(f"a colon is missing at character {place}")
            place = past(place + 1)
        value, place = decoder.raw_decode(text, place)
        yield str(name), value
        place = past(place)
        if text[place : place + 1] == ",":
            place = past(place + 1)
        elif text[place : place + 1] != end:
            raise ValueError(f"a comma is missing at character {place}")


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RecordRefused(f"it is not JSON: {error}") from None


def _modified(file: Path) -> str:
    """When the file was written, for what says nothing of its own times."""
    return iso(int(file.stat().st_mtime * SECOND))
