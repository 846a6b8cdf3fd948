"""BatchCheckLayerAvailability."""

import pytest

from ecrsim.testing import build_image
from tests.answers import constraint, recorded
from tests.api import post, refusal_of
from tests.pushing import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, NOWHERE, create, digest_of, push, push_layer

INVALID = (
    "InvalidLayerDigest",
    "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
)
MISSING = ("MissingLayerDigest", "Invalid request parameters: layer digest cannot be null")


@pytest.fixture
def check(ecr):
    create(ecr)

    def find(*digests, repository="app"):
        answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=list(digests))
        answer.pop("ResponseMetadata")
        return answer

    return find


@pytest.mark.inferred
def test_a_layer_that_is_not_there_is_an_answer_and_no_failure(check):
    assert check(NOWHERE) == {
        "layers": [{"layerDigest": NOWHERE, "layerAvailability": "UNAVAILABLE"}],
        "failures": [],
    }


@pytest.mark.inferred
def test_a_layer_has_no_type_before_an_image_gives_it_one(ecr, check):
    digest = push_layer(ecr, "app", b"some bytes")
    assert check(digest)["layers"] == [{"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": 10}]


@pytest.mark.recorded
def test_layers_and_config_have_the_types_that_the_manifest_declares(ecr, check):
    image = build_image(
        b"a layer", media_type=DOCKER_MANIFEST, config_media_type=DOCKER_CONFIG, layer_media_type=DOCKER_LAYER
    )
    push(ecr, "app", image)
    config, layer = image.blobs

    assert check(layer, config)["layers"] == [
        {"layerDigest": layer, "layerAvailability": "AVAILABLE", "layerSize": 7, "mediaType": DOCKER_LAYER},
        {
            "layerDigest": config,
            "layerAvailability": "AVAILABLE",
            "layerSize": len(image.blobs[config]),
            "mediaType": DOCKER_CONFIG,
        },
    ]


def test_what_is_config_and_layer_at_once_has_the_type_of_the_config(ecr, check):
    # As in an artifact whose config and layer are both `{}`.
    image = build_image(b"{}", config=b"{}", config_media_type=DOCKER_CONFIG, layer_media_type=DOCKER_LAYER)
    push(ecr, "app", image)
    assert [layer["mediaType"] for layer in check(*image.blobs)["layers"]] == [DOCKER_CONFIG]


def test_the_type_goes_with_the_last_image_that_names_it(ecr, check):
    image = build_image()
    push(ecr, "app", image, "v1")
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])

    layer = list(image.blobs)[1]
    assert check(layer)["layers"] == [{"layerDigest": layer, "layerAvailability": "AVAILABLE", "layerSize": 7}]


@pytest.mark.inferred
@pytest.mark.parametrize(
    ("digest", "code_and_reason"),
    [
        ("", MISSING),
        ("x", INVALID),
        ("sha256:", INVALID),
        ("sha256:xyz", INVALID),
        (NOWHERE + "\n", INVALID),
        ("a" * 1000, INVALID),
    ],
)
def test_what_is_no_digest_is_a_failure(check, digest, code_and_reason):
    code, reason = code_and_reason
    assert check(digest) == {
        "layers": [],
        "failures": [{"layerDigest": digest, "failureCode": code, "failureReason": reason}],
    }


def test_answers_and_failures_keep_the_order_of_the_request(ecr, check):
    there = push_layer(ecr, "app", b"there")
    answer = check("b!", NOWHERE, "", there, "a!")

    assert [layer["layerDigest"] for layer in answer["layers"]] == [NOWHERE, there]
    assert [failure["layerDigest"] for failure in answer["failures"]] == ["b!", "", "a!"]


def test_a_digest_in_capitals_is_another_digest(ecr, check):
    digest = push_layer(ecr, "app", b"there")
    assert check(digest.upper())["layers"][0]["layerAvailability"] == "UNAVAILABLE"


@pytest.mark.documented
def test_availability_is_the_repository_s_own(ecr, check):
    create(ecr, "other")
    digest = push_layer(ecr, "other", b"there")

    assert check(digest)["layers"][0]["layerAvailability"] == "UNAVAILABLE"
    assert check(digest, repository="other")["layers"][0]["layerAvailability"] == "AVAILABLE"


@pytest.mark.parametrize(
    ("digests", "text"),
    [
        ([], "Member must have length greater than or equal to 1"),
        ([NOWHERE] * 101, "Member must have length less than or equal to 100"),
        (
            ["a" * 1001],
            (
                "Member must satisfy constraint: [Member must have length less than or equal to 1000, "
                "Member must have length greater than or equal to 0]"
            ),
        ),
    ],
)
def test_bounds_of_the_request(sim, ecr, digests, text):
    create(ecr)
    answer = post(sim, "BatchCheckLayerAvailability", {"repositoryName": "app", "layerDigests": digests})
    assert refusal_of(answer) == recorded("InvalidParameterException", constraint("layerDigests", text))


def test_a_hundred_at_once(check):
    digests = [digest_of(bytes([number])) for number in range(100)]
    assert [layer["layerDigest"] for layer in check(*digests)["layers"]] == digests
