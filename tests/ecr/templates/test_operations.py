"""Templates: created, updated, deleted, described a page at a time, and what is refused."""

import json

import pytest

from tests.answers import ACCOUNT, bad_token, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.ecr.lifecycle.policies import policy, rule

KEEP_TEN = policy(rule(keep=10))
PULLERS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"], "Sid": "Pull"}],
    }
)
KEY = "12345678-1234-1234-1234-123456789012"
FILTERS = [{"filterType": "WILDCARD", "filter": "dev-*"}, {"filterType": "WILDCARD", "filter": "a*b*"}]
EVERYTHING = {
    "description": "for teams",
    "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY}"},
    "resourceTags": [{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": ""}],
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "imageTagMutabilityExclusionFilters": FILTERS,
    "repositoryPolicy": PULLERS,
    "lifecyclePolicy": KEEP_TEN,
    "customRoleArn": f"arn:aws:iam::{ACCOUNT}:role/templates",
}
REASONS = ["PULL_THROUGH_CACHE", "CREATE_ON_PUSH", "REPLICATION"]


def create(ecr, prefix="prod", applied_for=("CREATE_ON_PUSH",), **members):
    answer = ecr.create_repository_creation_template(prefix=prefix, appliedFor=list(applied_for), **members)
    assert answer["registryId"] == ACCOUNT
    return timeless(answer["repositoryCreationTemplate"])


def timeless(template):
    """Without its times, which have to be there."""
    return {name: value for name, value in template.items() if name not in ("createdAt", "updatedAt")} | (
        {} if {"createdAt", "updatedAt"} <= template.keys() else {"times": "missing"}
    )


def described(ecr, **options):
    answer = ecr.describe_repository_creation_templates(**options)
    assert answer["registryId"] == ACCOUNT
    return [timeless(template) for template in answer["repositoryCreationTemplates"]]


@pytest.mark.recorded
def test_the_defaults(ecr):
    wanted = {
        "prefix": "prod",
        "appliedFor": ["CREATE_ON_PUSH"],
        "encryptionConfiguration": {"encryptionType": "AES256"},
        "imageTagMutability": "MUTABLE",
    }
    assert create(ecr) == wanted
    assert described(ecr) == [wanted]


def test_every_member_is_kept_as_it_was_sent(ecr):
    wanted = {"prefix": "prod", "appliedFor": REASONS, **EVERYTHING}
    assert create(ecr, applied_for=REASONS, **EVERYTHING) == wanted
    assert described(ecr) == [wanted]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ({"lifecyclePolicy": "", "repositoryPolicy": ""}, {}),
        (
            {"encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": ""}},
            {"encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": ""}},
        ),
    ],
    ids=["empty policies are none", "an empty key"],
)
def test_what_may_be_empty(ecr, members, kept):
    defaults = {"encryptionConfiguration": {"encryptionType": "AES256"}, "imageTagMutability": "MUTABLE"}
    assert create(ecr, **members) == {"prefix": "prod", "appliedFor": ["CREATE_ON_PUSH"], **defaults, **kept}


@pytest.mark.recorded
def test_the_last_slash_of_a_prefix_is_dropped_everywhere(ecr):
    assert create(ecr, "prod/")["prefix"] == "prod"
    assert [template["prefix"] for template in described(ecr, prefixes=["prod/"])] == ["prod"]
    ecr.update_repository_creation_template(prefix="prod/", description="d")
    assert described(ecr)[0]["description"] == "d"
    ecr.delete_repository_creation_template(prefix="prod/")
    assert described(ecr) == []


def test_the_times(sim, ecr):
    create(ecr)
    sim.advance(hours=1)
    template = ecr.update_repository_creation_template(prefix="prod", description="d")["repositoryCreationTemplate"]
    assert (template["updatedAt"] - template["createdAt"]).total_seconds() >= 3600
    (template,) = ecr.describe_repository_creation_templates()["repositoryCreationTemplates"]
    assert (template["updatedAt"] - template["createdAt"]).total_seconds() >= 3600


