"""Packages of rpm: its database in all three formats, and the list that distroless images of Azure Linux have.

No library on PyPI reads these databases without rpm itself being installed. A database cannot be read in one pass, so
it lies in a temporary file meanwhile, whose size has a bound.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of
from ecrsim.ecr.scanning.packages.limits import Limits, Unread
from ecrsim.ecr.scanning.packages.rpm_berkeley import berkeley_headers
from ecrsim.ecr.scanning.packages.rpm_ndb import ndb_headers
from ecrsim.ecr.scanning.packages.rpm_sqlite import sqlite_headers

_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE_RPM = 1000, 1001, 1002, 1003, 1014, 1022, 1044
_TAGS = frozenset({_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE_RPM})
_INT32, _STRING, _I18N = 4, 6, 9
_ENTRY = 16
_PIECE = 256 * 1024

#: What finds the headers in a database of so many bytes.
HeadersOf = Callable[[IO[bytes], int, Limits], Iterator[bytes]]


def read_rpm_sqlite(content: Content) -> Iterator[Package]:
    """`rpmdb.sqlite`, of rpm 4.16 and later."""
    if content.limits.in_memory:
        with _file_of_memory() as file:
            _copy(content, file)
            for header in sqlite_headers(f"/proc/self/fd/{file.fileno()}", content.limits):
                yield from package_of(header)
        return
    with tempfile.NamedTemporaryFile(prefix="ecrsim-rpm-") as named:
        _copy(content, named.file)
        for header in sqlite_headers(named.name, content.limits):
            yield from package_of(header)


def read_rpm_ndb(content: Content) -> Iterator[Package]:
    """`Packages.db`, of SUSE."""
    yield from _read(content, ndb_headers)


def read_rpm_berkeley(content: Content) -> Iterator[Package]:
    """`Packages`, of rpm before 4.16."""
    yield from _read(content, berkeley_headers)


def _read(content: Content, headers_of: HeadersOf) -> Iterator[Package]:
    with _file_of_memory() if content.limits.in_memory else tempfile.TemporaryFile(prefix="ecrsim-rpm-") as file:
        size = _copy(content, file)
        for header in headers_of(file, size, content.limits):
            yield from package_of(header)


def _file_of_memory() -> IO[bytes]:
    """A file that no disk has. Unread where the system has none."""
    if not hasattr(os, "memfd_create"):
        raise Unread("it would have to be written to the disk in the clear")
    return os.fdopen(os.memfd_create("ecrsim-rpm"), "w+b")


def _copy(content: Content, file: IO[bytes]) -> int:
    most = content.limits.rpm_database
    if content.size is not None and content.size > most:
        raise Unread(f"larger than {most >> 20:,} MiB")
    while piece := content.read(_PIECE):
        file.write(piece)
    file.flush()
    return file.tell()


def package_of(header: bytes) -> Iterator[Package]:
    """The package of one header (rpm's manual, `hregions`): two counts, an index, then the data that it points to."""
    count, length = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    start = 8 + count * _ENTRY
    if not count or start + length > len(header):
        raise Unread("a header of the rpm database is broken")
    found: dict[int, str] = {}
    for at in range(8, start, _ENTRY):
        tag = int.from_bytes(header[at : at + 4], "big")
        if tag in _TAGS and tag not in found:
            kind = int.from_bytes(header[at + 4 : at + 8], "big")
            offset = int.from_bytes(header[at + 8 : at + 12], "big")
            found[tag] = _value(header, kind, start + offset)
    if found.get(_NAME) and found.get(_VERSION):
        yield _package(
            found[_NAME],
            f"{found[_VERSION]}-{found.get(_RELEASE, '')}",
            found.get(_EPOCH, ""),
            found.get(_ARCH, ""),
            found.get(_SOURCE_RPM, ""),
            found.get(_LICENSE, ""),
        )


def _value(header: bytes, kind: int, at: int) -> str:
    if kind == _INT32:
        return str(int.from_bytes(header[at : at + 4], "big")) if at + 4 <= len(header) else ""
    if kind in (_STRING, _I18N):
        end = header.find(b"\0", at)
        return text_of(header[at:end]) if end >= 0 else ""
    return ""


def _package(name: str, version: str, epoch: str, arch: str, source_rpm: str, license_: str) -> Package:
    epoch = f"{epoch}:" if epoch else ""
    # openssl-3.0.7-25.el9.src.rpm; a source has the epoch of what is built of it, and does not say so.
    source = source_rpm.removesuffix(".rpm").rpartition(".")[0].rsplit("-", 2)
    is_told = len(source) == 3
    return Package(
        type="rpm",
        name=name,
        version=epoch + version,
        arch=arch,
        source_name=source[0] if is_told else "",
        source_version=f"{epoch}{source[1]}-{source[2]}" if is_told else "",
        licenses=(license_,) if license_ else (),
    )


def read_rpm_manifest(content: Content) -> Iterator[Package]:
    """`container-manifest-2`: what `rpm -qa` printed when the image was made, ten columns."""
    for line in content.lines():
        columns = text_of(line).split("\t")
        if len(columns) >= 10:
            epoch = "" if columns[5] == "(none)" else columns[8]
            yield _package(columns[0], columns[1], epoch, columns[7], columns[9], "")
