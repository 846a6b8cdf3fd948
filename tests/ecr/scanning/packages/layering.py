"""Layers for tests, made by Python's tarfile, and what is in them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

from ecrsim.ecr.scanning.bill import Bill
from ecrsim.ecr.scanning.packages import LayerContents, Limits, bill_of, read_layer

#: What an entry is: bytes of a file, or what is made by the functions below.
Content = bytes | tarfile.TarInfo


def symlink(target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def hard_link(target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = tarfile.LNKTYPE, target
    return info


def directory() -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = tarfile.DIRTYPE
    return info


def tar_of(files: Mapping[str, Content], *, kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with these entries, in this order."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as tar:
        for path, content in files.items():
            info = tarfile.TarInfo() if isinstance(content, bytes) else content
            info.name = path
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def layer_of(files: Mapping[str, Content], digest: str = "sha256:layer", limits: Limits | None = None) -> LayerContents:
    """What is read of a layer with these entries."""
    return read(gzip.compress(tar_of(files)), digest, limits)


def read(packed: bytes, digest: str = "sha256:layer", limits: Limits | None = None) -> LayerContents:
    """What is read of a blob."""
    bounds = {} if limits is None else {"limits": limits}
    return read_layer(io.BytesIO(packed), "application/vnd.oci.image.layer.v1.tar+gzip", digest, **bounds)


def bill(*layers: Mapping[str, Content]) -> Bill:
    """What an image of these layers holds; the layers are called `sha256:0`, `sha256:1` and so on."""
    return bill_of([layer_of(files, f"sha256:{number}") for number, files in enumerate(layers)])


def names(found: Bill) -> list[str]:
    return [package.name for package in found.packages]


def dpkg(*packages: str) -> bytes:
    """A `status` of dpkg with these packages, each `NAME` or `NAME=VERSION`."""
    stanza = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n\n"
    return "".join(stanza.format(name, version or "1.0-1") for name, _, version in map(_split, packages)).encode()


def _split(package: str) -> tuple[str, str, str]:
    return package.partition("=")