@pytest.mark.inferred
def test_an_update_leaves_what_is_not_given(ecr):
    create(ecr, applied_for=REASONS, **EVERYTHING)
    answer = ecr.update_repository_creation_template(prefix="prod", description="new", appliedFor=["REPLICATION"])
    wanted = {"prefix": "prod", **EVERYTHING, "description": "new", "appliedFor": ["REPLICATION"]}
    assert timeless(answer["repositoryCreationTemplate"]) == wanted
    assert described(ecr) == [wanted]


@pytest.mark.recorded
def test_filters_keep_their_order_on_update(ecr):
    create(ecr, **EVERYTHING)
    turned = list(reversed(FILTERS))
    ecr.update_repository_creation_template(prefix="prod", imageTagMutabilityExclusionFilters=turned)
    assert described(ecr)[0]["imageTagMutabilityExclusionFilters"] == turned


def test_what_was_deleted_is_answered_once(ecr):
    created = create(ecr, **EVERYTHING)
    answer = ecr.delete_repository_creation_template(prefix="prod")
    assert (answer["registryId"], timeless(answer["repositoryCreationTemplate"])) == (ACCOUNT, created)
    assert refusal(ecr.delete_repository_creation_template, prefix="prod") == not_there("prod")


def not_there(prefix):
    return inferred(
        "TemplateNotFoundException",
        f"The template with prefix '{prefix}' does not exist in the registry with id '{ACCOUNT}'",
    )


def test_a_template_that_is_not_there(ecr):
    assert refusal(ecr.update_repository_creation_template, prefix="a", description="d") == not_there("a")
    assert refusal(ecr.delete_repository_creation_template, prefix="a") == not_there("a")


@pytest.mark.parametrize("prefix", ["prod", "prod/", "ROOT"])
def test_a_prefix_that_is_taken(ecr, prefix):
    create(ecr)
    create(ecr, "ROOT")
    assert refusal(ecr.create_repository_creation_template, prefix=prefix, appliedFor=["REPLICATION"]) == inferred(
        "TemplateAlreadyExistsException",
        f"The template with prefix '{prefix.removesuffix('/')}' already exists in the registry with id '{ACCOUNT}'",
    )


class TestDescribe:
    def test_the_list_is_present_when_empty(self, sim):
        assert post(sim, "DescribeRepositoryCreationTemplates").json() == {
            "registryId": ACCOUNT,
            "repositoryCreationTemplates": [],
        }

    @pytest.mark.documented
    def test_prefixes_without_a_template_are_not_in_the_list(self, ecr):
        for prefix in ("b", "a", "c"):
            create(ecr, prefix)
        found = described(ecr, prefixes=["c", "nowhere", "a", "a/"])
        assert [template["prefix"] for template in found] == ["a", "c"]
        assert described(ecr, prefixes=["nowhere"]) == []

    @pytest.mark.parametrize("named", [None, [f"t{number}" for number in range(0, 7, 2)]])
    def test_pages(self, ecr, named):
        for number in range(7):
            create(ecr, f"t{number}")
        options = {} if named is None else {"prefixes": named}
        pages = ecr.get_paginator("describe_repository_creation_templates").paginate(
            **options, PaginationConfig={"PageSize": 2}
        )
        pages = [[template["prefix"] for template in page["repositoryCreationTemplates"]] for page in pages]
        assert [prefix for page in pages for prefix in page] == (named or [f"t{number}" for number in range(7)])
        assert {len(page) for page in pages[:-1]} == {2}

    def test_a_page_has_a_hundred_unless_told(self, ecr):
        for number in range(101):
            create(ecr, f"t{number:03}")
        first = ecr.describe_repository_creation_templates()
        assert len(first["repositoryCreationTemplates"]) == 100
        rest = ecr.describe_repository_creation_templates(nextToken=first["nextToken"])
        assert [template["prefix"] for template in rest["repositoryCreationTemplates"]] == ["t100"]
        assert "nextToken" not in rest

    def test_a_token_of_another_request(self, ecr, client):
        for number in range(3):
            create(ecr, f"t{number}")
        token = ecr.describe_repository_creation_templates(maxResults=1)["nextToken"]
        describe = {"maxResults": 1, "nextToken": token}
        assert refusal(ecr.describe_repository_creation_templates, prefixes=["t1"], **describe) == bad_token()
        elsewhere = client(region="eu-west-1")
        assert refusal(elsewhere.describe_repository_creation_templates, **describe) == bad_token()

    def test_each_account_and_region_has_its_own(self, ecr, client):
        create(ecr)
        for elsewhere in (client(region="eu-west-1"), client(account="111111111111")):
            assert elsewhere.describe_repository_creation_templates()["repositoryCreationTemplates"] == []
            assert refusal(elsewhere.delete_repository_creation_template, prefix="prod").code == (
                "TemplateNotFoundException"
            )


