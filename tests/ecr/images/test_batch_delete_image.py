"""BatchDeleteImage: tags, images, and what an index holds on to."""

import pytest

from ecrsim.testing import build_image
from tests.pushing import (
    DOCKER_LIST,
    OCI_INDEX,
    artifact_of,
    create,
    entries,
    index_of,
    listed,
    numbered,
    push,
    put,
)

ONE, TWO = numbered(1), numbered(2)


@pytest.fixture
def repository(ecr):
    """Two images: the first with the tags `a` and `b`, the second untagged."""
    create(ecr)
    push(ecr, "app", ONE, "a", "b")
    push(ecr, "app", TWO)
    return "app"


@pytest.fixture
def delete(ecr):
    def attempt(*image_ids):
        answer = ecr.batch_delete_image(repositoryName="app", imageIds=list(image_ids))
        answer.pop("ResponseMetadata")
        return answer

    return attempt


def by_tag(*tags):
    return [{"imageTag": tag} for tag in tags]


def by_digest(*images):
    return [{"imageDigest": image.digest} for image in images]


A, B, LAST = (ONE.digest, "a"), (ONE.digest, "b"), (TWO.digest, None)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("image_ids", "answered", "left"),
    [
        pytest.param(by_tag("a"), [A], [B, LAST], id="a tag, while the image has another"),
        pytest.param(by_tag("a", "b"), [A, B], [LAST], id="both tags, and with the last one the image"),
        pytest.param(by_digest(ONE), [A, B], [LAST], id="a digest: the image and all its tags"),
        pytest.param(by_digest(TWO), [LAST], [A, B], id="the digest of an untagged image"),
        pytest.param([{"imageDigest": ONE.digest, "imageTag": "a"}], [A], [B, LAST], id="tag and digest, as a tag"),
        pytest.param(
            [{"imageDigest": ONE.digest, "imageTag": tag} for tag in "ab"],
            [A, B],
            [LAST],
            id="tag and digest, to the last tag",
        ),
        pytest.param(by_digest(ONE) + by_tag("a"), [A, B], [LAST], id="a digest and then its tag"),
        pytest.param(by_tag("b") + by_digest(ONE), [B, A], [LAST], id="a tag and then its digest"),
        pytest.param(by_tag("a", "a"), [A], [B, LAST], id="a tag twice"),
        pytest.param(by_digest(TWO, TWO), [LAST], [A, B], id="a digest twice"),
        pytest.param(by_digest(ONE, TWO), [A, B, LAST], [], id="everything"),
    ],
)
def test_what_goes(ecr, repository, delete, image_ids, answered, left):
    answer = delete(*image_ids)

    assert (entries(answer), answer["failures"]) == (answered, [])
    assert listed(ecr, "app") == left


def test_what_is_wrong_with_one_id_does_not_keep_the_others(ecr, repository, delete):
    answer = delete({"imageTag": "none"}, *by_tag("a"), {}, *by_digest(TWO))

    assert entries(answer) == [A, LAST]
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageNotFound", "MissingDigestAndTag"]
    assert listed(ecr, "app") == [B]


def test_a_deleted_image_is_gone_everywhere(ecr, repository, delete):
    delete(*by_digest(ONE))

    assert ecr.batch_get_image(repositoryName="app", imageIds=by_digest(ONE))["images"] == []
    assert [detail["imageDigest"] for detail in ecr.describe_images(repositoryName="app")["imageDetails"]] == [
        TWO.digest
    ]


def referenced(image_id, *indexes):
    return {
        "imageId": image_id,
        "failureCode": "ImageReferencedByManifestList",
        "failureReason": f"Requested image referenced by manifest list: [{', '.join(each.digest for each in indexes)}]",
    }


