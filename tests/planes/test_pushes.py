"""One image, two ways in: the same rows afterwards, and the same bytes out on both."""

from __future__ import annotations

import contextlib
import hashlib
import random
from typing import Any

import pytest

from tests.planes.catalogue import ACCEPTED, FIXTURES, Fixture, with_needs
from tests.planes.conftest import Planes
from tests.planes.pushing import MAY_DIFFER, Plane, Refused, client, push, rows
from tests.pushing import digest_of

every_fixture = pytest.mark.parametrize("fixture", ACCEPTED, ids=lambda each: each.name)


def push_all(plane: Plane, fixture: Fixture, tag: str | None) -> None:
    for each in with_needs(fixture):
        assert push(plane, "app", each, tag if each is fixture else None) == each.digest


def blobs(plane: Plane) -> dict[str, int]:
    return {digest: size for digest, size, _ in plane.sim.runtime.blobs.blobs()}


@every_fixture
@pytest.mark.parametrize("tag", ["v1", None], ids=["tagged", "untagged"])
def test_the_databases_are_equal_row_for_row(planes: Planes, fixture: Fixture, tag: str | None):
    api, registry = planes.apart()
    for plane in (api, registry):
        push_all(plane, fixture, tag)
    found = rows(api.sim)
    assert found == rows(registry.sim)
    assert blobs(api) == blobs(registry) == {d: len(b) for each in with_needs(fixture) for d, b in each.layers.items()}
    assert [row["image_digest"] for row in found["images"]][-1] == fixture.digest
    assert [row["image_tag"] for row in found["image_tags"]] == ([tag] if tag else [])
    assert found["layer_uploads"] == []


def test_everything_pushed_one_after_the_other_leaves_equal_databases(planes: Planes):
    api, registry = planes.apart()
    for plane in (api, registry):
        for number, fixture in enumerate(ACCEPTED):
            plane.sim.advance(seconds=1)
            for each in with_needs(fixture):
                known = {row["image_digest"] for row in rows(plane.sim)["images"]}
                if each.digest not in known:
                    push(plane, "app", each, f"t{number % 5}")
    assert rows(api.sim) == rows(registry.sim)
    assert len(rows(api.sim)["images"]) == len(ACCEPTED)


@pytest.mark.parametrize("seed", range(5))
def test_a_history_of_pushes_and_deletions_leaves_equal_databases(planes: Planes, seed: int):
    """The same things happen on both planes, at the same instants: images come, tags move, images go."""
    api, registry = planes.apart()
    for plane in (api, registry):
        history = random.Random(seed)  # noqa: S311 - the same history for both
        for _ in range(25):
            plane.sim.advance(minutes=history.randrange(1, 25))
            present = [row["image_digest"] for row in rows(plane.sim)["images"]]
            if present and history.random() < 0.3:
                with contextlib.suppress(Refused):  # of an image that an index lists
                    plane.delete("app", history.choice(present))
                continue
            tag = f"t{history.randrange(6)}"
            for each in with_needs(history.choice(ACCEPTED)):
                with contextlib.suppress(Refused):  # of what the API finds to be there already
                    push(plane, "app", each, tag)
    found = rows(api.sim)
    assert found == rows(registry.sim)
    assert found["images"]


def test_only_named_tables_are_left_out_of_the_comparison(planes: Planes):
    api, _ = planes.apart()
    from_the_database = (set(rows(api.sim)) - {"facts"}) | set(MAY_DIFFER)
    with api.sim.runtime.database.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%'"
        )
        assert from_the_database == set(found.scalars())


@every_fixture
@pytest.mark.parametrize("way", ["api to registry", "registry to api"])
def test_what_one_plane_takes_the_other_gives_byte_for_byte(planes: Planes, fixture: Fixture, way: str):
    api, registry = planes.together()
    source, target = (api, registry) if way == "api to registry" else (registry, api)
    push_all(source, fixture, "v1")
    for reference in ("v1", fixture.digest):
        assert target.pull("app", reference) == (fixture.manifest, fixture.media_type)


@every_fixture
def test_describe_images_says_the_same_of_both(planes: Planes, fixture: Fixture):
    said = []
    for plane in planes.apart():
        push_all(plane, fixture, "v1")
        answer = client(plane.sim).describe_images(repositoryName="app", imageIds=[{"imageTag": "v1"}])
        said.append(answer["imageDetails"])
    assert said[0] == said[1]
    (detail,) = said[0]
    assert detail["imageSizeInBytes"] == size_of(fixture)
    assert detail["imageManifestMediaType"] == fixture.media_type
    assert detail.get("artifactMediaType") == artifact_media_type(fixture.document)
    assert detail.get("subjectManifestDigest") == fixture.document.get("subject", {}).get("digest")


def size_of(fixture: Fixture) -> int:
    """Config and layers, each as often as it is listed; of an index the greatest of what it lists."""
    document = fixture.document
    if "config" in document:
        return sum(each["size"] for each in [document["config"], *document["layers"]])
    return max((size_of(FIXTURES[name]) for name in fixture.after), default=0)


def artifact_media_type(document: dict[str, Any]) -> str | None:
    found: str | None = document.get("artifactType") or document.get("config", {}).get("mediaType")
    return found


def test_the_digest_is_that_of_the_bytes_and_not_of_the_document(planes: Planes):
    """Two spellings of one document are two images, on both planes."""
    fixture = FIXTURES["oci-image"]
    spaced = fixture.manifest + b"\n"
    for plane in planes.apart():
        push(plane, "app", fixture, "v1")
        assert plane.push_manifest("app", spaced, None, "v2") == digest_of(spaced)
        assert plane.pull("app", "v2")[0] == spaced
        assert plane.pull("app", "v1")[0] == fixture.manifest


def test_an_image_is_named_by_the_algorithm_that_the_pusher_chose(planes: Planes):
    """The same bytes by sha256 and by sha512 are two names and two images."""
    fixture = FIXTURES["oci-image"]
    by_sha512 = f"sha512:{hashlib.sha512(fixture.manifest).hexdigest()}"
    api, registry = planes.apart()
    for plane in (api, registry):
        push(plane, "app", fixture, "v1")
        assert plane.push_manifest("app", fixture.manifest, None, None, by_sha512) == by_sha512
        assert plane.pull("app", by_sha512)[0] == fixture.manifest
    assert rows(api.sim) == rows(registry.sim)
