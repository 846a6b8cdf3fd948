"""Rules: created, updated, deleted, described, validated, and what is refused."""

import pytest

from tests.answers import ACCOUNT, REGION, bad_token, constraint, inferred, recorded, refusal
from tests.api import authorization, post, refusal_of

SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ecr-pullthroughcache/hub-AbCdEf"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cache"
FAR = f"111111111111.dkr.ecr.{REGION}.amazonaws.com"


def plain(answer):
    answer.pop("ResponseMetadata")
    return answer


def create(ecr, prefix="quay", url="quay.io", **members):
    return plain(ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl=url, **members))


def described(ecr, **options):
    return ecr.describe_pull_through_cache_rules(**options)["pullThroughCacheRules"]


def not_there(prefix):
    return inferred(
        "PullThroughCacheRuleNotFoundException",
        f"The pull through cache rule with repository prefix '{prefix}' does not exist "
        f"in the registry with id '{ACCOUNT}'",
    )


#: URL, members that are needed with it, kind.
KINDS = [
    ("public.ecr.aws", {}, "ecr-public"),
    ("registry.k8s.io", {}, "k8s"),
    ("quay.io", {}, "quay"),
    ("quay.io", {"credentialArn": SECRET}, "quay"),
    ("registry-1.docker.io", {"credentialArn": SECRET}, "docker-hub"),
    ("ghcr.io", {"credentialArn": SECRET}, "github-container-registry"),
    ("registry.gitlab.com", {"credentialArn": SECRET}, "gitlab-container-registry"),
    ("mine.azurecr.io", {"credentialArn": SECRET}, "azure-container-registry"),
    ("cgr.dev", {"credentialArn": SECRET}, "chainguard"),
    (FAR, {"customRoleArn": ROLE}, "ecr"),
    (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com", {}, "ecr"),
]


@pytest.mark.documented
@pytest.mark.parametrize(("url", "members", "kind"), KINDS)
def test_every_kind_of_upstream(ecr, url, members, kind):
    answer = create(ecr, url=url, **members)
    created_at = answer.pop("createdAt")
    wanted = {
        "ecrRepositoryPrefix": "quay",
        "upstreamRegistryUrl": url,
        "upstreamRegistry": kind,
        "upstreamRepositoryPrefix": "ROOT",
        "registryId": ACCOUNT,
        **members,
    }
    assert answer == wanted
    assert described(ecr) == [wanted | {"createdAt": created_at, "updatedAt": created_at}]


@pytest.mark.documented
def test_the_kind_may_be_said(ecr):
    assert create(ecr, upstreamRegistry="quay")["upstreamRegistry"] == "quay"


@pytest.mark.documented
@pytest.mark.parametrize("prefix", ["ROOT", "a/b", "team-a", "x__y"])
def test_prefixes(ecr, prefix):
    assert create(ecr, prefix)["ecrRepositoryPrefix"] == prefix


@pytest.mark.inferred
def test_the_last_slash_of_a_prefix_is_dropped(ecr):
    assert create(ecr, "quay/", upstreamRepositoryPrefix="there/")["upstreamRepositoryPrefix"] == "there"
    assert [rule["ecrRepositoryPrefix"] for rule in described(ecr, ecrRepositoryPrefixes=["quay/"])] == ["quay"]


@pytest.mark.parametrize("url", ["docker.io", "https://quay.io", "quay.io/x", "registry.test", ""])
def test_an_upstream_that_ecr_does_not_know(ecr, url):
    found = refusal(ecr.create_pull_through_cache_rule, ecrRepositoryPrefix="quay", upstreamRegistryUrl=url)
    assert found == recorded(
        "UnsupportedUpstreamRegistryException",
        f"The upstream registry URL {url} is invalid. Specify a valid upstream registry URL and try again",
    )
    assert described(ecr) == []


@pytest.mark.parametrize("url", [url for url, members, _ in KINDS if "credentialArn" in members and url != "quay.io"])
def test_an_upstream_that_wants_credentials(ecr, url):
    found = refusal(ecr.create_pull_through_cache_rule, ecrRepositoryPrefix="quay", upstreamRegistryUrl=url)
    assert found == recorded(
        "UnsupportedUpstreamRegistryException",
        "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN",
    )


#: Members besides the prefix `quay`, the error.
REFUSED = {
    "another account without a role": (
        {"upstreamRegistryUrl": FAR},
        inferred(
            "ValidationException",
            "The upstream registry belongs to another account. Specify a custom role ARN and try again",
        ),
    ),
    "another kind than the URL's": (
        {"upstreamRegistryUrl": "quay.io", "upstreamRegistry": "k8s"},
        inferred(
            "UnsupportedUpstreamRegistryException",
            "The upstream registry URL quay.io is invalid. Specify a valid upstream registry URL and try again",
        ),
    ),
    "a prefix there for ROOT here": (
        {"upstreamRegistryUrl": "quay.io", "ecrRepositoryPrefix": "ROOT", "upstreamRepositoryPrefix": "a1"},
        inferred(
            "ValidationException",
            "The upstream repository prefix can only be specified when the ECR repository prefix is not ROOT",
        ),
    ),
    "a secret of another region": (
        {"upstreamRegistryUrl": "quay.io", "credentialArn": SECRET.replace(REGION, "eu-west-1")},
        inferred("InvalidParameterException", constraint("credentialArn", "Invalid ARN")),
    ),
    "a secret of another account": (
        {"upstreamRegistryUrl": "quay.io", "credentialArn": SECRET.replace(ACCOUNT, "111111111111")},
        inferred("InvalidParameterException", constraint("credentialArn", "Invalid ARN")),
    ),
}


@pytest.mark.parametrize(("members", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(ecr, members, error):
    assert refusal(ecr.create_pull_through_cache_rule, **{"ecrRepositoryPrefix": "quay", **members}) == error
    assert described(ecr) == []


#: Members that break the model.
MODELLED = {
    "one letter": {"ecrRepositoryPrefix": "q"},
    "31 letters": {"ecrRepositoryPrefix": "q" * 31},
    "upper case": {"ecrRepositoryPrefix": "Quay"},
    "a secret of another name": {"credentialArn": SECRET.replace("ecr-pullthroughcache", "other")},
    "a short secret": {"credentialArn": "arn:aws:secretsmanager"},
    "an unknown kind": {"upstreamRegistry": "docker"},
    "a long role": {"customRoleArn": "r" * 2049},
    "one letter there": {"upstreamRepositoryPrefix": "q"},
    "31 letters there": {"upstreamRepositoryPrefix": "q" * 31},
    "upper case there": {"upstreamRepositoryPrefix": "Quay"},
}


@pytest.mark.documented
@pytest.mark.parametrize("members", MODELLED.values(), ids=MODELLED)
def test_what_breaks_the_model_is_refused(sim, members):
    sent = {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io", **members}
    assert refusal_of(post(sim, "CreatePullThroughCacheRule", sent)).code == "InvalidParameterException"


def test_a_prefix_that_is_taken(ecr):
    create(ecr)
    found = refusal(ecr.create_pull_through_cache_rule, ecrRepositoryPrefix="quay", upstreamRegistryUrl="quay.io")
    assert found == inferred(
        "PullThroughCacheRuleAlreadyExistsException",
        f"A pull through cache rule with repository prefix 'quay' already exists in the registry with id '{ACCOUNT}'",
    )


def test_there_are_fifty_at_most(ecr):
    for number in range(50):
        create(ecr, f"quay{number}")
    assert refusal(
        ecr.create_pull_through_cache_rule, ecrRepositoryPrefix="more", upstreamRegistryUrl="quay.io"
    ) == inferred(
        "LimitExceededException",
        f"The maximum number of pull through cache rules in the registry with id '{ACCOUNT}' has been reached",
    )


class TestUpdate:
    def test_credentials_and_role_alone_change(self, sim, ecr):
        create(ecr, url="cgr.dev", credentialArn=SECRET, upstreamRepositoryPrefix="there")
        sim.advance(hours=1)
        other = SECRET.replace("hub", "other")
        answer = plain(
            ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="quay", credentialArn=other, customRoleArn=ROLE)
        )
        updated_at = answer.pop("updatedAt")
        assert answer == {
            "ecrRepositoryPrefix": "quay",
            "registryId": ACCOUNT,
            "credentialArn": other,
            "customRoleArn": ROLE,
            "upstreamRepositoryPrefix": "there",
        }
        (rule,) = described(ecr)
        assert (rule["updatedAt"], rule["credentialArn"]) == (updated_at, other)
        assert rule["updatedAt"] > rule["createdAt"]

    def test_one_leaves_the_other(self, ecr):
        create(ecr, url="cgr.dev", credentialArn=SECRET)
        ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="quay", customRoleArn=ROLE)
        (rule,) = described(ecr)
        assert (rule["credentialArn"], rule["customRoleArn"]) == (SECRET, ROLE)

    def test_neither_is_refused(self, ecr):
        create(ecr)
        assert refusal(ecr.update_pull_through_cache_rule, ecrRepositoryPrefix="quay") == recorded(
            "InvalidParameterException",
            "Invalid input: Please set either credential arn or role arn to update the credentials",
        )

    def test_one_that_is_not_there(self, ecr):
        found = refusal(ecr.update_pull_through_cache_rule, ecrRepositoryPrefix="quay", customRoleArn=ROLE)
        assert found == not_there("quay")


class TestDelete:
    def test_what_was_deleted_is_answered_once(self, ecr):
        created = create(ecr)
        created.pop("upstreamRegistry")
        assert plain(ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="quay")) == created
        assert described(ecr) == []
        assert refusal(ecr.delete_pull_through_cache_rule, ecrRepositoryPrefix="quay") == not_there("quay")


class TestDescribe:
    def test_the_list_is_present_when_empty(self, sim):
        assert post(sim, "DescribePullThroughCacheRules").json() == {"pullThroughCacheRules": []}

    @pytest.mark.documented
    def test_a_prefix_without_a_rule_fails_the_call(self, ecr):
        create(ecr)
        found = refusal(ecr.describe_pull_through_cache_rules, ecrRepositoryPrefixes=["quay", "none"])
        assert found == not_there("none")

    @pytest.mark.documented
    @pytest.mark.parametrize("count", [0, 101])
    def test_one_to_a_hundred_prefixes(self, sim, count):
        sent = {"ecrRepositoryPrefixes": [f"quay{number}" for number in range(count)]}
        assert refusal_of(post(sim, "DescribePullThroughCacheRules", sent)).code == "InvalidParameterException"

    def test_pages(self, ecr):
        for number in range(5):
            create(ecr, f"quay{number}")
        pages = ecr.get_paginator("describe_pull_through_cache_rules").paginate(PaginationConfig={"PageSize": 2})
        found = [[rule["ecrRepositoryPrefix"] for rule in page["pullThroughCacheRules"]] for page in pages]
        assert found == [["quay0", "quay1"], ["quay2", "quay3"], ["quay4"]]

    def test_a_token_of_another_request(self, ecr):
        for number in range(2):
            create(ecr, f"quay{number}")
        token = ecr.describe_pull_through_cache_rules(maxResults=1)["nextToken"]
        named = {"ecrRepositoryPrefixes": ["quay0"], "nextToken": token}
        assert refusal(ecr.describe_pull_through_cache_rules, **named) == bad_token()

    def test_each_account_and_region_has_its_own(self, ecr, client):
        create(ecr)
        for elsewhere in (client(region="eu-west-1"), client(account="111111111111")):
            assert described(elsewhere) == []


class TestValidate:
    def test_one_that_is_not_there(self, ecr):
        assert refusal(ecr.validate_pull_through_cache_rule, ecrRepositoryPrefix="quay") == not_there("quay")

    @pytest.mark.documented
    def test_what_may_not_be_contacted_is_not_valid(self, ecr):
        create(ecr)
        answer = plain(ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="quay"))
        assert "--upstream quay.io=URL" in answer.pop("failure")
        assert answer == {
            "ecrRepositoryPrefix": "quay",
            "registryId": ACCOUNT,
            "upstreamRegistryUrl": "quay.io",
            "upstreamRepositoryPrefix": "ROOT",
            "isValid": False,
        }


