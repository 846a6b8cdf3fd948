"""The scanning configuration of a registry, and what it makes of repositories."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, refusal
from tests.ecr.scanning.scanned import CONTINUOUS, RULE
from tests.pushing import create

FRESH = {"scanType": "BASIC", "rules": []}


def members(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def shown(ecr):
    return ecr.get_registry_scanning_configuration()["scanningConfiguration"]


def rule(frequency, *filters):
    return {
        "scanFrequency": frequency,
        "repositoryFilters": [{"filter": each, "filterType": "WILDCARD"} for each in filters],
    }


@pytest.mark.documented
def test_a_fresh_registry_is_basic_and_has_no_rules(ecr):
    assert members(ecr.get_registry_scanning_configuration()) == {
        "registryId": ACCOUNT,
        "scanningConfiguration": FRESH,
    }


@pytest.mark.documented
def test_what_is_put_is_answered_under_another_name_and_shown(ecr):
    wanted = {"scanType": "ENHANCED", "rules": [CONTINUOUS, rule("SCAN_ON_PUSH", "a", "b*")]}
    assert members(ecr.put_registry_scanning_configuration(**wanted)) == {"registryScanningConfiguration": wanted}
    assert shown(ecr) == wanted


@pytest.mark.documented
def test_it_replaces_the_one_before(ecr):
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
    assert shown(ecr) == {"scanType": "BASIC", "rules": [RULE]}
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])
    assert shown(ecr) == FRESH


@pytest.mark.inferred
def test_without_a_type_it_stays_what_it_was_and_without_rules_there_are_none(ecr):
    assert ecr.put_registry_scanning_configuration()["registryScanningConfiguration"] == FRESH
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    assert ecr.put_registry_scanning_configuration()["registryScanningConfiguration"] == FRESH | {
        "scanType": "ENHANCED"
    }


def test_each_account_and_region_has_its_own(ecr, client):
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
    assert shown(client(region="eu-west-1")) == FRESH
    assert shown(client(account="111111111111")) == FRESH


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"scanType": "BASIC", "rules": [CONTINUOUS]},
            inferred(
                "InvalidParameterException",
                constraint("rules", "CONTINUOUS_SCAN is only supported for the scan type ENHANCED"),
            ),
        ),
        (
            {"scanType": "ENHANCED", "rules": [rule("SCAN_ON_PUSH", "a"), rule("SCAN_ON_PUSH", "b")]},
            inferred(
                "InvalidParameterException", constraint("rules", "Each scan frequency can be used by one rule only")
            ),
        ),
    ],
    ids=["continuous with basic", "two rules of a frequency"],
)
def test_what_cannot_be_is_refused_and_changes_nothing(ecr, given, expected):
    assert refusal(ecr.put_registry_scanning_configuration, **given) == expected
    assert shown(ecr) == FRESH


@pytest.mark.documented
@pytest.mark.parametrize(
    "given",
    [
        {"rules": [RULE, CONTINUOUS, rule("MANUAL", "a")]},
        {"scanType": "DEEP"},
        {"rules": [rule("HOURLY", "a")]},
        {"rules": [rule("SCAN_ON_PUSH", *(["a"] * 101))]},
        {"rules": [rule("SCAN_ON_PUSH", "-a")]},
        {"rules": [rule("SCAN_ON_PUSH", "a" * 256)]},
        {"rules": [rule("SCAN_ON_PUSH", "a" * 24 + "!")]},
        {"rules": [{"scanFrequency": "MANUAL", "repositoryFilters": [{"filter": "a", "filterType": "PREFIX_MATCH"}]}]},
    ],
    ids=["three rules", "a type", "a frequency", "101 filters", "a filter", "a long filter", "a slow one", "its type"],
)
def test_what_the_model_refuses(ecr, given):
    assert refusal(ecr.put_registry_scanning_configuration, **given).code == "InvalidParameterException"


class TestOfRepositories:
    def configurations(self, ecr, *names):
        return members(ecr.batch_get_repository_scanning_configuration(repositoryNames=list(names)))

    def entry(self, name="app", frequency="MANUAL", *filters, flag=False):
        return {
            "repositoryArn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}",
            "repositoryName": name,
            "scanOnPush": flag,
            "scanFrequency": frequency,
            "appliedScanFilters": [{"filter": each, "filterType": "WILDCARD"} for each in filters],
        }

    @pytest.mark.recorded
    def test_of_a_fresh_registry(self, ecr):
        create(ecr)
        assert self.configurations(ecr, "app") == {"scanningConfigurations": [self.entry()], "failures": []}

    @pytest.mark.recorded
    def test_an_unknown_repository_is_a_failure(self, ecr):
        create(ecr)
        failure = {"repositoryName": "none", "failureCode": "REPOSITORY_NOT_FOUND"}
        assert self.configurations(ecr, "none", "app") == {
            "scanningConfigurations": [self.entry()],
            "failures": [failure | {"failureReason": "REPOSITORY_NOT_FOUND"}],
        }

    @pytest.mark.recorded
    def test_only_the_last_filter_that_matches_is_named(self, ecr):
        create(ecr)
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[rule("SCAN_ON_PUSH", "app", "a*", "b*")])
        assert self.configurations(ecr, "app")["scanningConfigurations"] == [self.entry("app", "SCAN_ON_PUSH", "a*")]

    @pytest.mark.documented
    def test_existing_and_new_repositories_follow_at_once(self, ecr):
        create(ecr)
        ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        create(ecr, "new")
        found = self.configurations(ecr, "app", "new")["scanningConfigurations"]
        assert found == [self.entry(name, "CONTINUOUS_SCAN", "*") for name in ("app", "new")]
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])
        assert self.configurations(ecr, "app")["scanningConfigurations"] == [self.entry()]

    @pytest.mark.inferred
    def test_the_flag_of_the_repository_is_shown_and_holds_without_rules(self, ecr):
        create(ecr, imageScanningConfiguration={"scanOnPush": True})
        found = self.configurations(ecr, "app")["scanningConfigurations"]
        assert found == [self.entry("app", "SCAN_ON_PUSH", flag=True)]
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[rule("SCAN_ON_PUSH", "other")])
        assert self.configurations(ecr, "app")["scanningConfigurations"] == [self.entry("app", flag=True)]

    @pytest.mark.documented
    def test_25_names_at_most(self, ecr):
        names = [f"app-{number}" for number in range(26)]
        found = refusal(ecr.batch_get_repository_scanning_configuration, repositoryNames=names)
        assert found.code == "InvalidParameterException"

    @pytest.mark.inferred
    def test_a_name_that_stands_twice_is_answered_once(self, ecr):
        create(ecr)
        assert len(self.configurations(ecr, "app", "app")["scanningConfigurations"]) == 1


@pytest.mark.documented
def test_enhanced_scanning_tells_of_repositories_whose_frequency_changes(sim, ecr):
    for name in ("aa", "bb", "cc"):
        create(ecr, name)
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[rule("SCAN_ON_PUSH", "aa")])
    assert sim.events(type="ECR Scan Resource Change") == []
    rules = [rule("CONTINUOUS_SCAN", "aa"), rule("SCAN_ON_PUSH", "bb")]
    for _ in range(2):
        ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    (event,) = sim.events(type="ECR Scan Resource Change")
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/"
    assert (event["source"], event["resources"]) == ("aws.ecr", [])
    assert event["detail"] == {
        "action-type": "SCAN_FREQUENCY_CHANGE",
        "repositories": [
            {
                "repository-name": name,
                "repository-arn": arn + name,
                "scan-frequency": frequency,
                "previous-scan-frequency": previous,
            }
            for name, frequency, previous in (
                ("aa", "CONTINUOUS_SCAN", "SCAN_ON_PUSH"),
                ("bb", "SCAN_ON_PUSH", "MANUAL"),
            )
        ],
        "resource-type": "REPOSITORY",
        "scan-type": "ENHANCED",
    }


def test_the_configuration_is_on_the_trail(sim, ecr):
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
    (event,) = sim.events(type="AWS API Call via CloudTrail")
    assert event["detail"]["eventName"] == "PutRegistryScanningConfiguration"
    assert event["detail"]["requestParameters"] == {"scanType": "BASIC", "rules": [RULE]}
