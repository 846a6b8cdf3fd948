"""What is scanned, when, and what is shown of it: the decisions."""

import pytest

from ecrsim.core.durations import DAY
from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.scanning import rules
from ecrsim.ecr.scanning.rules import Applied, Configuration, FrequencyChange, Kept, Shown

NAMES = ("prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo")
#: AWS's own table: a filter, and which of NAMES it matches.
FILTERS = {
    "prod": "YYYYY",
    "*prod": "YYnnn",
    "prod*": "YnYnY",
    "*prod*": "YYYYY",
    "prod*repo": "nnYnY",
    "*": "YYYYY",
    "**": "YYYYY",
    "repo-prod-repo": "nnnYn",
    "rod-r": "nnYYn",
    "*o*o*o*": "nnnYn",
}


@pytest.mark.documented
@pytest.mark.parametrize(("text", "expected"), FILTERS.items(), ids=str)
def test_a_filter_matches_anywhere_without_a_star_and_the_whole_name_with_one(text, expected):
    assert "".join("Y" if rules.filter_matches(text, name) else "n" for name in NAMES) == expected


def test_a_star_stands_for_slashes_as_well():
    assert rules.filter_matches("team/*/app", "team/a/b/app")
    assert not rules.filter_matches("team/*/app", "team/app")


def test_a_filter_that_a_regular_expression_would_try_for_minutes_is_judged_at_once():
    assert not rules.filter_matches("*a" * 100 + "b", "a" * 250)


def rule(frequency, *filters):
    return {
        "scanFrequency": frequency,
        "repositoryFilters": [{"filter": each, "filterType": "WILDCARD"} for each in filters],
    }


def by(text):
    return ({"filter": text, "filterType": "WILDCARD"},)


PUSH, ALWAYS, MANUAL = "SCAN_ON_PUSH", "CONTINUOUS_SCAN", "MANUAL"
#: Scan type, rules, own flag of the repository `prod/app`; what holds.
APPLIED = {
    "a fresh registry": ("BASIC", [], False, Applied(MANUAL)),
    "the flag of the repository": ("BASIC", [], True, Applied(PUSH)),
    "the flag, and a rule that does not match (inferred)": ("BASIC", [rule(PUSH, "dev")], True, Applied(MANUAL)),
    "the flag under enhanced scanning": ("ENHANCED", [], True, Applied(MANUAL)),
    "a rule that matches": ("BASIC", [rule(PUSH, "prod")], False, Applied(PUSH, by("prod"))),
    "the last filter that matches": ("BASIC", [rule(PUSH, "prod", "*", "app", "dev")], False, Applied(PUSH, by("app"))),
    "a rule without filters": ("BASIC", [rule(PUSH)], False, Applied(MANUAL)),
    "a rule that says manual": ("BASIC", [rule(MANUAL, "*")], False, Applied(MANUAL, by("*"))),
    "continuous wins": ("ENHANCED", [rule(ALWAYS, "prod"), rule(PUSH, "*")], False, Applied(ALWAYS, by("prod"))),
    "continuous wins, put last": (
        "ENHANCED",
        [rule(PUSH, "*"), rule(ALWAYS, "app")],
        False,
        Applied(ALWAYS, by("app")),
    ),
    "on push wins over manual": ("ENHANCED", [rule(MANUAL, "*"), rule(PUSH, "app")], False, Applied(PUSH, by("app"))),
}


@pytest.mark.parametrize(("scan_type", "given", "flag", "expected"), APPLIED.values(), ids=APPLIED)
def test_what_holds_for_a_repository(scan_type, given, flag, expected):
    assert rules.applied(Configuration(scan_type, given), "prod/app", scan_on_push=flag) == expected


def test_only_repositories_whose_frequency_is_another_one_have_changed():
    before = Configuration("BASIC", [rule(PUSH, "app")])
    after = Configuration("ENHANCED", [rule(ALWAYS, "app-*"), rule(PUSH, "app")])
    repositories = [("app-a", False), ("app", False), ("other", True)]
    assert rules.changes(before, after, repositories) == [FrequencyChange("app-a", ALWAYS, PUSH)]


@pytest.mark.inferred
@pytest.mark.parametrize(
    ("configuration", "constraint"),
    [
        (Configuration("BASIC", [rule(ALWAYS, "*")]), "CONTINUOUS_SCAN is only supported for the scan type ENHANCED"),
        (
            Configuration("ENHANCED", [rule(PUSH, "a"), rule(PUSH, "b")]),
            "Each scan frequency can be used by one rule only",
        ),
    ],
)
def test_a_configuration_that_cannot_be(configuration, constraint):
    with pytest.raises(InvalidParameterException, match=constraint):
        rules.check(configuration)


@pytest.mark.documented
@pytest.mark.parametrize(
    ("requested_at", "expected"), [(None, False), (0, True), (1, True), (-1, True), (-DAY + 1, True), (-DAY, False)]
)
def test_a_basic_scan_is_allowed_24_hours_after_the_start_of_the_last_one(requested_at, expected):
    assert rules.is_scanned_today(None if requested_at is None else 10 * DAY + requested_at, 10 * DAY) is expected


@pytest.mark.documented
@pytest.mark.parametrize(
    ("pushed", "pulled", "days", "expected"),
    [
        (0, None, 14, True),
        (14, None, 14, True),
        (15, None, 14, False),
        (30, 14, 14, True),
        (30, 15, 14, False),
        (30, None, 0, True),
        (30, None, 31, True),
    ],
)
def test_an_image_is_monitored_for_some_days_after_its_last_push_or_pull(pushed, pulled, days, expected):
    now = 100 * DAY
    pulled_at = None if pulled is None else now - pulled * DAY
    assert rules.is_monitored(now - pushed * DAY, pulled_at, now, days) is expected


