"""PutImage: each check in its order, and what is stored."""

import hashlib
import json

import pytest

from ecrsim.testing import BuiltImage, build_image
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.pushing import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    NOWHERE,
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


def manifest_refused(text="Invalid JSON syntax"):
    return recorded("InvalidParameterException", constraint("ImageManifest", text))


def already_exists(digest, tag):
    return recorded(
        "ImageAlreadyExistsException",
        f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name 'app' "
        f"in registry with id '{ACCOUNT}'",
    )


def retyped(image, **members):
    document = {**json.loads(image.manifest), **members}
    manifest = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
    return BuiltImage(manifest, document["mediaType"] or "", digest_of(manifest), image.blobs)


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

    @pytest.mark.recorded
    def test_a_body_that_does_not_say_needs_the_parameter(self, ecr, repository):
        image = retyped(build_image(), mediaType=None)
        assert refusal(put, ecr=ecr, repository="app", image=image) == manifest_refused()
        assert put(ecr, "app", image, imageManifestMediaType=OCI_MANIFEST) == image.digest

    @pytest.mark.inferred
    def test_parameter_and_body_may_not_contradict_each_other(self, ecr, repository):
        for media_type in (DOCKER_MANIFEST, OCI_INDEX, "application/vnd.example"):
            found = refusal(put, ecr=ecr, repository="app", image=build_image(), imageManifestMediaType=media_type)
            assert found == manifest_refused()

    @pytest.mark.parametrize(
        "media_type",
        [
            "application/vnd.docker.distribution.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.oci.artifact.manifest.v1+json",
            "application/vnd.example",
        ],
    )
    def test_others_are_refused(self, ecr, repository, media_type):
        image = retyped(build_image(), mediaType=media_type)
        assert refusal(put, ecr=ecr, repository="app", image=image) == manifest_refused()

    @pytest.mark.recorded
    def test_docker_s_schema_1_is_refused(self, ecr, repository):
        manifest = json.dumps({"schemaVersion": 1, "name": "app", "tag": "v1", "fsLayers": [], "history": []})
        for media_type in ({}, {"imageManifestMediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"}):
            assert refusal(ecr.put_image, **repository, imageManifest=manifest, **media_type) == manifest_refused()


class TestManifest:
    @pytest.mark.parametrize("manifest", ["no JSON", "{", "[]", "null", "5", '"x"', "{}", '{"schemaVersion": 2}'])
    def test_what_is_none(self, ecr, repository, manifest):
        assert refusal(ecr.put_image, **repository, imageManifest=manifest) == manifest_refused()

    @pytest.mark.recorded
    @pytest.mark.parametrize("layers", [[], None])
    def test_an_image_has_a_layer(self, ecr, repository, layers):
        image = retyped(build_image(), layers=layers)
        found = refusal(put, ecr=ecr, repository="app", image=image)
        assert found == manifest_refused("Image has to have at least 1 layer")

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

    @pytest.mark.parametrize("size", [2**62, 2**63 - 1])
    def test_sizes_that_nobody_can_add_up(self, ecr, repository, size):
        layer = json.loads(build_image().manifest)["layers"][0]
        image = retyped(build_image(), layers=[{**layer, "size": size}] * 3)
        assert refusal(put, ecr=ecr, repository="app", image=image) == manifest_refused()


class TestTag:
    @pytest.mark.parametrize("tag", ["v1", ".", "-a", "A_b-c.D", "a" * 300])
    def test_what_the_service_takes(self, ecr, repository, tag):
        put(ecr, "app", build_image(), tag)
        assert listed(ecr, "app")[0][1] == tag

    @pytest.mark.parametrize("tag", ["a:b", "a/b", "a b", "ä", "v1\n"])
    def test_what_it_does_not(self, ecr, repository, tag):
        assert refusal(put, ecr=ecr, repository="app", image=build_image(), tag=tag) == recorded(
            "InvalidParameterException", constraint("imageTag", "must satisfy regular expression '[a-zA-Z0-9-_.]+'")
        )

    @pytest.mark.parametrize(
        ("tag", "bound"), [("", "greater than or equal to 1"), ("a" * 301, "less than or equal to 300")]
    )
    def test_bounds_of_its_length(self, sim, repository, tag, bound):
        answer = post(sim, "PutImage", {**repository, "imageManifest": "{}", "imageTag": tag})
        assert refusal_of(answer) == inferred(
            "InvalidParameterException", constraint("imageTag", f"must have length {bound}")
        )


