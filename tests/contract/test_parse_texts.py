"""Sentences as the real service was seen to say them, and the order in which it is asked to find fault."""

import json

import pytest

from ecrsim.contract.models import service
from ecrsim.contract.operations import declaration_of
from ecrsim.contract.parse import parse
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.images.rules import TAG_TEXT

ECR = service("ecr").operations
PUBLIC = service("ecr-public").operations

NEW_NAME = r"must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'"
OLD_NAME = "must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'"
TAG = "must satisfy regular expression '[a-zA-Z0-9-_.]+'"
DIGEST = "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
REPOSITORY = {"repositoryName": "team/app"}
#: What operations that are not built yet will declare.
TO_DECLARE = {"DescribeImageScanFindings": (("ImageTag", TAG_TEXT), ("ImageDigest", ECR_DIGEST_TEXT))}

load_capabilities()


def refusal(operation, body):
    declared = declaration_of(operation)
    checks = declared.service_checks if declared else TO_DECLARE.get(operation.name, ())
    with pytest.raises(InvalidParameterException) as caught:
        parse(operation, json.dumps(body).encode(), checks)
    assert caught.value.code == "InvalidParameterException"
    assert caught.value.status == 400
    return caught.value.message


RECORDED = [
    # CreateRepository with "Bad_Name!", "a", 257 letters and no name: captures of the real service published by the
    # emulator mulgadc/spinifex in 2026; the second also in aws/aws-dotnet-deploy#549.
    ("CreateRepository", {"repositoryName": "Bad_Name!"}, "repositoryName", NEW_NAME),
    ("CreateRepository", {"repositoryName": "a"}, "repositoryName", "must have length greater than or equal to 2"),
    ("CreateRepository", {"repositoryName": "a" * 257}, "repositoryName", "must have length less than or equal to 256"),
    ("CreateRepository", {}, "repositoryName", "must not be null"),
    # DescribeRepositories with an ARN for a name: hashicorp/terraform-provider-aws#40309.
    ("DescribeRepositories", {"repositoryNames": ["arn:aws:ecr:a:1:repository/x"]}, "repositoryName", NEW_NAME),
    # The same captures.
    ("PutImageTagMutability", REPOSITORY, "imageTagMutability", "Member must not be null"),
    (
        "PutImageTagMutability",
        {**REPOSITORY, "imageTagMutability": "SOLID"},
        "imageTagMutability",
        "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
    ),
    (
        "CreateRepository",
        {**REPOSITORY, "tags": [{"Key": "a", "Value": "b"}, {"Value": "c"}]},
        "tags.2.member.key",
        "Member must not be null",
    ),
    # aws-lambda-ecr-cleaner#3 and trek10inc/ecr-cleaner#8.
    (
        "BatchDeleteImage",
        {**REPOSITORY, "imageIds": []},
        "imageIds",
        "Member must have length greater than or equal to 1",
    ),
    (
        "BatchDeleteImage",
        {**REPOSITORY, "imageIds": [{"imageTag": "a"}] * 101},
        "imageIds",
        "Member must have length less than or equal to 100",
    ),
    # A Terraform module's note.
    (
        "PutLifecyclePolicy",
        {**REPOSITORY, "lifecyclePolicyText": ""},
        "lifecyclePolicyText",
        "Member must have length greater than or equal to 100",
    ),
    # renovatebot/renovate#6885.
    (
        "ListImages",
        {**REPOSITORY, "maxResults": 10000},
        "maxResults",
        "Member must have value less than or equal to 1000",
    ),
    # aws-actions/amazon-ecr-login, whose README explains it.
    (
        "GetAuthorizationToken",
        {"registryIds": ["12345678901"]},
        "registryIds",
        "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]",
    ),
    # kbld's documentation; datawire/forge#99; prowler-cloud/prowler#603; pulumi/pulumi-aws#2466 (an empty digest).
    ("PutImage", {**REPOSITORY, "imageManifest": "{}", "imageTag": "a:b"}, "imageTag", TAG),
    ("DescribeImages", {**REPOSITORY, "imageIds": [{"imageTag": "a b"}]}, "imageTag", TAG),
    ("DescribeImageScanFindings", {**REPOSITORY, "imageId": {"imageDigest": "None"}}, "imageDigest", DIGEST),
    ("DescribeImages", {**REPOSITORY, "imageIds": [{"imageDigest": ""}]}, "imageDigest", DIGEST),
]


