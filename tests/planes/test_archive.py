"""An archived image is away on both planes, comes back on both, and leaves the same rows and facts behind."""

from __future__ import annotations

import contextlib
import random

import pytest
from botocore.exceptions import ClientError

from tests.planes.catalogue import ACCEPTED, Fixture, with_needs
from tests.planes.conftest import Planes
from tests.planes.pushing import Plane, Refused, client, push, rows
from tests.planes.rows_images import AWAY, pull_layer, sent_away
from tests.planes.table import IMAGE

away = pytest.mark.parametrize("status", AWAY)


def update(plane: Plane, digest: str, target: str) -> None:
    client(plane.sim).update_image_storage_class(
        repositoryName="app", imageId={"imageDigest": digest}, targetStorageClass=target
    )


def send_away(plane: Plane, status: str, fixture: Fixture = IMAGE, tag: str | None = "v1") -> None:
    """Push it, then give it this status."""
    for each in with_needs(fixture):
        push(plane, "app", each, tag if each is fixture else None)
    sent_away(fixture, status)(plane)


@away
def test_its_layers_are_there_again_when_it_is_back(planes: Planes, status: str):
    digest, data = next(iter(IMAGE.layers.items()))
    api, registry = planes.apart()
    for plane in (api, registry):
        push(plane, "app", IMAGE, "v1")
        assert pull_layer(plane, digest) == data
        sent_away(IMAGE, status)(plane)
        # The API says ARCHIVED; docker is told that it is there, or could not push the image again.
        assert plane.has_layer("app", digest) == (plane is registry)

        if status == "ARCHIVED":
            update(plane, IMAGE.digest, "STANDARD")
        plane.sim.advance(seconds=5)
        assert plane.has_layer("app", digest)
        assert pull_layer(plane, digest) == data
        assert plane.pull("app", "v1") == (IMAGE.manifest, IMAGE.media_type)
    assert rows(api.sim) == rows(registry.sim)


@away
@pytest.mark.parametrize("tag", ["v1", "v2"])
@pytest.mark.parametrize("fixture", ACCEPTED, ids=lambda each: each.name)
def test_a_push_restores_it_at_once_and_leaves_the_same_rows(planes: Planes, fixture: Fixture, status: str, tag: str):
    api, registry = planes.apart()
    for plane in (api, registry):
        send_away(plane, status, fixture)
        plane.sim.advance(seconds=1)
        plane.push_manifest("app", fixture.manifest, fixture.told_type, tag, fixture.expected_digest)
        assert plane.pull("app", "v1") == plane.pull("app", tag) == (fixture.manifest, fixture.media_type)
    found = rows(api.sim)
    assert found == rows(registry.sim)
    assert [fact["type"] for fact in found["facts"]][-2:] == ["ImageRestored", "ImagePushed"]
    assert found["facts"][-1]["image_tag"] == tag
    assert [row for row in found["jobs"] if row["state"] == "PENDING"] == []


@away
def test_deleting_it_leaves_the_same_rows(planes: Planes, status: str):
    api, registry = planes.apart()
    for plane in (api, registry):
        send_away(plane, status)
        plane.delete("app", IMAGE.digest)
        plane.sim.advance(minutes=1)
        with pytest.raises(Refused, match="Requested image not found"):
            plane.pull("app", "v1")
    found = rows(api.sim)
    assert found == rows(registry.sim)
    assert found["images"] == found["image_layers"] == []


@pytest.mark.parametrize("seed", range(5))
def test_a_history_of_archiving_and_restoring_leaves_equal_databases(planes: Planes, seed: int):
    """Images come, go, are archived, restored and pulled, at the same instants on both planes."""
    api, registry = planes.apart(restore_delay=90)
    for plane in (api, registry):
        history = random.Random(seed)  # noqa: S311 - the same history for both
        for _ in range(40):
            plane.sim.advance(seconds=history.randrange(1, 120))
            present = [row["image_digest"] for row in rows(plane.sim)["images"]]
            what = history.choice(["push", "push", "archive", "archive", "restore", "pull", "delete"])
            if what == "push" or not present:
                for each in with_needs(history.choice(ACCEPTED)):
                    with contextlib.suppress(Refused):  # of what the API finds to be there already
                        push_all_of(plane, each, f"t{history.randrange(6)}")
                continue
            digest = history.choice(present)
            with contextlib.suppress(Refused, ClientError):  # of what its status does not allow
                if what == "pull":
                    plane.pull("app", digest)
                elif what == "delete":
                    plane.delete("app", digest)
                else:
                    update(plane, digest, "ARCHIVE" if what == "archive" else "STANDARD")
    found = rows(api.sim)
    assert found == rows(registry.sim)
    assert {"ImageArchived", "ImageRestored"} <= {fact["type"] for fact in found["facts"]}


def push_all_of(plane: Plane, fixture: Fixture, tag: str) -> None:
    """Its layers, unless the repository has them, be they archived; then its manifest."""
    for digest, data in fixture.layers.items():
        if all(row["layer_digest"] != digest for row in rows(plane.sim)["layers"]):
            plane.push_layer("app", data, digest)
    plane.push_manifest("app", fixture.manifest, fixture.told_type, tag, fixture.expected_digest)