class TestDigest:
    def test_the_right_one_may_be_given(self, ecr, repository):
        image = build_image()
        assert put(ecr, "app", image, imageDigest=image.digest) == image.digest

    @pytest.mark.parametrize("digest", [NOWHERE, "sha256:abc", "nonsense", "sha512:" + "0" * 128])
    def test_a_wrong_one(self, ecr, repository, digest):
        found = refusal(put, ecr=ecr, repository="app", image=build_image(), imageDigest=digest)
        assert found == recorded(
            "ImageDigestDoesNotMatchException",
            f"The image with digest '{digest}' in repository 'app' and registry ID '{ACCOUNT}' "
            "does not match the image digest that Amazon ECR has calculated.",
        )
        assert listed(ecr, "app") == []

    def test_sha512_is_kept_when_it_is_asked_for(self, ecr, repository):
        image = build_image()
        digest = f"sha512:{hashlib.sha512(image.manifest).hexdigest()}"
        assert put(ecr, "app", image, "v1", imageDigest=digest) == digest
        assert listed(ecr, "app") == [(digest, "v1")]


class TestWhatMustBeThere:
    def layers_missing(self, *digests):
        return recorded(
            "LayersNotFoundException",
            f"Layers with digests '[{', '.join(digests)}]' required for pushing image into repository "
            f"with name 'app' in the registry with id '{ACCOUNT}' do not exist",
        )

    def images_missing(self, *digests):
        return recorded(
            "ReferencedImagesNotFoundException",
            f"Images with digests '[{', '.join(digests)}]' required for pushing image into repository "
            f"with name 'app' in the registry with id '{ACCOUNT}' do not exist",
        )

    def test_config_and_layers_all_missing_are_named_once_in_their_order(self, ecr, repository):
        there = push_layer(ecr, "app", b"there")
        image = build_image(b"one", b"there", b"two", b"one", config=b"config")
        config, one, _, two = image.blobs

        assert there in image.blobs
        assert refusal(put, ecr=ecr, repository="app", image=image) == self.layers_missing(config, one, two)
        assert listed(ecr, "app") == []

    @pytest.mark.documented
    def test_a_layer_of_another_repository_does_not_count(self, ecr, repository):
        create(ecr, "other")
        digest = push_layer(ecr, "other", b"elsewhere")
        found = refusal(put, ecr=ecr, repository="app", image=build_image(b"elsewhere"))
        assert found == self.layers_missing(digest)

    @pytest.mark.inferred
    def test_a_layer_that_lies_elsewhere_need_not_be_here(self, ecr, repository):
        image = build_image()
        layers = json.loads(image.manifest)["layers"]
        foreign = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": NOWHERE, "size": 9}
        image = retyped(image, layers=[*layers, foreign, {**foreign, "mediaType": DOCKER_LAYER, "urls": ["https://x"]}])
        assert put(ecr, "app", image) == image.digest

    def test_all_images_of_an_index(self, ecr, repository):
        here, one, two = build_image(), numbered(1), numbered(2)
        put(ecr, "app", here)
        found = refusal(put, ecr=ecr, repository="app", image=index_of(one, here, two, one))
        assert found == self.images_missing(one.digest, two.digest)

    @pytest.mark.documented
    def test_an_image_of_another_repository_does_not_count(self, ecr, repository):
        create(ecr, "other")
        push(ecr, "other", numbered(1))
        found = refusal(put, ecr=ecr, repository="app", image=index_of(numbered(1)))
        assert found == self.images_missing(numbered(1).digest)

    @pytest.mark.inferred
    def test_a_subject_need_not_be_there(self, ecr, repository):
        image = artifact_of(NOWHERE)
        assert push(ecr, "app", image) == image.digest

    def test_sparse_images_are_a_setting(self, ecr, repository, configure):
        configure(sparse=True)
        image = build_image(b"missing")
        put(ecr, "app", image, "v1")
        index = index_of(image, numbered(7))
        put(ecr, "app", index)
        assert (
            described(ecr, "app", imageDigest=index.digest)["imageSizeInBytes"]
            == (described(ecr, "app", imageTag="v1")["imageSizeInBytes"])
        )


class TestAgain:
    def test_the_same_image_with_the_same_tag(self, ecr, repository):
        image = build_image()
        put(ecr, "app", image, "v1")
        assert refusal(put, ecr=ecr, repository="app", image=image, tag="v1") == already_exists(image.digest, "v1")

    @pytest.mark.inferred
    @pytest.mark.parametrize("tag", ["v1", None])
    def test_the_same_image_without_a_tag(self, ecr, repository, tag):
        image = build_image()
        put(ecr, "app", image, tag)
        assert refusal(put, ecr=ecr, repository="app", image=image) == already_exists(image.digest, "null")


