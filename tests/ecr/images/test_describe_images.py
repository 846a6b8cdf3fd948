"""DescribeImages: what a detail says, filters, and images that are named."""

from datetime import UTC, datetime, timedelta

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.pushing import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    EMPTY,
    NOWHERE,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    artifact_of,
    create,
    described,
    index_of,
    numbered,
    push,
    put,
)


def details(ecr, **options):
    return ecr.describe_images(repositoryName="app", **options)["imageDetails"]


def digests(ecr, **options):
    return [detail["imageDigest"] for detail in details(ecr, **options)]


class TestDetail:
    @pytest.mark.documented
    def test_of_a_tagged_image(self, ecr):
        create(ecr)
        image = build_image(b"0123456789")
        push(ecr, "app", image, "v1", "latest")
        detail = described(ecr, "app", imageTag="latest")
        pushed_at = detail.pop("imagePushedAt")

        assert abs(datetime.now(UTC) - pushed_at) < timedelta(seconds=30)
        assert detail == {
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "imageDigest": image.digest,
            "imageTags": ["v1", "latest"],
            "imageSizeInBytes": sum(len(data) for data in image.blobs.values()),
            "imageManifestMediaType": OCI_MANIFEST,
            "artifactMediaType": OCI_CONFIG,
            "imageStatus": "ACTIVE",
        }
        assert details(ecr) == [{**detail, "imagePushedAt": pushed_at}]

    @pytest.mark.recorded
    def test_of_an_untagged_image_has_no_tags_at_all(self, sim, ecr):
        create(ecr)
        push(ecr, "app")
        (detail,) = post(sim, "DescribeImages", {"repositoryName": "app"}).json()["imageDetails"]

        assert "imageTags" not in detail
        # What has no value is left out, never null.
        assert None not in detail.values()
        assert type(detail["imagePushedAt"]) is float

    @pytest.mark.documented
    @pytest.mark.parametrize(
        ("image", "media_type", "artifact_media_type"),
        [
            (build_image(), OCI_MANIFEST, OCI_CONFIG),
            (
                build_image(media_type=DOCKER_MANIFEST, config_media_type=DOCKER_CONFIG, layer_media_type=DOCKER_LAYER),
                DOCKER_MANIFEST,
                DOCKER_CONFIG,
            ),
            (
                build_image(config_media_type="application/vnd.cncf.helm.config.v1+json"),
                OCI_MANIFEST,
                "application/vnd.cncf.helm.config.v1+json",
            ),
            # Inferred: an artifact type goes before the type of the config.
            (artifact_of(NOWHERE), OCI_MANIFEST, "application/vnd.example.sbom"),
            (artifact_of(NOWHERE, None), OCI_MANIFEST, EMPTY),
            # Inferred: an index has one only when it says so.
            (index_of(), OCI_INDEX, None),
            (index_of(artifactType="application/x"), OCI_INDEX, "application/x"),
        ],
    )
    def test_media_types(self, ecr, image, media_type, artifact_media_type):
        create(ecr)
        push(ecr, "app", image)
        detail = described(ecr, "app", imageDigest=image.digest)

        assert detail["imageManifestMediaType"] == media_type
        assert detail.get("artifactMediaType") == artifact_media_type

    @pytest.mark.documented
    def test_the_subject_of_a_referrer(self, ecr):
        create(ecr)
        subject = numbered(1)
        push(ecr, "app", subject)
        push(ecr, "app", artifact_of(subject))
        assert [detail.get("subjectManifestDigest") for detail in details(ecr)] == [None, subject.digest]

    def test_where_there_is_nothing_to_say_nothing_is_said(self, ecr):
        create(ecr)
        push(ecr, "app")
        (detail,) = details(ecr)
        absent = {"lastRecordedPullTime", "lastArchivedAt", "lastActivatedAt", "imageScanStatus"}
        assert absent & set(detail) == set()


