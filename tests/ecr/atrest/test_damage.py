"""A bit that turned, in a file or in the database: noticed when it is read, and never answered with wrong bytes."""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ecrsim import Ecrsim
from ecrsim.blobs.framing import FRAME, HEADER, OVERHEAD
from ecrsim.ecr.images import fsck as checking
from ecrsim.ecr.images import scrub
from ecrsim.ecr.images.garbage import collect
from ecrsim.testing import build_image, push_image
from tests.answers import refused
from tests.ecr.atrest.conftest import IMAGE, LAYER, LAYER_DIGEST, MARK, blob_files, registry
from tests.pushing import create


def turned(at: int) -> Callable[[bytes], bytes]:
    def turn(content: bytes) -> bytes:
        altered = bytearray(content)
        altered[at] ^= 0x10
        return bytes(altered)

    return turn


def swapped(content: bytes) -> bytes:
    one, two, rest = content[HEADER:SECOND], content[SECOND:THIRD], content[THIRD:]
    return content[:HEADER] + two + one + rest


SECOND = HEADER + FRAME + OVERHEAD
THIRD = SECOND + FRAME + OVERHEAD
ALTERED: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the header": turned(40),
    "a bit of the key": turned(HEADER - 1),
    "a bit of the first frame": turned(HEADER + 1000),
    "a bit of the second frame": turned(SECOND + 1000),
    "a bit of a tag": turned(SECOND - 1),
    "the last bit": turned(-1),
    "cut off in a frame": lambda content: content[:-1],
    "cut off behind a frame": lambda content: content[:THIRD],
    "two frames swapped": swapped,
    "empty": lambda _: b"",
}


@pytest.fixture
def pushed(sealed: Ecrsim, ecr: Any) -> Ecrsim:
    create(ecr)
    push_image(ecr, "app", IMAGE, "v1")
    return sealed


def pulled(sim: Ecrsim, path: str, **headers: str) -> bytes | None:
    """The body, where it came as it should; None for an error or a connection that broke."""
    answer = registry(sim, "GET", path, **headers)
    try:
        body = answer.read()
    except (http.client.IncompleteRead, ConnectionError):
        return None
    return body if answer.status in (200, 206) and len(body) == int(answer.headers["Content-Length"]) else None


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_an_altered_layer_is_never_given(pushed: Ecrsim, data_dir: Path, alter: Callable[[bytes], bytes]):
    (file,) = blob_files(data_dir)
    file.write_bytes(alter(file.read_bytes()))
    assert pulled(pushed, f"/v2/app/blobs/{LAYER_DIGEST}") is None
    for first in range(0, len(LAYER), 100_000):
        span = pulled(pushed, f"/v2/app/blobs/{LAYER_DIGEST}", Range=f"bytes={first}-{first + 99_999}")
        assert span is None or span == LAYER[first : first + 100_000]


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_fsck_tells_of_it_moves_it_aside_and_a_push_brings_it_anew(
    pushed: Ecrsim, ecr: Any, data_dir: Path, alter: Callable[[bytes], bytes]
):
    (file,) = blob_files(data_dir)
    sound = file.read_bytes()
    file.write_bytes(alter(sound))
    found = checking.fsck(pushed.runtime, repair=False)
    (trouble,) = found.troubles
    assert f"layer {LAYER_DIGEST}@" in trouble.text
    assert "is damaged" in trouble.text
    assert trouble.images == ("000000000000/us-east-1/app:v1",)
    assert blob_files(data_dir) == [file]
    checking.fsck(pushed.runtime, repair=True)
    assert (blob_files(data_dir), [path.name for path in (data_dir / "damaged").iterdir()]) == (
        [],
        [LAYER_DIGEST.replace(":", "-")],
    )
    push_image(ecr, "app", IMAGE, "again")
    assert pulled(pushed, f"/v2/app/blobs/{LAYER_DIGEST}") == LAYER
    assert checking.fsck(pushed.runtime, repair=False).is_sound


def test_a_file_in_the_place_of_another_is_never_given(pushed: Ecrsim, ecr: Any, data_dir: Path):
    other = build_image(bytes(reversed(LAYER)))
    push_image(ecr, "app", other, "v2")
    (one,), (two,) = blob_files(data_dir), blob_files(data_dir, list(other.blobs)[1])
    one.write_bytes(two.read_bytes())
    assert pulled(pushed, f"/v2/app/blobs/{LAYER_DIGEST}") is None


