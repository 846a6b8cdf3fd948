"""What is promised is there: a layer whose file is gone or damaged is not announced, not sent, and pushed again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.images.fsck import fsck
from ecrsim.ecr.images.scrub import report, scrub
from ecrsim.testing import Response, build_image, call_application
from tests.answers import refusal
from tests.pushing import push

pytestmark = pytest.mark.files

LAYER = b"a layer of some length"
IMAGE = build_image(LAYER, config=b"{}")
DIGEST = next(digest for digest, data in IMAGE.blobs.items() if data == LAYER)
HOST = "http://localhost:5100"


def gone(path: Path) -> None:
    path.unlink()


def short(path: Path) -> None:
    path.write_bytes(LAYER[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def long(path: Path) -> None:
    path.write_bytes(LAYER + b"x")


def other(path: Path) -> None:
    """Of the right size, as the disk gave it back."""
    path.write_bytes(b"x" * len(LAYER))


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(LAYER)


def a_pipe(path: Path) -> None:
    """Who opened it would wait for somebody to write."""
    path.unlink()
    os.mkfifo(path)


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def no_directory(path: Path) -> None:
    """A file where its directory belongs."""
    path.unlink()
    for other_path in path.parent.iterdir():
        other_path.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"")


SEEN = [gone, short, empty, long, a_directory, a_pipe, a_loop, no_directory]
seen = pytest.mark.parametrize("damage", SEEN, ids=lambda damage: damage.__name__)
every = pytest.mark.parametrize("damage", [*SEEN, other], ids=lambda damage: damage.__name__)


class Registry:
    def __init__(self, sim: Ecrsim) -> None:
        self.sim = sim
        self.ecr = sim.client("ecr")
        self._headers = {}
        token = self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self._headers = {"Authorization": f"Basic {token}"}

    def ask(self, method: str, path: str, body: bytes = b"", repository: str = "app", **headers: str) -> Response:
        url = f"{HOST}/v2/{repository}/{path}"
        return call_application(self.sim.app, method, url, self._headers | headers, body)

    def damage(self, how: Callable[[Path], None]) -> None:
        path = self.sim.runtime.blobs.path(DIGEST)
        assert path is not None
        how(Path(path))


@pytest.fixture
def registry(sim: Ecrsim) -> Registry:
    registry = Registry(sim)
    registry.ecr.create_repository(repositoryName="app")
    registry.ecr.create_repository(repositoryName="other")
    push(registry.ecr, "app", IMAGE, "v1")
    return registry


def availability(registry: Registry) -> dict[str, Any]:
    answer = registry.ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[DIGEST])
    return dict(answer["layers"][0])


@seen
def test_it_is_not_announced(registry: Registry, damage: Callable[[Path], None]):
    registry.damage(damage)
    assert registry.ask("HEAD", f"blobs/{DIGEST}").status == 404
    assert availability(registry) == {"layerDigest": DIGEST, "layerAvailability": "UNAVAILABLE"}
    place = {"repositoryName": "app", "layerDigest": DIGEST}
    assert refusal(registry.ecr.get_download_url_for_layer, **place)[0] == "LayersNotFoundException"


@seen
def test_it_is_not_sent(registry: Registry, damage: Callable[[Path], None], configure: Callable[..., None]):
    url = registry.ecr.get_download_url_for_layer(repositoryName="app", layerDigest=DIGEST)["downloadUrl"]
    registry.damage(damage)
    answer = registry.ask("GET", f"blobs/{DIGEST}")
    assert (answer.status, DIGEST in answer.headers.values()) == (404, False)
    assert registry.ask("GET", f"blobs/{DIGEST}", Range="bytes=0-3").status == 404
    assert call_application(registry.sim.app, "GET", url).status == 403
    configure(blob_redirect=True)
    assert registry.ask("GET", f"blobs/{DIGEST}").status == 404


@seen
def test_it_is_not_mounted(registry: Registry, damage: Callable[[Path], None]):
    registry.ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    registry.damage(damage)
    answer = registry.ask("POST", f"blobs/uploads/?mount={DIGEST}&from=app", repository="other")
    assert answer.status == 202
    assert registry.ask("HEAD", f"blobs/{DIGEST}", repository="other").status == 404


@seen
@pytest.mark.parametrize("plane", ["api", "registry"])
def test_no_image_is_put_on_it(registry: Registry, damage: Callable[[Path], None], plane: str):
    image = build_image(LAYER, config=b"{}", annotations={"of": "another"})
    registry.damage(damage)
    if plane == "api":
        call = {"repositoryName": "app", "imageManifest": image.manifest.decode(), "imageTag": "v2"}
        code, sentence = refusal(registry.ecr.put_image, **call)[:2]
        assert (code, DIGEST in sentence) == ("LayersNotFoundException", True)
    else:
        answer = registry.ask("PUT", "manifests/v2", image.manifest)
        assert (answer.status, b"BLOB_UPLOAD_UNKNOWN" in answer.body) == (404, True)


@every
@pytest.mark.parametrize("plane", ["api", "chunks", "whole"])
def test_a_push_of_the_right_bytes_repairs_it(registry: Registry, damage: Callable[[Path], None], plane: str):
    before = set(registry.sim.runtime.blobs.uploads())
    registry.damage(damage)
    if plane == "api":
        place = {
            "repositoryName": "app",
            "uploadId": registry.ecr.initiate_layer_upload(repositoryName="app")["uploadId"],
        }
        registry.ecr.upload_layer_part(**place, partFirstByte=0, partLastByte=len(LAYER) - 1, layerPartBlob=LAYER)
        if damage is other:
            # It was there as far as anybody could see; its bytes are replaced all the same.
            refused = refusal(registry.ecr.complete_layer_upload, **place, layerDigests=[DIGEST])
            assert refused[0] == "LayerAlreadyExistsException"
        else:
            registry.ecr.complete_layer_upload(**place, layerDigests=[DIGEST])
    elif plane == "chunks":
        session = registry.ask("POST", "blobs/uploads/").headers["Docker-Upload-UUID"]
        assert registry.ask("PATCH", f"blobs/uploads/{session}", LAYER).status == 202
        assert registry.ask("PUT", f"blobs/uploads/{session}?digest={DIGEST}").status == 201
    else:
        assert registry.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER).status == 201
    answer = registry.ask("GET", f"blobs/{DIGEST}")
    assert (answer.status, answer.body) == (200, LAYER)
    assert availability(registry)["layerAvailability"] == "AVAILABLE"
    assert set(registry.sim.runtime.blobs.uploads()) == before


@every
def test_a_push_to_another_repository_repairs_it_as_well(registry: Registry, damage: Callable[[Path], None]):
    registry.damage(damage)
    assert registry.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER, repository="other").status == 201
    assert registry.ask("GET", f"blobs/{DIGEST}").body == LAYER


@pytest.mark.parametrize("size", [len(LAYER), 1])
def test_who_reads_the_old_bytes_goes_on_reading_them(registry: Registry, size: int):
    """A push replaces a blob at once; nobody finds it missing or cut off in between."""
    with registry.sim.runtime.blobs.open(DIGEST) as blob:
        begun = blob.read(size)
        assert registry.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER).status == 201
        assert begun + blob.read() == LAYER


@seen
def test_fsck_and_the_scrub_say_so(registry: Registry, damage: Callable[[Path], None], configure: Callable[..., None]):
    """Also of what is no file at all; and when the bytes are there again, nobody speaks of it any more."""
    configure(scrub_interval=0)
    registry.damage(damage)
    runtime = registry.sim.runtime
    for repair in (False, True):
        [trouble] = fsck(runtime, repair=repair).troubles
        assert DIGEST in trouble.text
        assert trouble.images == ("000000000000/us-east-1/app:v1",)
    assert scrub(runtime) == 1
    assert sum(report(runtime)[name] for name in ("missing", "damaged")) == 1
    assert registry.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER).status == 201
    assert fsck(runtime, repair=False).is_sound
    assert sum(report(runtime)[name] for name in ("missing", "damaged")) == 0
