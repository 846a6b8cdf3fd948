"""BatchGetImage: which entries an id gives, and what the accepted media types leave."""

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, constraint, recorded
from tests.api import post, refusal_of
from tests.pushing import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    create,
    entries,
    index_of,
    numbered,
    push,
    put,
)

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
ONE, TWO = numbered(1), numbered(2)


@pytest.fixture
def get(ecr):
    """Two images: the first with the tags `a` and `b`, the second untagged."""
    create(ecr)
    push(ecr, "app", ONE, "b", "a")
    push(ecr, "app", TWO)

    def fetch(*image_ids, **options):
        return ecr.batch_get_image(repositoryName="app", imageIds=list(image_ids), **options)

    return fetch


@pytest.mark.documented
def test_an_entry_has_the_manifest_as_it_was_pushed(get):
    answer = get({"imageTag": "a"})

    assert answer["failures"] == []
    assert answer["images"] == [
        {
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "imageId": {"imageDigest": ONE.digest, "imageTag": "a"},
            "imageManifest": ONE.manifest.decode(),
            "imageManifestMediaType": OCI_MANIFEST,
        }
    ]


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("image_ids", "expected"),
    [
        pytest.param([{"imageTag": "a"}], [(ONE.digest, "a")], id="a tag"),
        pytest.param(
            [{"imageDigest": ONE.digest}], [(ONE.digest, "b"), (ONE.digest, "a")], id="a digest with two tags"
        ),
        pytest.param([{"imageDigest": TWO.digest}], [(TWO.digest, None)], id="the digest of an untagged image"),
        pytest.param([{"imageDigest": ONE.digest, "imageTag": "a"}], [(ONE.digest, "a")], id="a tag and its digest"),
    ],
)
def test_entries(get, image_ids, expected):
    assert entries({"imageIds": [image["imageId"] for image in get(*image_ids)["images"]]}) == expected


@pytest.mark.inferred
@pytest.mark.parametrize(
    ("image_ids", "expected"),
    [
        ([{"imageTag": "a"}, {"imageTag": "a"}], [(ONE.digest, "a")]),
        ([{"imageTag": "a"}, {"imageDigest": ONE.digest}], [(ONE.digest, "a"), (ONE.digest, "b")]),
        ([{"imageDigest": ONE.digest}, {"imageTag": "a"}], [(ONE.digest, "b"), (ONE.digest, "a")]),
        ([{"imageDigest": TWO.digest}] * 3, [(TWO.digest, None)]),
        ([{"imageDigest": TWO.digest}, {"imageTag": "b"}], [(TWO.digest, None), (ONE.digest, "b")]),
    ],
)
def test_what_is_found_twice_is_shown_once_in_the_order_of_the_request(get, image_ids, expected):
    answer = get(*image_ids)
    assert entries({"imageIds": [image["imageId"] for image in answer["images"]]}) == expected
    assert answer["failures"] == []


@pytest.mark.parametrize("image", [ONE, TWO])
def test_every_entry_carries_the_whole_manifest(get, image):
    assert {found["imageManifest"] for found in get({"imageDigest": image.digest})["images"]} == {
        image.manifest.decode()
    }


@pytest.mark.inferred
class TestAcceptedMediaTypes:
    """Nothing is converted: what is not accepted is not found, an index excepted."""

    @pytest.fixture
    def images(self, ecr):
        create(ecr)
        docker = build_image(media_type=DOCKER_MANIFEST, config_media_type=DOCKER_CONFIG, layer_media_type=DOCKER_LAYER)
        found = {OCI_MANIFEST: ONE, DOCKER_MANIFEST: docker}
        for image in found.values():
            push(ecr, "app", image)
        found |= {OCI_INDEX: index_of(ONE), DOCKER_LIST: index_of(docker, media_type=DOCKER_LIST)}
        for media_type in (OCI_INDEX, DOCKER_LIST):
            put(ecr, "app", found[media_type])
        return found

    @pytest.mark.parametrize(
        ("stored", "accepted", "given"),
        [
            (OCI_MANIFEST, [OCI_MANIFEST], True),
            (OCI_MANIFEST, [DOCKER_MANIFEST, OCI_MANIFEST], True),
            (OCI_MANIFEST, [DOCKER_MANIFEST], False),
            (OCI_MANIFEST, [SCHEMA_1], False),
            (DOCKER_MANIFEST, [DOCKER_MANIFEST, SCHEMA_1], True),
            (DOCKER_MANIFEST, [OCI_MANIFEST], False),
            (OCI_INDEX, [OCI_INDEX], True),
            (OCI_INDEX, [OCI_MANIFEST], True),
            (DOCKER_LIST, [DOCKER_MANIFEST], True),
        ],
    )
    def test_what_is_accepted(self, ecr, images, stored, accepted, given):
        image_id = {"imageDigest": images[stored].digest}
        answer = ecr.batch_get_image(repositoryName="app", imageIds=[image_id], acceptedMediaTypes=accepted)

        assert [image["imageManifestMediaType"] for image in answer["images"]] == ([stored] if given else [])
        assert answer["failures"] == (
            []
            if given
            else [{"imageId": image_id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}]
        )

    @pytest.mark.parametrize("count", [0, 101])
    def test_bounds_of_the_list(self, sim, ecr, count):
        create(ecr)
        members = {"repositoryName": "app", "imageIds": [{}], "acceptedMediaTypes": [OCI_MANIFEST] * count}
        bound = "less than or equal to 100" if count else "greater than or equal to 1"
        assert refusal_of(post(sim, "BatchGetImage", members)) == recorded(
            "InvalidParameterException", constraint("acceptedMediaTypes", f"Member must have length {bound}")
        )


def test_a_tag_gives_the_image_that_has_it_now(ecr, get):
    put(ecr, "app", TWO, "a")
    (image,) = get({"imageTag": "a"})["images"]
    assert image["imageId"]["imageDigest"] == TWO.digest
