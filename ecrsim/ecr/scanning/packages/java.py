"""Java's archives, and those in them: `META-INF/maven/…/pom.properties`, the manifest, and the archive's name.

What an archive is called follows syft's order: properties that fit the file's name, the manifest, the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of
from ecrsim.ecr.scanning.packages.limits import Limits, TooMuch, Unread
from ecrsim.ecr.scanning.packages.streams import PieceStream
from ecrsim.ecr.scanning.packages.zips import Budget, members_of

#: Archives of Java by the end of their names.
SUFFIXES = (".jar", ".war", ".ear", ".par", ".sar", ".nar", ".jpi", ".hpi", ".kar", ".far", ".lpkg", ".rar", ".zap")

_NAME = re.compile(r"(?P<name>[a-z][\w.]*(?:-[a-z][\w.]*)*?)(?:-(?P<version>\d.*|build\d.*|rc?\d+))?", re.IGNORECASE)
_OTHER_VERSION = re.compile(r"[._-](?P<version>\d.*|build\d.*|rc?\d+)$", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[^\W\d]")
_VERSIONS = ("Implementation-Version", "Specification-Version", "Plugin-Version", "Bundle-Version")
_NAMES = ("Name", "Bundle-Name", "Short-Name", "Extension-Name", "Implementation-Title")
_GROUPS = (
    (
        "Group-Id",
        "Bundle-SymbolicName",
        "Extension-Name",
        "Specification-Vendor",
        "Implementation-Vendor",
        "Implementation-Vendor-Id",
        "Implementation-Title",
        "Bundle-Activator",
    ),
    ("Automatic-Module-Name", "Main-Class", "Package"),
)
_DOMAINS = ("com", "org", "net", "io", "be")
_TEXT = 1024 * 1024
_LONGEST_NAME = 255


class _Artifact(NamedTuple):
    group: str
    name: str
    version: str

    def package(self) -> Iterator[Package]:
        if self.name and self.version:
            yield Package(type="maven", name=self.name, version=self.version, namespace=self.group or self.name)


@dataclass(slots=True)
class _Archive:
    #: The name of the file without its folders and its end.
    stem: str
    #: Sections of the manifest, the main one first; None without a manifest.
    manifest: list[dict[str, str]] | None = None
    #: By the folder of their file.
    properties: dict[str, _Artifact] = field(default_factory=dict)


def read_archive(content: Content) -> Iterator[Package]:
    """The packages of the archive, and of the archives in it."""
    yield from _packages(content, content.path, content.limits, Budget.of(content.limits), content.limits.nesting)


def _packages(data: PieceStream, path: str, limits: Limits, budget: Budget, nesting: int) -> Iterator[Package]:
    archive = _Archive(path.rpartition("/")[2].rpartition(".")[0][:_LONGEST_NAME])
    nested: list[Package] = []
    for member in members_of(data, budget):
        if member.name == "META-INF/MANIFEST.MF":
            archive.manifest = _sections(_text(member.data))
        elif member.name.endswith("/pom.properties") and "META-INF/maven/" in member.name:
            artifact = _properties(_text(member.data))
            if artifact.name and artifact.version:
                archive.properties[member.name.rpartition("/")[0]] = artifact
        elif member.name.lower().endswith(SUFFIXES):
            if nesting == 0:
                raise TooMuch(f"archives in archives, more than {limits.nesting}")
            try:
                nested += _packages(member.data, member.name, limits, budget, nesting - 1)
            except TooMuch:
                raise
            except Unread:
                # One that is broken takes no other with it.
                continue
        if len(nested) + len(archive.properties) > limits.packages:
            raise TooMuch(f"an archive with more than {limits.packages:,} packages")
    yield from _own(archive)
    yield from nested


def _text(data: PieceStream) -> str:
    text = data.exactly(_TEXT + 1)
    if len(text) > _TEXT:
        raise Unread(f"an archive with a manifest or properties of more than {_TEXT >> 10} KiB")
    return text_of(text)


def _own(archive: _Archive) -> Iterator[Package]:
    """What the archive itself is, and the artifacts that were put into it without an archive around them."""
    manifest = archive.manifest
    if not manifest or "Weave-Classes" in manifest[0]:
        return
    found = _fitting(archive)
    file_name, file_version = _by_file_name(archive.stem)
    name = found.name if found else _name(manifest, file_name)
    version = (found.version if found else "") or file_version or _field(manifest, *_VERSIONS)
    group = _group(manifest)
    is_told = False
    others = []
    for _, artifact in sorted(archive.properties.items()):
        if artifact.name == name:
            name, version = artifact.name, artifact.version
            if not is_told:
                group, is_told = artifact.group, True
        else:
            others.append(artifact)
    yield from _Artifact(group, name, version).package()
    for each in others:
        yield from each.package()


def _fitting(archive: _Archive) -> _Artifact | None:
    """The properties that are about the archive itself: one name begins or ends with the other."""
    file_name, _ = _by_file_name(archive.stem)
    told = [each for _, each in sorted(archive.properties.items())]
    exact = [each for each in told if each.name == file_name]
    like = [each for each in told if file_name and (each.name.startswith(file_name) or file_name.endswith(each.name))]
    return next(iter(exact or like), None)


def _by_file_name(stem: str) -> tuple[str, str]:
    """`commons-lang3-3.12.0` is `commons-lang3` and `3.12.0`."""
    found = _NAME.fullmatch(stem)
    if found is None:
        return "", ""
    name, version = found["name"], found["version"] or ""
    if not version and (other := _OTHER_VERSION.search(name)) is not None:
        return name[: other.start()], other["version"]
    return name, version


def _name(manifest: list[dict[str, str]], file_name: str) -> str:
    main = manifest[0]
    symbolic = main.get("Bundle-SymbolicName", "")
    is_bundle = "Apache Maven Bundle Plugin" in main.get("Created-By", "")
    if is_bundle and symbolic and main.get("Implementation-Vendor-Id") != symbolic:
        return symbolic.rpartition(".")[2]
    parts = file_name.split(".")
    # `org.example.thing` is a group and an artifact; those of Eclipse are artifacts alone.
    if len(parts) > 1 and not file_name.startswith("org.eclipse.") and all(map(_IDENTIFIER.match, parts)):
        return parts[-1]
    return file_name or next((main[each] for each in _NAMES if main.get(each)), "")


def _field(manifest: list[dict[str, str]], *names: str) -> str:
    """The first of the fields that is told, in the main section before all others."""
    return next((section[name] for name in names for section in manifest if section.get(name)), "")


def _group(manifest: list[dict[str, str]]) -> str:
    """The first that looks like a domain turned round, of the fields that are likely and then of the others."""
    for names in _GROUPS:
        told = (section[name] for name in names for section in manifest if name in section)
        found = sorted(each.split(";")[0].split("#")[0].strip() for each in told if each.startswith(_DOMAINS))
        if found:
            return found[0]
    return ""


def _sections(text: str) -> list[dict[str, str]]:
    """Sections of lines `KEY: VALUE`; a line that begins with a space goes on with the last one."""
    sections: list[dict[str, str]] = []
    key = ""
    for line in text.splitlines():
        if not line:
            key = ""
        elif line[0] == " ":
            if key:
                sections[-1][key] += line.strip()
        else:
            name, colon, value = line.partition(":")
            if colon and name.strip():
                if not key:
                    sections.append({})
                key = name.strip()
                sections[-1][key] = value.strip()
    return sections


def _properties(text: str) -> _Artifact:
    values: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and line.lstrip()[0] not in "#!":
            found = re.match(r"\s*([^=:\s]+)\s*[=:]\s*(.*?)\s*$", line)
            if found:
                values[found[1]] = found[2]
    return _Artifact(values.get("groupId", ""), values.get("artifactId", ""), values.get("version", ""))
