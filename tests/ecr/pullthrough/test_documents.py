"""Manifests of an upstream whose bytes are right, and that nobody should follow: bombs, and what is no image."""

import json

import pytest

from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.ecr.pullthrough.test_hostile import IMAGE, REPOSITORY, images, nothing_is_left
from tests.pushing import digest_of, index_of, numbered


def nested(levels):
    """Indexes in indexes, the innermost first."""
    found = [IMAGE]
    for _ in range(levels):
        found.append(index_of(found[-1]))
    return found


def tree(width):
    """An index of indexes that list more in all than each of them does."""
    leaves = [[numbered(number * width + each) for each in range(width)] for number in range(width)]
    inner = [index_of(*each) for each in leaves]
    return [*(leaf for each in leaves for leaf in each), *inner, index_of(*inner)]


def changed(**members):
    """The image with other members in its manifest."""
    manifest = json.dumps(json.loads(IMAGE.manifest) | members).encode()
    return [IMAGE._replace(manifest=manifest, digest=digest_of(manifest))]


ENTRY = json.loads(IMAGE.manifest)["layers"][0]
#: Documents whose bytes are right, and that nobody should follow; the last one is asked for.
DOCUMENTS = {
    "five indexes in each other": nested(5),
    "more layers than an image may have": changed(layers=[ENTRY] * 501),
    "a layer of less than nothing": changed(layers=[ENTRY | {"size": -1}]),
    "a layer without bound": changed(layers=[ENTRY | {"size": 10**30}]),
    "a layer of half a byte": changed(layers=[ENTRY | {"size": 0.5}]),
    "a layer of no digest": changed(layers=[ENTRY | {"digest": "latest"}]),
    "a digest that is a path": changed(layers=[ENTRY | {"digest": "sha256:../../../etc/passwd"}]),
    "no configuration": changed(config=None),
    "layers that are no list": changed(layers=7),
    "another schema": changed(schemaVersion=1),
    "another type": changed(mediaType="application/vnd.oci.artifact.manifest.v1+json"),
    "nested without end": [IMAGE._replace(manifest=b"[" * 100_000, digest=digest_of(b"[" * 100_000))],
    "no text": [IMAGE._replace(manifest=b"\xff\xfe{}", digest=digest_of(b"\xff\xfe{}"))],
}


def shelf_of(images_):
    """The upstream that has them, as t0, t1 and so on."""
    return Registry({"library/app": {f"t{number}": each for number, each in enumerate(images_)}})


MANY = [numbered(number) for number in range(9)]


class TestDocuments:
    @pytest.mark.parametrize("shelf", DOCUMENTS.values(), ids=DOCUMENTS)
    def test_what_is_not_followed(self, cache, shelf):
        found = cache(shelf_of(shelf))
        found.rule()
        found.ecr.create_repository(repositoryName=REPOSITORY)
        for reference in (f"t{len(shelf) - 1}", shelf[-1].digest):
            assert error_of(found.pull(reference))[:2] == (502, "UNAVAILABLE")
        (failure,) = found.get(imageDigest=shelf[-1].digest)["failures"]
        assert failure["failureCode"] == "UpstreamUnavailable"
        assert not any("/blobs/" in each for each in found.asked())
        nothing_is_left(found)

    #: What is bounded in one import, where, and documents that go beyond it.
    BOUNDS = (("_LARGEST", 3000, [*MANY, index_of(*MANY)]), ("_MOST_IMAGES", 15, tree(4)))

    @pytest.mark.parametrize(("name", "bound", "shelf"), BOUNDS, ids=["bytes", "images"])
    def test_what_is_too_much_in_all(self, cache, monkeypatch, name, bound, shelf):
        monkeypatch.setattr(f"ecrsim.ecr.pullthrough.importing.{name}", bound)
        found = cache(shelf_of(shelf))
        found.rule()
        assert error_of(found.pull(shelf[-1].digest))[:2] == (502, "UNAVAILABLE")
        assert 1 < len(found.asked()) <= min(bound, len(shelf) - 1)
        found.ecr.create_repository(repositoryName=REPOSITORY)
        nothing_is_left(found)

    def test_what_is_followed(self, cache):
        """Four indexes in each other; and what two of them list is read once."""
        shelf = [*nested(4), index_of(IMAGE, index_of(IMAGE))]
        found = cache(shelf_of(shelf))
        found.rule()
        assert found.pull("t4").body == shelf[4].manifest
        found.asked()
        assert found.pull("t5").body == shelf[5].manifest
        assert found.asked() == ["GET manifests/t5"]
        assert len(images(found)) == 6