class TestOrder:
    """(inferred) Each request is wrong in two ways; the one that is looked at first is the answer."""

    @pytest.mark.parametrize(
        ("first", "second", "code"),
        [
            ("tag", "repository", "InvalidParameterException"),
            ("repository", "manifest", "RepositoryNotFoundException"),
            ("manifest", "digest", "InvalidParameterException"),
            ("layerless", "digest", "InvalidParameterException"),
            ("digest", "immutable", "ImageDigestDoesNotMatchException"),
            ("digest", "missing", "ImageDigestDoesNotMatchException"),
            ("immutable", "missing", "ImageTagAlreadyExistsException"),
            ("missing", "quota", "LayersNotFoundException"),
        ],
    )
    def test_two_faults(self, ecr, repository, configure, first, second, code):
        put(ecr, "app", numbered(0), "taken")
        image, options = numbered(1), {"repository": "app", "tag": "new"}
        for fault in (first, second):
            if fault == "tag":
                options["tag"] = "a:b"
            elif fault == "repository":
                options["repository"] = "none"
            elif fault == "manifest":
                image = BuiltImage(b"{", "", "", {})
            elif fault == "layerless":
                image = retyped(image, layers=[])
            elif fault == "digest":
                options["imageDigest"] = NOWHERE
            elif fault == "immutable":
                ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
                options["tag"] = "taken"
            elif fault == "missing":
                image = build_image(b"missing")
            else:
                configure(quota_images=0)
        assert refusal(put, ecr=ecr, image=image, **options).code == code
        assert listed(ecr, "app") == [(numbered(0).digest, "taken")]


class TestQuotas:
    def images(self, limit):
        return recorded(
            "LimitExceededException",
            f"The repository with name 'app' in registry with id '{ACCOUNT}' already has the maximum allowed number of "
            f"images which is '{limit}'",
        )

    def tags(self, tag, limit):
        return recorded(
            "LimitExceededException",
            f"Adding tag '{tag}' to an image in the repository with name 'app' in registry with id '{ACCOUNT}' exceeds "
            f"the maximum allowed number of tags per image which is '{limit}'",
        )

    @pytest.mark.recorded
    def test_layers_per_image(self, ecr, repository, configure):
        most = build_image(*[b"one layer, many times"] * 500)
        assert push(ecr, "app", most) == most.digest
        found = refusal(put, ecr=ecr, repository="app", image=build_image(*[b"one layer, many times"] * 501))
        assert found == manifest_refused("Limit on number of layers per image exceeded")

        configure(quota_layers_per_image=1)
        assert put(ecr, "app", numbered(0)) == numbered(0).digest
        assert refusal(put, ecr=ecr, repository="app", image=most) == manifest_refused(
            "Limit on number of layers per image exceeded"
        )

    def test_images_per_repository(self, ecr, repository, configure):
        create(ecr, "other")
        configure(quota_images=2)
        for number in range(2):
            put(ecr, "app", numbered(number), f"v{number}")
            push(ecr, "other", numbered(number))
        assert refusal(put, ecr=ecr, repository="app", image=numbered(2)) == self.images(2)

        # An image that is there takes no more room.
        put(ecr, "app", numbered(0), "again")
        ecr.batch_delete_image(**repository, imageIds=[{"imageTag": "v1"}])
        put(ecr, "app", numbered(2))

    def test_tags_per_image(self, ecr, repository, configure):
        configure(quota_tags_per_image=2)
        for tag in ("v1", "v2"):
            put(ecr, "app", numbered(0), tag)
        assert refusal(put, ecr=ecr, repository="app", image=numbered(0), tag="v3") == self.tags("v3", 2)

        put(ecr, "app", numbered(1), "v3")
        # A tag that moves here counts as well, and stays where it was.
        assert refusal(put, ecr=ecr, repository="app", image=numbered(0), tag="v3") == self.tags("v3", 2)
        assert listed(ecr, "app") == [
            (numbered(0).digest, "v1"),
            (numbered(0).digest, "v2"),
            (numbered(1).digest, "v3"),
        ]
        put(ecr, "app", numbered(1), "v1")
        put(ecr, "app", numbered(0), "v3")


def test_the_digest_of_an_image_is_that_of_its_manifest_and_not_of_its_layers(ecr, repository):
    one, other = build_image(annotations={"a": "1"}), build_image(annotations={"a": "2"})
    assert one.blobs == other.blobs
    assert [push(ecr, "app", each) for each in (one, other)] == [digest_of(each.manifest) for each in (one, other)]