DONE = Kept("COMPLETE", None, is_completed=True)
CONTINUOUS = Shown("ACTIVE", "Continuous scan is selected for image.", has_findings=True)
COMPLETE = Shown("COMPLETE", "The scan was completed successfully.", has_findings=True)
UNSUPPORTED = "UnsupportedImageError: The operating system and/or package manager are not supported."
#: (scan type, what is kept, frequency, is archived, is monitored) → what is shown.
SHOWN = {
    "never scanned": (("BASIC", None, PUSH, False, True), None),
    "done": (("BASIC", DONE, MANUAL, False, True), COMPLETE),
    "done long ago": (("BASIC", DONE, MANUAL, False, False), COMPLETE),
    "under way": (("BASIC", Kept("IN_PROGRESS", None, False), PUSH, False, True), Shown("IN_PROGRESS", None)),
    "under way again": (
        ("BASIC", Kept("IN_PROGRESS", None, True), PUSH, False, True),
        Shown("IN_PROGRESS", None, has_findings=True),
    ),
    "unsupported": (
        ("BASIC", Kept("FAILED", UNSUPPORTED, True), PUSH, False, True),
        Shown("FAILED", UNSUPPORTED),
    ),
    "over the quota": (
        ("BASIC", Kept("LIMIT_EXCEEDED", None, False), PUSH, False, True),
        Shown("LIMIT_EXCEEDED", "The quota of image scans in 24 hours has been exceeded."),
    ),
    "too large": (
        ("BASIC", Kept("IMAGE_SIZE_EXCEEDED", None, False), PUSH, False, True),
        Shown("IMAGE_SIZE_EXCEEDED", "The image exceeds the maximum size for scanning."),
    ),
    "archived": (
        ("BASIC", None, MANUAL, True, True),
        Shown("IMAGE_ARCHIVED", "The image is archived. Restore it to scan it."),
    ),
    "archived, enhanced": (
        ("ENHANCED", DONE, ALWAYS, True, True),
        Shown("IMAGE_ARCHIVED", "The image is archived. Restore it to scan it."),
    ),
    "enhanced, no rule": (("ENHANCED", DONE, MANUAL, False, True), None),
    "enhanced, on push": (("ENHANCED", DONE, PUSH, False, True), COMPLETE),
    "enhanced, on push, long ago": (("ENHANCED", DONE, PUSH, False, False), COMPLETE),
    "enhanced, continuous": (("ENHANCED", DONE, ALWAYS, False, True), CONTINUOUS),
    "enhanced, waiting": (
        ("ENHANCED", None, ALWAYS, False, True),
        Shown("PENDING", "The image is waiting for its initial scan."),
    ),
    "enhanced, waiting again": (
        ("ENHANCED", Kept("PENDING", None, True), ALWAYS, False, True),
        Shown("PENDING", "The image is waiting for its initial scan.", has_findings=True),
    ),
    "enhanced, too late": (
        ("ENHANCED", None, PUSH, False, False),
        Shown("SCAN_ELIGIBILITY_EXPIRED", "The scan duration that is configured for the image has lapsed."),
    ),
    "enhanced, expired": (
        ("ENHANCED", DONE, ALWAYS, False, False),
        Shown("SCAN_ELIGIBILITY_EXPIRED", "The scan duration that is configured for the image has lapsed."),
    ),
    "enhanced, unsupported": (
        ("ENHANCED", Kept("UNSUPPORTED_IMAGE", UNSUPPORTED, False), ALWAYS, False, True),
        Shown("UNSUPPORTED_IMAGE", UNSUPPORTED),
    ),
}


@pytest.mark.parametrize(("given", "expected"), SHOWN.values(), ids=SHOWN)
def test_what_is_shown(given, expected):
    scan_type, kept, frequency, is_archived, is_monitored = given
    shown = rules.shown(scan_type, kept, frequency, is_archived=is_archived, is_monitored=is_monitored)
    assert shown == expected


@pytest.mark.documented
@pytest.mark.parametrize(
    ("system", "version", "basic", "enhanced"),
    [
        ("debian", "12", True, True),
        ("debian", "10", False, False),
        ("debian", "", False, False),
        ("alpine", "3.21.3", True, True),
        ("alpine", "3.2", False, False),
        ("ubuntu", "22.04", True, True),
        ("ubuntu", "22.10", False, False),
        ("amzn", "2023", True, True),
        ("rhel", "9.4", True, True),
        ("wolfi", "20230201", True, True),
        ("hummingbird", "1", True, False),
        ("elxr", "12", False, False),
    ],
)
def test_which_operating_systems_are_scanned(system, version, basic, enhanced):
    found = rules.is_supported("BASIC", system, version), rules.is_supported("ENHANCED", system, version)
    assert found == (basic, enhanced)


@pytest.mark.parametrize(
    ("system", "languages", "basic", "enhanced"),
    [
        (("debian", "12"), False, "COMPLETE", "COMPLETE"),
        (("elxr", "12"), False, "FAILED", "UNSUPPORTED_IMAGE"),
        (None, False, "FAILED", "UNSUPPORTED_IMAGE"),
        (None, True, "FAILED", "COMPLETE"),
    ],
)
def test_how_a_scan_ends_that_could_read_the_image(system, languages, basic, enhanced):
    found = [rules.verdict(each, system, has_language_packages=languages) for each in ("BASIC", "ENHANCED")]
    assert found == [basic, enhanced]
