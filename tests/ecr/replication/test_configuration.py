"""PutReplicationConfiguration, and its part of DescribeRegistry."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.api import post
from tests.ecr.replication.conftest import configure_rules
from tests.ecr.replication.test_rules import ASIA, EU, HOME, MANY, OTHER, rule


def rules_of(client):
    return client.describe_registry()["replicationConfiguration"]["rules"]


#: Configurations, given back as they were put (documented; the first recorded).
CONFIGURATIONS = {
    "nothing": [],
    "a region": [rule(EU)],
    "a region and an account in one rule": [rule(EU, OTHER)],
    "filters": [rule(EU, prefixes=["prod", "team/", "a-b.c"])],
    "deletions": [rule(EU, deletes=True), rule(ASIA, deletes=False)],
    "25 rules": [rule(EU, prefixes=[f"p{number}"]) for number in range(25)],
    "100 filters": [rule(EU, prefixes=[f"p{number}" for number in range(100)])],
    "25 destinations": [rule(*MANY[:25])],
    "no destination": [rule()],
}


@pytest.mark.documented
@pytest.mark.parametrize("rules", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_what_is_put_is_answered_and_described(ecr, rules):
    answer = ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    assert answer["replicationConfiguration"] == {"rules": rules}
    assert rules_of(ecr) == rules


@pytest.mark.documented
def test_rules_are_replaced_and_taken_away(ecr):
    configure_rules(ecr, rule(EU), rule(ASIA))
    configure_rules(ecr, rule(OTHER))
    assert rules_of(ecr) == [rule(OTHER)]
    configure_rules(ecr)
    assert rules_of(ecr) == []


@pytest.mark.documented
def test_each_account_and_region_has_its_own(client):
    configure_rules(client(), rule(EU))
    assert rules_of(client(region="ap-south-1")) == []
    assert rules_of(client(account=OTHER.account)) == []


#: What is refused, with ECR's answer.
REFUSED = {
    "the registry itself": (
        [rule(HOME)],
        recorded(
            "InvalidParameterException",
            constraint("replicationConfiguration", "Replication destination cannot be the same as the source registry"),
        ),
    ),
    "another partition": (
        [{"destinations": [{"region": "cn-north-1", "registryId": ACCOUNT}]}],
        inferred(
            "InvalidParameterException",
            constraint(
                "replicationConfiguration",
                "Replication destination must be in the same partition as the source registry",
            ),
        ),
    ),
    "26 destinations": (
        [rule(*MANY)],
        inferred(
            "InvalidParameterException",
            constraint(
                "replicationConfiguration",
                "The maximum number of unique destinations across all replication rules is 25",
            ),
        ),
    ),
}
#: What breaks the model: refused by each client's shapes, and here where a client does without.
MALFORMED = {
    "26 rules": [rule(EU)] * 26,
    "101 destinations": [rule(*[EU] * 101)],
    "101 filters": [rule(EU, prefixes=["a"] * 101)],
    "an empty list of filters": [rule(EU, prefixes=[])],
    "a short filter": [rule(EU, prefixes=[""])],
    "a filter in capitals": [rule(EU, prefixes=["Prod"])],
    "another type of filter": [rule(EU) | {"repositoryFilters": [{"filter": "prod", "filterType": "WILDCARD"}]}],
    "an account that is none": [{"destinations": [{"region": "eu-west-1", "registryId": "me"}]}],
    "a region that is none": [{"destinations": [{"region": "Europe!", "registryId": ACCOUNT}]}],
}


@pytest.mark.parametrize(("rules", "wanted"), REFUSED.values(), ids=REFUSED)
def test_refusals_change_nothing(ecr, rules, wanted):
    configure_rules(ecr, rule(ASIA))
    assert refusal(ecr.put_replication_configuration, replicationConfiguration={"rules": rules}) == wanted
    assert rules_of(ecr) == [rule(ASIA)]


@pytest.mark.documented
@pytest.mark.parametrize("rules", MALFORMED.values(), ids=MALFORMED)
def test_what_breaks_the_model_is_refused(sim, ecr, rules):
    answer = post(sim, "PutReplicationConfiguration", {"replicationConfiguration": {"rules": rules}})
    assert answer.status == 400
    assert answer.json()["__type"] in ("InvalidParameterException", "ValidationException")
    assert rules_of(ecr) == []
