"""Images to push: an OCI layout on disk, a context for `docker build`, and the parts of an image for boto3."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

BUSYBOX = Path("/bin/busybox")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(files: dict[str, bytes]) -> bytes:
    """A tar of `files`, the same bytes at each call."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(frozen=True)
class Image:
    """A single-layer OCI image: its three documents as they are pushed."""

    config: bytes
    layer: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        return digest(self.manifest)


def descriptor(media_type: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


def build_image(text: str, architecture: str = "amd64") -> Image:
    """An image that holds `/message` with this text."""
    tar = archive({"message": text.encode()})
    layer = gzip.compress(tar, mtime=0)
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/message"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, layer)],
        }
    ).encode()
    return Image(config, layer, manifest)


def write_layout(folder: Path, image: Image, tag: str = "v1") -> Path:
    """The OCI image layout of `image` at `folder`."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in (image.config, image.layer, image.manifest):
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = descriptor(MANIFEST, image.manifest, annotations={"org.opencontainers.image.ref.name": tag})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))
    return folder


def write_context(folder: Path, text: str) -> Path:
    """A context for `docker build`: a scratch image with `/message`, and busybox to print it where the host has it."""
    folder.mkdir()
    (folder / "message").write_text(text)
    lines = ["FROM scratch", "COPY message /message"]
    if BUSYBOX.exists():
        shutil.copy(BUSYBOX, folder / "busybox")
        lines += ["COPY busybox /busybox", 'ENTRYPOINT ["/busybox", "cat", "/message"]']
    else:
        lines += ['CMD ["/message"]']
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    return folder


def require_busybox() -> Path:
    """A static program to run in a container from scratch."""
    if not BUSYBOX.exists():
        pytest.skip("no /bin/busybox here to run in a container; install your system's static busybox")
    return BUSYBOX