class TestSize:
    @pytest.mark.inferred
    def test_of_an_image_is_that_of_config_and_layers_as_they_are_declared(self, ecr):
        create(ecr)
        image = build_image(b"0123456789", b"01234", b"0123456789", config=b"{}")
        push(ecr, "app", image)
        # The layer that is listed twice counts twice; the manifest's own bytes do not count.
        assert described(ecr, "app", imageDigest=image.digest)["imageSizeInBytes"] == 27

    @pytest.mark.documented
    def test_of_an_index_is_the_greatest_that_it_lists(self, ecr):
        create(ecr)
        small, large = build_image(b"1", config=b"{}"), build_image(b"1" * 100, config=b"{}")
        index = index_of(small, large)
        outer = index_of(index, small)
        for image in (small, large, index, outer, index_of()):
            push(ecr, "app", image)

        assert [detail["imageSizeInBytes"] for detail in details(ecr)] == [3, 102, 102, 102, 0]


class TestFilters:
    @pytest.fixture
    def images(self, ecr):
        create(ecr)
        tagged, untagged = push(ecr, "app", numbered(1), "v1", "v2"), push(ecr, "app", numbered(2))
        return {"TAGGED": [tagged], "UNTAGGED": [untagged], "ANY": [tagged, untagged]}

    @pytest.mark.documented
    @pytest.mark.parametrize("status", ["TAGGED", "UNTAGGED", "ANY"])
    def test_by_tags(self, ecr, images, status):
        assert digests(ecr, filter={"tagStatus": status}) == images[status]

    @pytest.mark.parametrize("filter", [{}, {"imageStatus": "ACTIVE"}, {"imageStatus": "ANY"}])
    def test_all_images_are_active(self, ecr, images, filter):
        assert digests(ecr, filter=filter) == images["ANY"]

    @pytest.mark.parametrize("status", ["ARCHIVED", "ACTIVATING"])
    def test_none_is_archived(self, ecr, images, status):
        assert digests(ecr, filter={"imageStatus": status}) == []

    @pytest.mark.documented
    def test_both_combine(self, ecr, images):
        assert digests(ecr, filter={"tagStatus": "TAGGED", "imageStatus": "ACTIVE"}) == images["TAGGED"]
        assert digests(ecr, filter={"tagStatus": "TAGGED", "imageStatus": "ARCHIVED"}) == []

    @pytest.mark.inferred
    @pytest.mark.parametrize("status", ["TAGGED", "UNTAGGED", "ANY"])
    def test_they_hold_for_named_images_too(self, ecr, images, status):
        named = [{"imageDigest": digest} for digest in images["ANY"]]
        assert digests(ecr, imageIds=named, filter={"tagStatus": status}) == images[status]

    @pytest.mark.parametrize("member", ["tagStatus", "imageStatus"])
    def test_an_unknown_value(self, ecr, images, member):
        values = {"tagStatus": "TAGGED, UNTAGGED, ANY", "imageStatus": "ACTIVE, ARCHIVED, ACTIVATING, ANY"}[member]
        found = refusal(ecr.describe_images, repositoryName="app", filter={member: "SOME"})
        assert found == inferred(
            "InvalidParameterException",
            constraint(f"filter.{member}", f"Member must satisfy enum value set: [{values}]"),
        )


def not_found(digest="null", tag="null"):
    return recorded(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository "
        f"with name 'app' in the registry with id '{ACCOUNT}'",
    )


