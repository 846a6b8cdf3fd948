"""Which profiles sign what is in a repository, and until when a signature is good."""

from datetime import UTC, datetime

import pytest

from ecrsim.core.errors import LimitExceededException
from ecrsim.ecr.signing import rules
from tests.ecr.signing.conftest import arn_of, rule


@pytest.mark.documented
@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("myapp/*", "myapp/web", True),
        ("myapp/*", "myapp", False),
        ("*/production", "team/production", True),
        ("*/production", "production", False),
        ("*prod*", "team/preprod/web", True),
        ("*prod*", "team/dev", False),
        ("*", "anything/at-all", True),
        ("a*c*e", "abcde", True),
        ("a*c*e", "ae", False),
    ],
)
def test_a_star_is_any_run_of_characters(pattern, name, expected):
    assert bool(rules.profiles([rule("prod", pattern)], name)) is expected


@pytest.mark.inferred
@pytest.mark.parametrize(("name", "expected"), [("app", True), ("app-2", False), ("my/app", False)])
def test_a_filter_without_a_star_is_the_whole_name(name, expected):
    assert bool(rules.profiles([rule("prod", "app")], name)) is expected


@pytest.mark.documented
def test_each_profile_of_all_rules_that_match_signs_once():
    given = [rule("one"), rule("two", "app"), rule("one", "a*"), rule("three", "other")]
    assert rules.profiles(given, "app") == [arn_of("one"), arn_of("two")]


def moment(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("begin", "value", "kind", "end"),
    [
        ("2026-01-01T12:30:00", 1, "DAYS", "2026-01-02T12:30:00"),
        ("2026-01-31T12:30:00", 1, "MONTHS", "2026-02-28T12:30:00"),
        ("2026-11-15T00:00:00", 3, "MONTHS", "2027-02-15T00:00:00"),
        ("2024-02-29T00:00:00", 1, "YEARS", "2025-02-28T00:00:00"),
        ("2026-01-01T00:00:00", 135, "MONTHS", "2037-04-01T00:00:00"),
        ("2026-12-31T00:00:00", 12, "MONTHS", "2027-12-31T00:00:00"),
        ("9995-01-01T00:00:00", 135, "MONTHS", "9999-12-31T23:59:59"),
        ("9999-12-31T00:00:00", 1, "DAYS", "9999-12-31T23:59:59"),
    ],
)
def test_the_end_of_a_signature(begin, value, kind, end):
    assert rules.expires_at(moment(begin), {"value": value, "type": kind}) == moment(end)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (135, "MONTHS", True),
        (136, "MONTHS", False),
        (11, "YEARS", True),
        (12, "YEARS", False),
        (1, "DAYS", True),
        (4109, "DAYS", True),
        (4110, "DAYS", False),
        (0, "DAYS", False),
        (-1, "MONTHS", False),
        (True, "DAYS", False),
        ("5", "DAYS", False),
        (1.5, "DAYS", False),
        (5, "WEEKS", False),
        (5, None, False),
        (5, [], False),
        (5, {}, False),
    ],
)
def test_a_period_that_a_profile_may_have(value, kind, expected):
    assert rules.is_validity(value, kind) is expected


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:signer:us-east-1:000000000000:/signing-profiles/a",
        "arn:aws-cn:signer:us-east-1:000000000000:/signing-profiles/prod",
        "arn:aws:signer:us-east-1:0:/signing-profiles/prod",
        "arn:aws:signer:us-east-1:000000000000:/signing-profiles/prod/Ab12",
    ],
)
def test_what_is_no_profile(arn):
    assert rules.name_of(arn) is None


@pytest.mark.inferred
class TestFailures:
    @pytest.mark.parametrize(
        ("status", "platform", "code"),
        [
            (None, None, "SIGNING_PROFILE_NOT_FOUND"),
            ("Canceled", rules.PLATFORM, "SIGNING_PROFILE_NOT_ACTIVE"),
            ("Revoked", rules.PLATFORM, "SIGNING_PROFILE_NOT_ACTIVE"),
            ("Active", "AWSLambda-SHA384-ECDSA", "UNSUPPORTED_PLATFORM"),
        ],
    )
    def test_of_the_profile(self, status, platform, code):
        failure = rules.refusal(arn_of("prod"), status, platform)
        assert failure is not None
        assert failure.code == code
        assert not failure.is_tried_again

    def test_an_active_profile_signs(self):
        assert rules.refusal(arn_of("prod"), "Active", rules.PLATFORM) is None

    def test_an_error_of_the_service_has_its_name(self):
        error = LimitExceededException("There are too many.")
        assert rules.failure_of(error) == rules.SigningFailure("LIMIT_EXCEEDED", "There are too many.")

    def test_a_denial_is_looked_at_three_times_more(self):
        assert [rules.next_try(tried) for tried in range(1, 5)] == [60, 300, 1800, None]
