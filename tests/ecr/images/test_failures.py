"""Failures of BatchGetImage and BatchDeleteImage: one table of decisions, alike for both."""

import pytest

from tests.answers import constraint, inferred, recorded
from tests.api import post, refusal_of
from tests.pushing import NOWHERE, create, listed, numbered, push

ONE, TWO = numbered(1).digest, numbered(2).digest

# Recorded: code and reason of each (the two patterns in the texts were seen; that of the tag is inferred from them).
MISSING = ("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
BAD_DIGEST = (
    "InvalidImageDigest",
    "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
)
BAD_TAG = ("InvalidImageTag", "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'")
NOT_FOUND = ("ImageNotFound", "Requested image not found")
MISMATCH = (
    "ImageTagDoesNotMatchDigest",
    "Invalid request parameters: given tag does not map to the given digest",
)

FAILURES = [
    pytest.param({}, MISSING, id="neither tag nor digest"),
    pytest.param({"imageDigest": ""}, BAD_DIGEST, id="an empty digest"),
    pytest.param({"imageDigest": "nonsense"}, BAD_DIGEST, id="a malformed digest"),
    pytest.param({"imageDigest": "nonsense", "imageTag": "one"}, BAD_DIGEST, id="a malformed digest with a known tag"),
    pytest.param({"imageDigest": "nonsense", "imageTag": "a:b"}, BAD_DIGEST, id="both malformed"),
    pytest.param({"imageTag": "a:b"}, BAD_TAG, id="a malformed tag"),
    pytest.param({"imageTag": "a:b", "imageDigest": ONE}, BAD_TAG, id="a malformed tag with a known digest"),
    pytest.param({"imageTag": "none"}, NOT_FOUND, id="an unknown tag"),
    pytest.param({"imageDigest": NOWHERE}, NOT_FOUND, id="an unknown digest"),
    pytest.param({"imageDigest": "md5:00"}, NOT_FOUND, id="a digest of an algorithm that nobody uses"),
    pytest.param({"imageDigest": ONE.upper()}, NOT_FOUND, id="a known digest in capitals"),
    pytest.param({"imageTag": "none", "imageDigest": ONE}, NOT_FOUND, id="an unknown tag though the digest is known"),
    pytest.param({"imageTag": "none", "imageDigest": NOWHERE}, NOT_FOUND, id="both unknown"),
    pytest.param({"imageTag": "one", "imageDigest": TWO}, MISMATCH, id="the tag of another digest"),
    pytest.param({"imageTag": "one", "imageDigest": NOWHERE}, MISMATCH, id="a known tag, an unknown digest"),
]


@pytest.fixture(params=["batch_get_image", "batch_delete_image"])
def call(request, ecr):
    create(ecr)
    push(ecr, "app", numbered(1), "one", "two")
    push(ecr, "app", numbered(2))
    return lambda *image_ids: getattr(ecr, request.param)(repositoryName="app", imageIds=list(image_ids))


@pytest.mark.parametrize("operation", ["PutImage", "ListImages", "BatchDeleteImage", "BatchGetImage"])
def test_an_unknown_repository_comes_before_what_is_wrong_with_the_rest(sim, operation):
    answer = post(sim, operation, {"repositoryName": "none", "imageManifest": "{", "imageIds": [{}]})
    assert (answer.status, answer.json()["__type"]) == (400, "RepositoryNotFoundException")


@pytest.mark.recorded
@pytest.mark.parametrize(("image_id", "code_and_reason"), FAILURES)
def test_one_id(ecr, call, image_id, code_and_reason):
    code, reason = code_and_reason
    answer = call(image_id)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    # The id is echoed with exactly the members that were sent.
    assert answer["failures"] == [{"imageId": image_id, "failureCode": code, "failureReason": reason}]
    assert answer.get("images", answer.get("imageIds")) == []
    assert len(listed(ecr, "app")) == 3


def test_failures_keep_the_order_of_the_request(call):
    wrong = [{"imageTag": "z"}, {}, {"imageDigest": "x"}, {"imageTag": "a"}, {"imageTag": "one", "imageDigest": TWO}]
    answer = call(wrong[0], {"imageTag": "one"}, *wrong[1:])

    assert [failure["imageId"] for failure in answer["failures"]] == wrong
    assert len(answer.get("images", answer.get("imageIds"))) == 1


@pytest.mark.parametrize("operation", ["BatchGetImage", "BatchDeleteImage"])
class TestBounds:
    @pytest.mark.parametrize(
        ("count", "bound"), [(0, "greater than or equal to 1"), (101, "less than or equal to 100")]
    )
    def test_of_the_list(self, sim, ecr, operation, count, bound):
        create(ecr)
        answer = post(sim, operation, {"repositoryName": "app", "imageIds": [{"imageTag": "a"}] * count})
        assert refusal_of(answer) == recorded(
            "InvalidParameterException", constraint("imageIds", f"Member must have length {bound}")
        )

    @pytest.mark.documented
    def test_a_hundred_at_once(self, sim, ecr, operation):
        create(ecr)
        ids = [{"imageTag": f"t{number}"} for number in range(100)]
        answer = post(sim, operation, {"repositoryName": "app", "imageIds": ids}).json()
        assert [failure["imageId"] for failure in answer["failures"]] == ids

    @pytest.mark.parametrize(
        ("tag", "bound"), [("", "greater than or equal to 1"), ("a" * 301, "less than or equal to 300")]
    )
    def test_a_tag_that_the_model_forbids_fails_the_whole_call(self, sim, ecr, operation, tag, bound):
        create(ecr)
        ids = [{"imageTag": "fine"}, {"imageTag": tag}]
        answer = post(sim, operation, {"repositoryName": "app", "imageIds": ids})
        assert refusal_of(answer) == inferred(
            "InvalidParameterException", constraint("imageTag", f"must have length {bound}")
        )