@pytest.mark.parametrize("at", [5, 40, HEADER + 1000], ids=["the form", "the key", "a frame"])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_an_altered_upload_is_given_up_and_the_next_one_is_good(
    sealed: Ecrsim, ecr: Any, data_dir: Path, at: int, is_restarted: bool
):
    create(ecr)
    location = registry(sealed, "POST", "/v2/app/blobs/uploads/").headers["Location"]
    # Not as long as frames are: the rest of it is read when it becomes a blob.
    assert registry(sealed, "PATCH", location, LAYER[:300_001]).status == 202
    (file,) = (data_dir / "uploads").iterdir()
    file.write_bytes(turned(at)(file.read_bytes()))
    sim = sealed
    if is_restarted:
        sealed.stop()
        sim = Ecrsim(data_dir=str(data_dir), encrypt=True)
        sim.start()
        location = urlsplit(location).path
    try:
        statuses = [
            registry(sim, "PATCH", location, LAYER[300_001:]).status,
            registry(sim, "PUT", f"{location}?digest={LAYER_DIGEST}").status,
        ]
        assert 503 in statuses
        assert set(statuses) <= {202, 404, 503}
        assert registry(sim, "PUT", f"{location}?digest={LAYER_DIGEST}").status == 404
        push_image(sim.client("ecr"), "app", IMAGE, "v1")
        assert pulled(sim, f"/v2/app/blobs/{LAYER_DIGEST}") == LAYER
    finally:
        sim.stop()


def altered_manifest(data_dir: Path, at: int) -> None:
    with sqlite3.connect(data_dir / "ecrsim.db") as database:
        ((number, stored),) = database.execute("SELECT image_id, manifest FROM image_manifests").fetchall()
        database.execute("UPDATE image_manifests SET manifest = ? WHERE image_id = ?", (turned(at)(stored), number))


@pytest.mark.parametrize("at", [0, 5, 12, 17, 40, -1], ids=str)
def test_an_altered_manifest_is_never_given(pushed: Ecrsim, ecr: Any, data_dir: Path, at: int):
    altered_manifest(data_dir, at)
    for reference in ("v1", IMAGE.digest):
        assert registry(pushed, "GET", f"/v2/app/manifests/{reference}").status == 503
    answer = refused(ecr.batch_get_image, repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
    (trouble,) = checking.fsck(pushed.runtime, repair=False).troubles
    assert trouble.text == f"the manifest of image {IMAGE.digest} is damaged: delete the image and push it again"
    assert trouble.images == ("000000000000/us-east-1/app:v1",)


def test_a_manifest_in_the_row_of_another_is_never_given(pushed: Ecrsim, ecr: Any, data_dir: Path):
    push_image(ecr, "app", build_image(LAYER, annotations={"another": MARK.decode()}), "v2")
    with sqlite3.connect(data_dir / "ecrsim.db") as database:
        one = "SELECT manifest FROM image_manifests ORDER BY image_id LIMIT 1"
        database.execute(f"UPDATE image_manifests SET manifest = ({one})")  # noqa: S608 - nothing of it is given
    statuses = [registry(pushed, "GET", f"/v2/app/manifests/{tag}").status for tag in ("v1", "v2")]
    assert sorted(statuses) == [200, 503]


def test_keys_that_were_altered_are_told_of_and_stop_neither_fsck_nor_the_scrub(
    pushed: Ecrsim, ecr: Any, data_dir: Path
):
    create(ecr, "other", encryptionConfiguration={"encryptionType": "KMS"})
    push_image(ecr, "other", build_image(b"another layer"), "v1")
    with sqlite3.connect(data_dir / "ecrsim.db") as database:
        database.execute(
            "UPDATE repository_keys SET space_key = substr(space_key, 3) || '00' WHERE repository_id ="
            " (SELECT id FROM repositories WHERE repository_name = 'app')"
        )
    found = checking.fsck(pushed.runtime, repair=True)
    layers = [trouble for trouble in found.troubles if trouble.text.startswith("layer ")]
    assert {trouble.images for trouble in layers} == {("000000000000/us-east-1/app:v1",)}
    assert all("its key cannot be used" in trouble.text for trouble in layers)
    assert scrub.scrub(pushed.runtime) == 0
    assert len(blob_files(data_dir)) == 1


def test_the_scrub_finds_it(pushed: Ecrsim, data_dir: Path):
    (file,) = blob_files(data_dir)
    file.write_bytes(turned(SECOND + 5)(file.read_bytes()))
    assert scrub.scrub(pushed.runtime) == 1
    assert blob_files(data_dir) == []
    (damaged,) = [each for each in pushed.events() if "damaged" in str(each).lower()][:1]
    assert LAYER_DIGEST in str(damaged)


def test_a_collection_takes_what_no_repository_has_in_its_space(sealed: Ecrsim, ecr: Any, data_dir: Path):
    for name, options in {"one": {}, "two": {"encryptionConfiguration": {"encryptionType": "KMS"}}}.items():
        create(ecr, name, **options)
        push_image(ecr, name, IMAGE, "v1")
    assert len(blob_files(data_dir)) == 2
    ecr.delete_repository(repositoryName="one", force=True)
    collect(sealed.runtime, grace=0)
    assert len(blob_files(data_dir)) == 1
    assert pulled(sealed, f"/v2/two/blobs/{LAYER_DIGEST}") == LAYER
    ecr.batch_delete_image(repositoryName="two", imageIds=[{"imageTag": "v1"}])
    collect(sealed.runtime, grace=0)
    assert blob_files(data_dir) == []
    # A space that lost its last repository is another one when there is one again.
    create(ecr, "one")
    push_image(ecr, "one", IMAGE, "v1")
    assert pulled(sealed, f"/v2/one/blobs/{LAYER_DIGEST}") == LAYER
    assert checking.fsck(sealed.runtime, repair=False).is_sound
