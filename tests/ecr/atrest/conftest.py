"""An ecrsim that encrypts at rest, over a directory that a thief may take."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import BuiltImage, build_image

#: What is looked for in every file.
MARK = b"a sentence that nobody is to find"
LAYER = MARK * 20_000
IMAGE = build_image(
    LAYER, config=b'{"architecture":"amd64","os":"linux","author":"%s"}' % MARK, annotations={"it": MARK.decode()}
)
LAYER_DIGEST = list(IMAGE.blobs)[1]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def sealed(data_dir: Path) -> Iterator[Ecrsim]:
    with Ecrsim(data_dir=str(data_dir), encrypt=True, blob_mounting=True) as sim:
        yield sim


@pytest.fixture
def ecr(sealed: Ecrsim) -> Any:
    return sealed.client("ecr")


def blob_files(data_dir: Path, digest: str = LAYER_DIGEST) -> list[Path]:
    """All files of a blob, one for each key space."""
    return sorted(data_dir.glob(f"encrypted/*/*/*/{digest.partition(':')[2]}"))


def shows(data_dir: Path, mark: bytes = MARK) -> list[str]:
    """Files in which a part of the mark stands, as it is or packed as hexadecimal digits or base64."""
    parts = [mark[at : at + 9] for at in range(len(mark) - 9)]
    found = []
    for path in data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            forms = [
                form(part) for part in parts for form in (bytes, lambda text: text.hex().encode(), base64.b64encode)
            ]
            if any(form in content for form in forms):
                found.append(str(path.relative_to(data_dir)))
    return found


def registry(sim: Ecrsim, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
    """An answer of the registry protocol; its body is not read yet."""
    token = sim.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    connection = http.client.HTTPConnection(sim.registry, timeout=30)
    given = {"Authorization": f"Basic {token}", "Connection": "close", **headers}
    connection.request(method, path, body or None, given)
    return connection.getresponse()


def pushed_by_registry(sim: Ecrsim, repository: str, image: BuiltImage, tag: str) -> None:
    for digest, content in image.blobs.items():
        location = registry(sim, "POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        assert registry(sim, "PATCH", location, content).status == 202
        assert registry(sim, "PUT", f"{location}?digest={digest}").status == 201
    answer = registry(
        sim, "PUT", f"/v2/{repository}/manifests/{tag}", image.manifest, **{"Content-Type": image.media_type}
    )
    assert answer.status == 201