class TestNamed:
    @pytest.fixture
    def images(self, ecr):
        create(ecr)
        return push(ecr, "app", numbered(1), "v1", "v2"), push(ecr, "app", numbered(2), "v3")

    @pytest.mark.inferred
    def test_they_come_in_the_order_of_the_request_and_once(self, ecr, images):
        first, second = images
        named = [{"imageTag": "v3"}, {"imageTag": "v2"}, {"imageDigest": second}, {"imageTag": "v1"}]
        assert digests(ecr, imageIds=named) == [second, first]

    @pytest.mark.recorded
    def test_all_tags_are_shown_whatever_the_image_was_named_by(self, ecr, images):
        for image_id in ({"imageTag": "v2"}, {"imageDigest": images[0]}, {"imageTag": "v1", "imageDigest": images[0]}):
            assert described(ecr, "app", **image_id)["imageTags"] == ["v1", "v2"]

    @pytest.mark.parametrize(
        ("image_id", "expected"),
        [
            ({"imageTag": "none"}, not_found(tag="none")),
            ({"imageDigest": NOWHERE}, not_found(NOWHERE)),
            ({"imageTag": "none", "imageDigest": NOWHERE}, not_found(NOWHERE, "none")),
            ({"imageTag": "none", "imageDigest": numbered(1).digest}, not_found(numbered(1).digest, "none")),
            ({"imageTag": "v3", "imageDigest": numbered(1).digest}, not_found(numbered(1).digest, "v3")),
        ],
    )
    def test_one_that_is_unknown_fails_the_whole_call(self, ecr, images, image_id, expected):
        found = refusal(ecr.describe_images, repositoryName="app", imageIds=[{"imageTag": "v1"}, image_id])
        assert found == expected

    @pytest.mark.parametrize(
        ("image_id", "member", "pattern"),
        [
            ({"imageDigest": "v1"}, "imageDigest", "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"),
            ({"imageDigest": ""}, "imageDigest", "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"),
            ({"imageTag": "a:b"}, "imageTag", "[a-zA-Z0-9-_.]+"),
        ],
    )
    def test_a_malformed_one(self, ecr, images, image_id, member, pattern):
        found = refusal(ecr.describe_images, repositoryName="app", imageIds=[{"imageTag": "v1"}, image_id])
        assert found == recorded(
            "InvalidParameterException", constraint(member, f"must satisfy regular expression '{pattern}'")
        )

    def test_one_without_tag_and_digest(self, ecr, images):
        assert refusal(ecr.describe_images, repositoryName="app", imageIds=[{}]) == inferred(
            "InvalidParameterException", constraint("imageIds", "both tag and digest cannot be null")
        )

    @pytest.mark.parametrize(("member", "value"), [("maxResults", 5), ("nextToken", "x")])
    def test_they_have_no_pages(self, ecr, images, member, value):
        found = refusal(ecr.describe_images, repositoryName="app", imageIds=[{"imageTag": "v1"}], **{member: value})
        assert found == inferred(
            "InvalidParameterException", constraint(member, f"{member} cannot be specified with imageIds")
        )

    @pytest.mark.parametrize(
        ("count", "bound"), [(0, "greater than or equal to 1"), (101, "less than or equal to 100")]
    )
    def test_bounds_of_the_list(self, sim, images, count, bound):
        answer = post(sim, "DescribeImages", {"repositoryName": "app", "imageIds": [{"imageTag": "v1"}] * count})
        assert refusal_of(answer) == recorded(
            "InvalidParameterException", constraint("imageIds", f"Member must have length {bound}")
        )

    def test_a_hundred_at_once(self, ecr, images):
        many = [put(ecr, "app", numbered(number)) for number in range(100, 200)]
        assert digests(ecr, imageIds=[{"imageDigest": digest} for digest in reversed(many)]) == many[::-1]


def test_no_images(sim, ecr):
    create(ecr)
    assert post(sim, "DescribeImages", {"repositoryName": "app"}).json() == {"imageDetails": []}


@pytest.mark.documented
def test_the_images_of_an_index_are_entries_of_their_own(ecr):
    create(ecr)
    images = [numbered(1), numbered(2)]
    index = index_of(*images)
    for image in (*images, index):
        push(ecr, "app", image)
    put(ecr, "app", index, "multi")

    assert [(detail["imageDigest"], detail.get("imageTags")) for detail in details(ecr)] == [
        (images[0].digest, None),
        (images[1].digest, None),
        (index.digest, ["multi"]),
    ]


def test_tags_of_images_in_between_do_not_show(ecr):
    create(ecr)
    for number in range(5):
        push(ecr, "app", numbered(number), f"v{number}")
    named = [{"imageTag": "v0"}, {"imageTag": "v4"}]
    assert [detail["imageTags"] for detail in details(ecr, imageIds=named)] == [["v0"], ["v4"]]