#: The greatest and the least that a template takes (documented).
BOUNDS = {
    "a prefix of 256": {"prefix": "a" * 256},
    "a prefix of one": {"prefix": "a"},
    "a prefix of parts": {"prefix": "a/b.c/d_e/f-g"},
    "all three reasons": {"appliedFor": REASONS},
    "no reason": {"appliedFor": []},
    "a description of 256": {"description": "d" * 256},
    "one filter": {"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": FILTERS[:1]},
    "five filters": {
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": f"a{each}*"} for each in range(5)],
    },
    "a filter of 128": {
        "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "a" * 128}],
    },
    "a key of AWS's": {"encryptionConfiguration": {"encryptionType": "KMS"}},
    "a role of 2048": {"customRoleArn": "r" * 2048},
    "50 tags": {"resourceTags": [{"Key": str(number), "Value": ""} for number in range(50)]},
}


@pytest.mark.documented
@pytest.mark.parametrize("members", BOUNDS.values(), ids=BOUNDS)
def test_what_a_template_takes(ecr, members):
    wanted = {
        "prefix": "prod",
        "appliedFor": ["CREATE_ON_PUSH"],
        "encryptionConfiguration": {"encryptionType": "AES256"},
        "imageTagMutability": "MUTABLE",
        **members,
    }
    ecr.create_repository_creation_template(**{"prefix": "prod", "appliedFor": ["CREATE_ON_PUSH"], **members})
    assert described(ecr) == [wanted]


#: What is sent besides the prefix, and the sentence of the InvalidParameterException.
INVALID = {
    "filters without their mode": (
        {"imageTagMutabilityExclusionFilters": FILTERS},
        recorded(
            "InvalidParameterException",
            constraint(
                "imageTagMutabilityExclusionFilters",
                "ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set to MUTABLE",
            ),
        ),
    ),
    "the mode without filters": (
        {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"},
        recorded(
            "InvalidParameterException",
            constraint(
                "imageTagMutabilityExclusionFilters",
                "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as "
                "MUTABLE_WITH_EXCLUSION",
            ),
        ),
    ),
    "two layers of KMS outside of GovCloud": (
        {"encryptionConfiguration": {"encryptionType": "KMS_DSSE"}},
        inferred(
            "InvalidParameterException",
            constraint(
                "encryptionConfiguration", "KMS_DSSE encryption type is only available in AWS GovCloud (US) regions"
            ),
        ),
    ),
    "a key without KMS": (
        {"encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": f"arn:aws:kms:a:{ACCOUNT}:key/b"}},
        inferred(
            "InvalidParameterException",
            constraint("encryptionConfiguration", "KmsKey cannot be specified with AES256 encryption type"),
        ),
    ),
    "a policy that is none": (
        {"repositoryPolicy": '{"Statement": 1}'},
        recorded("InvalidParameterException", constraint("PolicyText", "Invalid repository policy provided")),
    ),
    "a reserved tag": (
        {"resourceTags": [{"Key": "aws:x", "Value": "y"}]},
        inferred(
            "InvalidParameterException", constraint("resourceTags", "Tag keys and values must not begin with 'aws:'")
        ),
    ),
    "51 tags": (
        {"resourceTags": [{"Key": str(number), "Value": ""} for number in range(51)]},
        inferred(
            "InvalidParameterException",
            constraint("resourceTags", "The maximum number of tags that can be applied to a repository is 50"),
        ),
    ),
}