@pytest.mark.recorded
class TestReferencedByAnIndex:
    @pytest.fixture(params=[OCI_INDEX, DOCKER_LIST])
    def index(self, request, ecr, repository):
        image = index_of(ONE, media_type=request.param)
        put(ecr, "app", image, "multi")
        return image

    @pytest.mark.parametrize("with_digest", [{}, {"imageDigest": ONE.digest}])
    def test_its_last_tag_stays_and_the_others_may_go(self, ecr, index, delete, with_digest):
        assert entries(delete({"imageTag": "a", **with_digest})) == [A]

        last = {"imageTag": "b", **with_digest}
        assert delete(last) == {"imageIds": [], "failures": [referenced(last, index)]}
        assert listed(ecr, "app") == [B, LAST, (index.digest, "multi")]

    def test_both_tags_at_once(self, ecr, index, delete):
        answer = delete(*by_tag("a", "b"))
        assert (entries(answer), answer["failures"]) == ([A], [referenced({"imageTag": "b"}, index)])

    def test_failures_keep_the_order_of_the_request(self, ecr, index, delete):
        (by_its_digest,) = by_digest(ONE)
        failures = delete(by_its_digest, {"imageTag": "none"}, by_its_digest, {})["failures"]
        assert [failure["imageId"] for failure in failures] == [by_its_digest, {"imageTag": "none"}, by_its_digest, {}]


@pytest.mark.recorded
class TestIndexesInTheSameRequest:
    """An index holds its images for the whole request that deletes it; the next one takes them."""

    @pytest.fixture
    def nested(self, ecr, repository):
        inner = index_of(ONE)
        outer = index_of(inner, TWO)
        for image in (inner, outer):
            put(ecr, "app", image)
        return inner, outer

    def test_the_index_goes_and_its_images_are_refused(self, ecr, nested, delete):
        inner, outer = nested
        answer = delete(*by_digest(ONE, TWO, inner, outer))
        assert entries(answer) == [(outer.digest, None)]
        assert answer["failures"] == [
            referenced({"imageDigest": ONE.digest}, inner),
            referenced({"imageDigest": TWO.digest}, outer),
            referenced({"imageDigest": inner.digest}, outer),
        ]

    @pytest.mark.parametrize("turned", [False, True])
    def test_whatever_the_order(self, ecr, nested, delete, turned):
        inner, outer = nested
        order = by_digest(outer, inner, TWO, ONE)
        for gone, left in (((outer,), 3), ((inner, TWO), 1), ((ONE,), 0)):
            answer = delete(*(reversed(order) if turned else order))
            digests = {digest for digest, _ in entries(answer)}
            assert digests == {image.digest for image in gone}
            assert len({digest for digest, _ in listed(ecr, "app")}) == left

    def test_a_last_tag_is_held_as_well_and_the_others_go(self, ecr, repository, delete):
        index = index_of(ONE)
        put(ecr, "app", index, "multi")
        answer = delete(*by_tag("multi", "a", "b"))
        assert entries(answer) == [(index.digest, "multi"), A]
        assert answer["failures"] == [referenced({"imageTag": "b"}, index)]

    def test_what_an_index_outside_of_the_request_holds_stays(self, ecr, nested, delete):
        inner, outer = nested
        answer = delete(*by_digest(ONE, inner))
        assert answer["failures"] == [
            referenced({"imageDigest": ONE.digest}, inner),
            referenced({"imageDigest": inner.digest}, outer),
        ]
        assert answer["imageIds"] == []


@pytest.mark.inferred
def test_a_subject_does_not_hold_its_referrers_nor_they_it(ecr, repository, delete):
    artifact = artifact_of(TWO)
    push(ecr, "app", artifact)
    assert delete(*by_digest(TWO))["failures"] == []

    subject = {"repositoryName": "app", "subjectId": {"imageDigest": TWO.digest}}
    assert [each["digest"] for each in ecr.list_image_referrers(**subject)["referrers"]] == [artifact.digest]
    assert delete(*by_digest(artifact))["failures"] == []


@pytest.mark.documented
def test_the_referrers_tag_of_old_clients_is_an_index_like_any_other(ecr, repository, delete):
    artifact = build_image(b"signature")
    push(ecr, "app", artifact)
    fallback = index_of(artifact)
    put(ecr, "app", fallback, ONE.digest.replace(":", "-"))

    (by_its_digest,) = by_digest(artifact)
    assert delete(by_its_digest)["failures"] == [referenced(by_its_digest, fallback)]


def test_a_hundred_images_at_once(ecr, repository, delete):
    images = [numbered(number) for number in range(100, 200)]
    for image in images:
        put(ecr, "app", image)
    assert entries(delete(*by_digest(*images))) == [(image.digest, None) for image in images]
