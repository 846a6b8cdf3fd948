"""What the rules decide: where to, when, under which tags, and how a backfill goes on."""

from typing import Any

import pytest

from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.registry import Registry
from ecrsim.ecr.replication import rules

HOME = Registry("000000000000", "us-east-1")
EU, ASIA = Registry("000000000000", "eu-west-1"), Registry("000000000000", "ap-south-1")
OTHER = Registry("111111111111", "eu-west-1")


def rule(*destinations, prefixes=None, deletes=None):
    """As PutReplicationConfiguration takes it."""
    found: dict[str, Any] = {
        "destinations": [{"region": each.region, "registryId": each.account} for each in destinations]
    }
    if prefixes is not None:
        found["repositoryFilters"] = [{"filter": each, "filterType": "PREFIX_MATCH"} for each in prefixes]
    if deletes is not None:
        found["deleteReplication"] = {"enabled": deletes}
    return found


#: (rules, repository, destinations). Documented, but for what is marked.
DESTINATIONS = {
    "no rules": ([], "app", []),
    "a rule without filters is for all": ([rule(EU)], "app", [EU]),
    "a filter is a prefix": ([rule(EU, prefixes=["prod"])], "prod/app", [EU]),
    "a plain one, without a slash (inferred)": ([rule(EU, prefixes=["prod"])], "production", [EU]),
    "of the name itself": ([rule(EU, prefixes=["prod"])], "prod", [EU]),
    "with its slash": ([rule(EU, prefixes=["prod/"])], "prod", []),
    "another name": ([rule(EU, prefixes=["prod"])], "app/prod", []),
    "any of several filters": ([rule(EU, prefixes=["a", "p"])], "prod", [EU]),
    "several destinations, in their order": ([rule(OTHER, EU)], "app", [OTHER, EU]),
    "several rules: all of them (inferred)": ([rule(EU), rule(ASIA, prefixes=["app"])], "app", [EU, ASIA]),
    "each destination once (inferred)": ([rule(EU, EU), rule(ASIA, EU)], "app", [EU, ASIA]),
    "a rule without destinations": ([rule(), rule(EU)], "app", [EU]),
}


@pytest.mark.documented
@pytest.mark.parametrize(("given", "name", "wanted"), DESTINATIONS.values(), ids=DESTINATIONS)
def test_destinations(given, name, wanted):
    assert rules.destinations(given, name) == wanted


#: (rules, destinations that deletions follow to).
DELETIONS = {
    "not by default": ([rule(EU)], []),
    "where the rule says so": ([rule(EU, deletes=True), rule(ASIA)], [EU]),
    "where it says no": ([rule(EU, deletes=False)], []),
    "one of two rules is enough (inferred)": ([rule(EU), rule(EU, deletes=True)], [EU]),
    "of the rule that matches": ([rule(EU, deletes=True, prefixes=["other"]), rule(ASIA, deletes=True)], [ASIA]),
}


@pytest.mark.documented
@pytest.mark.parametrize(("given", "wanted"), DELETIONS.values(), ids=DELETIONS)
def test_destinations_of_deletions(given, wanted):
    assert rules.destinations(given, "app", of_deletions=True) == wanted


MANY = [Registry(f"{number:012}", "eu-west-1") for number in range(26)]
#: (rules, what the refusal says).
REFUSED = {
    "itself (recorded)": ([rule(EU, HOME)], "Replication destination cannot be the same as the source registry"),
    "another partition (inferred)": ([rule(Registry(HOME.account, "cn-north-1"))], "the same partition"),
    "too many (text inferred)": ([rule(*MANY[:13]), rule(*MANY[13:])], "unique destinations across all"),
}
TAKEN = {
    "the same region of another account": [rule(Registry("111111111111", "us-east-1"))],
    "twice 25 of the same": [rule(*MANY[:25]), rule(*MANY[:25])],
    "none": [],
}


@pytest.mark.parametrize(("given", "text"), REFUSED.values(), ids=REFUSED)
def test_rules_that_are_refused(given, text):
    with pytest.raises(InvalidParameterException, match=text):
        assert rules.check(given, HOME) is None


@pytest.mark.documented
@pytest.mark.parametrize("given", TAKEN.values(), ids=TAKEN)
def test_rules_that_are_taken(given):
    assert rules.check(given, HOME) is None


@pytest.mark.documented
def test_a_copy_takes_as_long_as_it_is_told_or_as_in_ecr():
    digests = [f"sha256:{number:064x}" for number in range(500)]
    assert {rules.seconds(7, digest, EU, as_aws=False) for digest in digests} == {7}
    found = [rules.seconds(7, digest, EU, as_aws=True) for digest in digests]
    assert min(found) >= 30
    assert max(found) <= 30 * 60
    assert len(set(found)) > 100
    assert found == [rules.seconds(7, digest, EU, as_aws=True) for digest in digests]
    assert found != [rules.seconds(7, digest, ASIA, as_aws=True) for digest in digests]


#: (tags that arrive, tags that are there, immutable ones) → (set, dropped).
ARRIVING = {
    "nothing is there": (["a", "b"], {}, "ab", (("a", "b"), ())),
    "a mutable one moves": (["a"], {"a": "other"}, "", (("a",), ())),
    "an immutable one is dropped": (["a", "b"], {"a": "other"}, "ab", (("b",), ("a",))),
    "all of them: it arrives untagged": (["a"], {"a": "other"}, "a", ((), ("a",))),
    "each once": (["a", "a"], {}, "", (("a",), ())),
}


@pytest.mark.documented
@pytest.mark.parametrize(("tags", "held", "immutable", "wanted"), ARRIVING.values(), ids=ARRIVING)
def test_arriving_tags(tags, held, immutable, wanted):
    assert rules.arriving_tags(tags, held, lambda tag: tag in immutable) == wanted


@pytest.mark.documented
@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("PREPARING", "STOPPED"),
        ("IN_PROGRESS", "STOPPING"),
        ("STOPPING", None),
        ("STOPPED", None),
        ("COMPLETE", None),
        ("FAILED", None),
    ],
)
def test_what_may_be_stopped(status, wanted):
    assert rules.stopped(status) == wanted


#: (status, total, completed, failed) → how it ends. Documented but for what is marked.
VERDICTS = {
    "nothing to do": (("IN_PROGRESS", 0, 0, 0), ("COMPLETE", None)),
    "not yet": (("IN_PROGRESS", 10, 9, 0), None),
    "all": (("IN_PROGRESS", 10, 10, 0), ("COMPLETE", None)),
    "all, with some failures (inferred)": (("IN_PROGRESS", 10, 8, 2), ("COMPLETE", None)),
    "all, with failures alone, but few (inferred)": (("IN_PROGRESS", 99, 0, 99), ("COMPLETE", None)),
    "half of them, of 99": (("IN_PROGRESS", 1000, 0, 99), None),
    "half of them, of 100": (("IN_PROGRESS", 1000, 50, 50), ("FAILED", rules.TOO_MANY_FAILED)),
    "less than half of 100": (("IN_PROGRESS", 1000, 51, 49), None),
    "half of them at the end": (("IN_PROGRESS", 100, 50, 50), ("FAILED", rules.TOO_MANY_FAILED)),
    "told to stop": (("STOPPING", 1000, 1, 0), ("STOPPED", None)),
    "told to stop at the end (inferred)": (("STOPPING", 10, 10, 0), ("STOPPED", None)),
}


@pytest.mark.documented
@pytest.mark.parametrize(("given", "wanted"), VERDICTS.values(), ids=VERDICTS)
def test_verdicts(given, wanted):
    assert rules.verdict(*given) == wanted
