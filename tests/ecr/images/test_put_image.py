"""PutImage: what only the API has of a push. What both planes refuse and take is told in `tests/planes/rows_*.py`."""

import hashlib

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.pushing import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    artifact_of,
    create,
    described,
    digest_of,
    index_of,
    listed,
    numbered,
    push,
    push_layer,
    put,
)


@pytest.fixture
def repository(ecr):
    """`app`, with the blobs that small images share."""
    create(ecr)
    for data in build_image().blobs.values():
        push_layer(ecr, "app", data)
    return {"repositoryName": "app"}


class TestAnswer:
    @pytest.mark.documented
    @pytest.mark.parametrize("tag", ["v1", None])
    def test_it_echoes_the_image(self, ecr, repository, tag):
        image = build_image()
        options = {"imageTag": tag} if tag else {}
        answer = ecr.put_image(**repository, imageManifest=image.manifest.decode(), **options)["image"]

        assert answer == {
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "imageId": {"imageDigest": image.digest, **options},
            "imageManifest": image.manifest.decode(),
            "imageManifestMediaType": OCI_MANIFEST,
        }

    @pytest.mark.documented
    @pytest.mark.parametrize("around", ["%s", "%s\n", " %s", "\r\n\t%s\r\n"])
    def test_the_digest_is_that_of_the_exact_bytes(self, ecr, repository, around):
        manifest = around % build_image(annotations={"ü": "ß"}).manifest.decode()
        answer = ecr.put_image(**repository, imageManifest=manifest)["image"]

        assert answer["imageId"]["imageDigest"] == f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        found = ecr.batch_get_image(**repository, imageIds=[answer["imageId"]])["images"]
        assert [image["imageManifest"] for image in found] == [manifest]

    def test_members_that_nobody_knows_are_kept(self, ecr, repository):
        image = build_image(org={"a": [1, None]}, x=1.50)
        put(ecr, "app", image, "v1")
        (found,) = ecr.batch_get_image(**repository, imageIds=[{"imageTag": "v1"}])["images"]
        assert found["imageManifest"] == image.manifest.decode()


class TestMediaTypes:
    @pytest.mark.documented
    def test_docker_and_oci_images_and_indexes(self, ecr, repository):
        docker = build_image(media_type=DOCKER_MANIFEST, config_media_type=DOCKER_CONFIG, layer_media_type=DOCKER_LAYER)
        images = [build_image(), docker]
        images += [index_of(images[0]), index_of(docker, media_type=DOCKER_LIST), index_of()]
        images += [index_of(images[2], images[0]), artifact_of(images[0])]
        for image in images:
            push(ecr, "app", image)

        found = {digest: described(ecr, "app", imageDigest=digest) for digest, _ in listed(ecr, "app")}
        assert [detail["imageManifestMediaType"] for detail in found.values()] == [
            OCI_MANIFEST,
            DOCKER_MANIFEST,
            OCI_INDEX,
            DOCKER_LIST,
            OCI_INDEX,
            OCI_INDEX,
            OCI_MANIFEST,
        ]


class TestManifest:
    @pytest.mark.documented
    @pytest.mark.parametrize(
        ("size", "text"),
        [
            (0, "Member must have length greater than or equal to 1"),
            (4_194_305, "Member must have length less than or equal to 4194304"),
        ],
    )
    def test_bounds_of_its_length(self, sim, repository, size, text):
        answer = post(sim, "PutImage", {**repository, "imageManifest": "x" * size})
        assert refusal_of(answer) == inferred("InvalidParameterException", constraint("imageManifest", text))

    def test_the_longest_one(self, ecr, repository):
        image = build_image()
        manifest = image.manifest.decode() + " " * (4_194_304 - len(image.manifest))
        ecr.put_image(**repository, imageManifest=manifest, imageTag="v1")
        (found,) = ecr.batch_get_image(**repository, imageIds=[{"imageTag": "v1"}])["images"]
        assert found["imageManifest"] == manifest


class TestTag:
    """What no path of the registry can hold; what else a tag is stands in `tests/planes/rows_tags.py`."""

    @pytest.mark.inferred
    def test_a_dot_is_one(self, ecr, repository):
        put(ecr, "app", build_image(), ".")
        assert listed(ecr, "app")[0][1] == "."

    @pytest.mark.parametrize("tag", ["a:b", "a/b"])
    def test_a_colon_and_a_slash_are_in_none(self, ecr, repository, tag):
        assert refusal(put, ecr=ecr, repository="app", image=build_image(), tag=tag) == recorded(
            "InvalidParameterException", constraint("imageTag", "must satisfy regular expression '[a-zA-Z0-9-_.]+'")
        )

    def test_it_is_not_empty(self, sim, repository):
        answer = post(sim, "PutImage", {**repository, "imageManifest": "{}", "imageTag": ""})
        assert refusal_of(answer) == inferred(
            "InvalidParameterException", constraint("imageTag", "must have length greater than or equal to 1")
        )


class TestDigest:
    def test_the_right_one_may_be_given(self, ecr, repository):
        image = build_image()
        assert put(ecr, "app", image, imageDigest=image.digest) == image.digest

    @pytest.mark.parametrize("digest", ["sha256:abc", "nonsense", "sha512:" + "0" * 128])
    def test_a_wrong_one(self, ecr, repository, digest):
        found = refusal(put, ecr=ecr, repository="app", image=build_image(), imageDigest=digest)
        assert found == recorded(
            "ImageDigestDoesNotMatchException",
            f"The image with digest '{digest}' in repository 'app' and registry ID '{ACCOUNT}' "
            "does not match the image digest that Amazon ECR has calculated.",
        )
        assert listed(ecr, "app") == []


def test_an_index_of_what_is_not_there_has_the_size_of_what_is(ecr, repository, configure):
    configure(sparse=True)
    image = build_image(b"missing")
    index = index_of(image, numbered(7))
    put(ecr, "app", image, "v1")
    put(ecr, "app", index)
    assert (
        described(ecr, "app", imageDigest=index.digest)["imageSizeInBytes"]
        == (described(ecr, "app", imageTag="v1")["imageSizeInBytes"])
    )


@pytest.mark.inferred
def test_a_tag_that_is_none_is_told_before_the_repository(ecr):
    assert refusal(put, ecr=ecr, repository="none", image=numbered(1), tag="a:b").code == "InvalidParameterException"


def test_the_digest_of_an_image_is_that_of_its_manifest_and_not_of_its_layers(ecr, repository):
    one, other = build_image(annotations={"a": "1"}), build_image(annotations={"a": "2"})
    assert one.blobs == other.blobs
    assert [push(ecr, "app", each) for each in (one, other)] == [digest_of(each.manifest) for each in (one, other)]