#: Operation, and what it is sent besides.
CALLS = {
    "CreatePullThroughCacheRule": {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"},
    "UpdatePullThroughCacheRule": {"ecrRepositoryPrefix": "quay", "customRoleArn": ROLE},
    "DeletePullThroughCacheRule": {"ecrRepositoryPrefix": "quay"},
    "DescribePullThroughCacheRules": {},
    "ValidatePullThroughCacheRule": {"ecrRepositoryPrefix": "quay"},
}


@pytest.mark.documented
@pytest.mark.parametrize("region", ["cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1"])
@pytest.mark.parametrize(("name", "members"), CALLS.items(), ids=CALLS)
def test_regions_without_caches(sim, region, name, members):
    """That there are none is documented; the sentence is recorded of another feature that a region does not have."""
    signed = authorization(region=region)
    answer = refusal_of(post(sim, name, members, authorization=signed))
    assert answer == inferred("ValidationException", "This feature is disabled")


def test_the_calls_are_on_the_trail(sim, ecr):
    create(ecr, url="cgr.dev", credentialArn=SECRET)
    ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="quay", customRoleArn=ROLE)
    ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="quay")
    records = [event["detail"] for event in sim.events(type="AWS API Call via CloudTrail")]
    assert [record["eventName"] for record in records] == [
        f"{verb}PullThroughCacheRule" for verb in ("Create", "Update", "Delete")
    ]
    assert records[0]["requestParameters"]["upstreamRegistryUrl"] == "cgr.dev"
