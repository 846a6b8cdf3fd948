"""Java's archives for tests, made by Python's zipfile."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping


class _Pipe(io.RawIOBase):
    """Where nothing can be sought: zipfile writes sizes behind the members then, as java's jar does."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.written += data
        return len(data)


def zip_of(members: Mapping[str, bytes], *, packed: bool = True, piped: bool = False) -> bytes:
    """A zip of these files."""
    target = _Pipe() if piped else io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bytes(target.written) if isinstance(target, _Pipe) else target.getvalue()


def manifest(**fields: str) -> dict[str, bytes]:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return {"META-INF/MANIFEST.MF": f"Manifest-Version: 1.0\r\n{lines}\r\n".encode()}


def pom(group: str, name: str, version: str) -> dict[str, bytes]:
    text = f"#Created by Apache Maven\ngroupId={group}\nartifactId={name}\nversion={version}\n"
    return {f"META-INF/maven/{group}/{name}/pom.properties": text.encode()}