@pytest.mark.parametrize(("name", "body", "member", "constraint"), RECORDED)
def test_recorded_sentences(name, body, member, constraint):
    assert refusal(ECR[name], body) == (f"Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'")


def test_a_regular_expression_ends_with_two_quotes():
    message = refusal(ECR["DescribeImages"], {**REPOSITORY, "imageIds": [{"imageTag": "!"}]})

    assert message == (
        "Invalid parameter at 'imageTag' failed to satisfy constraint: "
        "'must satisfy regular expression '[a-zA-Z0-9-_.]+''"
    )


def test_a_prefix_speaks_in_the_voice_of_the_framework():
    # Recorded with the pattern of its day; the sentence around it is what is tested.
    message = refusal(ECR["DeletePullThroughCacheRule"], {"ecrRepositoryPrefix": "Docker"})

    assert message.startswith(
        "Invalid parameter at 'ecrRepositoryPrefix' failed to satisfy constraint: "
        "'Member must satisfy regular expression pattern: ^("
    )


def test_public_names_keep_their_older_pattern():
    message = refusal(PUBLIC["CreateRepository"], {"repositoryName": "a__b"})

    assert message == f"Invalid parameter at 'repositoryName' failed to satisfy constraint: '{OLD_NAME}'"


@pytest.mark.parametrize("image_id", [{"imageTag": "a:b"}, {"imageDigest": "nonsense"}, {}])
@pytest.mark.parametrize("name", ["BatchGetImage", "BatchDeleteImage"])
def test_the_batch_calls_leave_bad_ids_to_their_failures(name, image_id):
    body = {**REPOSITORY, "imageIds": [image_id]}

    assert parse(ECR[name], json.dumps(body).encode())["image_ids"] == [image_id]


@pytest.mark.parametrize("digest", ["", "nonsense", "sha256:xyz"])
def test_layer_availability_leaves_bad_digests_to_its_failures(digest):
    body = {**REPOSITORY, "layerDigests": [digest]}

    assert parse(ECR["BatchCheckLayerAvailability"], json.dumps(body).encode())["layer_digests"] == [digest]


def test_a_nested_member_is_named_by_its_path():
    body = {**REPOSITORY, "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "a b"}]}

    assert "at 'imageTagMutabilityExclusionFilters.1.member.filter' failed" in refusal(ECR["CreateRepository"], body)


def test_required_members_are_looked_at_before_others():
    message = refusal(ECR["PutImage"], {"registryId": "x", "repositoryName": "A"})

    assert message == "Invalid parameter at 'imageManifest' failed to satisfy constraint: 'Member must not be null'"


def test_the_first_violation_in_model_order_is_the_answer():
    body = {"imageTag": "!", "imageManifest": "{}", "repositoryName": "A", "registryId": "x"}

    assert "at 'registryId'" in refusal(ECR["PutImage"], body)


def test_length_is_looked_at_before_the_pattern():
    assert "length greater than" in refusal(ECR["CreateRepository"], {"repositoryName": "A"})


def test_length_counts_characters_and_not_bytes():
    body = {"name": "ä" * 64}

    assert parse(ECR["GetAccountSetting"], json.dumps(body, ensure_ascii=False).encode()) == body
    assert "less than or equal to 64" in refusal(ECR["GetAccountSetting"], {"name": "ä" * 65})
