"""The three operations on the signing configuration: what may be in it, and whose it is."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, refusal
from tests.api import post, refusal_of
from tests.ecr.signing.conftest import arn_of, configure, rule

PATTERN = r"arn:aws(-[a-z]+)*:signer:[a-z0-9-]+:[0-9]{12}:\/signing-profiles\/[a-zA-Z0-9_]{2,}"
#: Inferred.
NOTHING = inferred(
    "SigningConfigurationNotFoundException",
    f"Signing configuration does not exist in the registry with id '{ACCOUNT}'",
)


def put(ecr, *rules):
    return {"signingConfiguration": {"rules": list(rules)}}


@pytest.mark.documented
class TestRoundTrip:
    def test_put_answers_the_rules_and_no_registry(self, ecr):
        given = rule("prod", "team/*", "*/production")
        answer = ecr.put_signing_configuration(**put(ecr, given))
        assert answer["signingConfiguration"] == {"rules": [given]}
        assert "registryId" not in answer

    def test_get_answers_what_was_put(self, ecr):
        configure(ecr, rule("prod"), rule("dev", "dev*"))
        answer = ecr.get_signing_configuration()
        assert answer["registryId"] == ACCOUNT
        assert answer["signingConfiguration"] == {"rules": [rule("prod"), rule("dev", "dev*")]}

    def test_put_replaces_all_of_it(self, ecr):
        configure(ecr, rule("prod"), rule("dev"))
        configure(ecr, rule("test"))
        assert ecr.get_signing_configuration()["signingConfiguration"]["rules"] == [rule("test")]

    def test_delete_answers_what_was_there(self, ecr):
        configure(ecr, rule())
        answer = ecr.delete_signing_configuration()
        assert answer["registryId"] == ACCOUNT
        assert answer["signingConfiguration"] == {"rules": [rule()]}
        assert refusal(ecr.get_signing_configuration) == NOTHING


@pytest.mark.recorded
def test_no_rules_are_a_configuration_as_well(ecr):
    configure(ecr)
    assert ecr.get_signing_configuration()["signingConfiguration"] == {"rules": []}


@pytest.mark.recorded
def test_a_profile_is_not_looked_for_and_so_its_platform_is_not_checked(ecr):
    configure(ecr, rule("nobody_made_it"))
    assert ecr.get_signing_configuration()["signingConfiguration"] == {"rules": [rule("nobody_made_it")]}


@pytest.mark.parametrize("operation", ["get_signing_configuration", "delete_signing_configuration"])
def test_where_nothing_was_put_there_is_none(ecr, operation):
    assert refusal(getattr(ecr, operation)) == NOTHING


def test_each_account_and_region_has_its_own(client):
    configure(client(), rule())
    for other in (client(region="eu-west-1"), client(account="111111111111")):
        assert refusal(other.get_signing_configuration).code == "SigningConfigurationNotFoundException"


def test_a_profile_may_be_in_another_account(ecr):
    configure(ecr, rule(account="111111111111"))
    assert ecr.get_signing_configuration()["signingConfiguration"] == {"rules": [rule(account="111111111111")]}


@pytest.mark.parametrize(
    "region", ["eu-west-1", "cn-north-1"], ids=["of another region", "of another partition's region"]
)
def test_a_profile_of_elsewhere(ecr, region):
    sentence = f"Signing profile must be in the same region as the registry: {arn_of('prod', region=region)}"
    found = refusal(ecr.put_signing_configuration, **put(ecr, rule(region=region)))
    assert found == inferred("InvalidParameterException", constraint("signingConfiguration", sentence))


def test_the_partition_is_the_region_s(ecr):
    given = {"signingProfileArn": arn_of("prod").replace("arn:aws:", "arn:aws-cn:")}
    assert refusal(ecr.put_signing_configuration, **put(ecr, given)).code == "InvalidParameterException"


class TestLimits:
    """Of the model: ten rules, a hundred filters, 256 characters of a filter, 200 of an ARN."""

    @pytest.mark.parametrize(
        "rules",
        [
            [rule(f"profile_{number}") for number in range(10)],
            [rule("prod", *(f"team-{number}/*" for number in range(100)))],
            [rule("prod", "a" * 256)],
            [rule("x" * 64)],
        ],
        ids=["ten rules", "a hundred filters", "the longest filter", "the longest name of a profile"],
    )
    def test_as_much_as_there_may_be(self, ecr, rules):
        configure(ecr, *rules)
        assert ecr.get_signing_configuration()["signingConfiguration"]["rules"] == rules

    @pytest.mark.parametrize(
        ("rules", "member"),
        [
            ([rule(f"profile_{number}") for number in range(11)], "signingConfiguration.rules"),
            ([rule("prod", *(f"team-{number}/*" for number in range(101)))], "repositoryFilters"),
            ([rule("prod", "a" * 257)], "filter"),
            ([rule("prod", "Upper/*")], "filter"),
            ([rule("prod", "a//b")], "filter"),
            ([rule("prod", "a?")], "filter"),
            ([rule("x")], "signingProfileArn"),
            ([{"signingProfileArn": "prod"}], "signingProfileArn"),
            ([rule("x" * 200)], "signingProfileArn"),
            (
                [{**rule(), "repositoryFilters": [{"filter": "a", "filterType": "PREFIX_MATCH"}]}],
                "filterType",
            ),
        ],
        ids=[
            "eleven rules",
            "too many filters",
            "a filter that is too long",
            "upper case in a filter",
            "an empty part in a filter",
            "another wildcard",
            "a name of one letter",
            "no ARN",
            "an ARN that is too long",
            "another kind of filter",
        ],
    )
    def test_what_is_too_much_or_none(self, ecr, rules, member):
        found = refusal(ecr.put_signing_configuration, **put(ecr, *rules))
        assert found.code == "InvalidParameterException"
        assert member in found.message
        assert refusal(ecr.get_signing_configuration) == NOTHING

    def test_the_sentence_of_a_pattern(self, ecr):
        found = refusal(ecr.put_signing_configuration, **put(ecr, {"signingProfileArn": "prod"}))
        member = "signingConfiguration.rules.1.member.signingProfileArn"
        sentence = f"Member must satisfy regular expression pattern: ^{PATTERN}$"
        assert found == inferred("InvalidParameterException", constraint(member, sentence))

    def test_an_empty_list_of_filters_is_too_short(self, sim):
        given = {"signingProfileArn": arn_of("prod"), "repositoryFilters": []}
        answer = post(sim, "PutSigningConfiguration", {"signingConfiguration": {"rules": [given]}})
        assert answer.status == 400
        assert refusal_of(answer).code == "InvalidParameterException"