@pytest.mark.parametrize(("members", "sentence"), INVALID.values(), ids=INVALID)
def test_what_could_not_be_applied_is_refused(ecr, members, sentence):
    place = {"prefix": "prod", "appliedFor": ["REPLICATION"]}
    assert refusal(ecr.create_repository_creation_template, **place, **members) == sentence
    assert described(ecr) == []
    kept = create(ecr)
    assert refusal(ecr.update_repository_creation_template, **place, **members) == sentence
    assert described(ecr) == [kept]


def test_a_lifecycle_policy_that_is_none(ecr):
    place = {"prefix": "prod", "appliedFor": ["REPLICATION"]}
    found = refusal(ecr.create_repository_creation_template, **place, lifecyclePolicy="x" * 100)
    text = {"repositoryName": "app", "lifecyclePolicyText": "x" * 100}
    ecr.create_repository(repositoryName="app")
    assert found == refusal(ecr.put_lifecycle_policy, **text)


#: Members that break the model, which boto3 would not all send.
MODELLED = {
    "no prefix": {"appliedFor": []},
    "no reasons": {"prefix": "prod"},
    "an empty prefix": {"prefix": "", "appliedFor": []},
    "257 characters": {"prefix": "a" * 257, "appliedFor": []},
    "upper case": {"prefix": "Prod", "appliedFor": []},
    "two slashes": {"prefix": "a//b", "appliedFor": []},
    "an unknown reason": {"prefix": "prod", "appliedFor": ["PULL"]},
    "257 characters of description": {"prefix": "prod", "appliedFor": [], "description": "d" * 257},
    "an alias for a key": {
        "prefix": "prod",
        "appliedFor": [],
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/a"},
    },
    "six filters": {"prefix": "prod", "appliedFor": [], "imageTagMutabilityExclusionFilters": FILTERS * 3},
    "a tag without a value": {"prefix": "prod", "appliedFor": [], "resourceTags": [{"Key": "a"}]},
    "a long role": {"prefix": "prod", "appliedFor": [], "customRoleArn": "r" * 2049},
    "10,241 characters of a policy": {"prefix": "prod", "appliedFor": [], "repositoryPolicy": " " * 10_241},
    "30,721 characters of a lifecycle policy": {"prefix": "prod", "appliedFor": [], "lifecyclePolicy": " " * 30_721},
    "a key by its id": {
        "prefix": "prod",
        "appliedFor": [],
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": KEY},
    },
    "encryption of no type": {"prefix": "prod", "appliedFor": [], "encryptionConfiguration": {"kmsKey": ""}},
    "encryption of another type": {
        "prefix": "prod",
        "appliedFor": [],
        "encryptionConfiguration": {"encryptionType": "AES128"},
    },
    "another mutability": {"prefix": "prod", "appliedFor": [], "imageTagMutability": "FIXED"},
    "a filter of another type": {
        "prefix": "prod",
        "appliedFor": [],
        "imageTagMutabilityExclusionFilters": [{"filterType": "PREFIX", "filter": "a"}],
    },
    "no filters": {"prefix": "prod", "appliedFor": [], "imageTagMutabilityExclusionFilters": []},
}


@pytest.mark.documented
@pytest.mark.parametrize("members", MODELLED.values(), ids=MODELLED)
def test_what_breaks_the_model_is_refused(sim, ecr, members):
    answer = post(sim, "CreateRepositoryCreationTemplate", members)
    assert (answer.status, refusal_of(answer).code) == (400, "InvalidParameterException")
    assert described(ecr) == []


def test_the_quota(ecr, configure):
    configure(quota_templates=2)
    create(ecr, "a")
    create(ecr, "b")
    assert refusal(ecr.create_repository_creation_template, prefix="c", appliedFor=[]) == inferred(
        "LimitExceededException",
        f"The maximum number of repository creation templates in the registry with id '{ACCOUNT}' has been reached",
    )


def test_the_calls_are_on_the_trail(sim, ecr):
    create(ecr)
    ecr.update_repository_creation_template(prefix="prod", description="d")
    ecr.delete_repository_creation_template(prefix="prod")
    names = [event["detail"]["eventName"] for event in sim.events(type="AWS API Call via CloudTrail")]
    assert names == [f"{verb}RepositoryCreationTemplate" for verb in ("Create", "Update", "Delete")]
