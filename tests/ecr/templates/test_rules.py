"""Which template matches a name, and what an update leaves of a template."""

import pytest

from ecrsim.ecr.templates.rules import (
    CREATE_ON_PUSH,
    DEFAULTS,
    PULL_THROUGH_CACHE,
    REPLICATION,
    matching,
    normalised,
    prefixes_of,
    updated,
)

FILTERS = [{"filterType": "WILDCARD", "filter": "dev-*"}]


def template(prefix, *applied_for):
    return DEFAULTS._replace(prefix=prefix, applied_for=list(applied_for or (CREATE_ON_PUSH,)))


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [("a", ["ROOT"]), ("a/b", ["a", "ROOT"]), ("a/b/c", ["a/b", "a", "ROOT"]), ("root/x", ["root", "ROOT"])],
)
def test_the_prefixes_of_a_name(name, prefixes):
    assert prefixes_of(name) == prefixes


#: What is given, the name, the prefix of the template that matches. Source: the user guide, but for "inferred".
ROWS = {
    "a slash is implied": ([template("prod")], "prod/x", "prod"),
    "and deeper below as well": ([template("prod")], "prod/x/y/z", "prod"),
    "the prefix itself is not below it": ([template("prod")], "prod", None),
    "nor is a name that goes on without a slash": ([template("prod")], "production/x", None),
    "the longest prefix wins": ([template("prod"), template("prod/team")], "prod/team/x", "prod/team"),
    "also when it was made first": ([template("prod/team"), template("prod")], "prod/team/x", "prod/team"),
    "ROOT is for the rest": ([template("ROOT"), template("prod")], "test/x", "ROOT"),
    "and only for the rest": ([template("ROOT"), template("prod")], "prod/x", "prod"),
    "a name without a slash is in the rest": ([template("ROOT"), template("prod")], "prod", "ROOT"),
    "another reason does not count": ([template("prod", REPLICATION)], "prod/x", None),
    "one of several reasons does": ([template("prod", REPLICATION, CREATE_ON_PUSH)], "prod/x", "prod"),
    "no reason at all matches nothing": ([template("prod")._replace(applied_for=[])], "prod/x", None),
    "a longer one of another reason hides nothing (inferred)": (
        [template("prod"), template("prod/team", PULL_THROUGH_CACHE)],
        "prod/team/x",
        "prod",
    ),
    "nor does it hide ROOT (inferred)": ([template("ROOT"), template("prod", REPLICATION)], "prod/x", "ROOT"),
}


@pytest.mark.parametrize(("given", "name", "wanted"), ROWS.values(), ids=ROWS)
def test_the_template_that_matches(given, name, wanted):
    found = matching(given, name, CREATE_ON_PUSH)
    assert (found and found.prefix) == wanted


@pytest.mark.recorded
@pytest.mark.parametrize(("sent", "kept"), [("prod/", "prod"), ("prod", "prod"), ("a/b/", "a/b"), ("ROOT", "ROOT")])
def test_the_last_slash_of_a_prefix_is_dropped(sent, kept):
    assert normalised(sent) == kept


FULL = DEFAULTS._replace(
    prefix="prod",
    applied_for=[REPLICATION],
    description="d",
    resource_tags=[{"Key": "a", "Value": "b"}],
    image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
    image_tag_mutability_exclusion_filters=FILTERS,
    repository_policy="{}",
    lifecycle_policy="{}",
    custom_role_arn="arn:aws:iam::000000000000:role/r",
    created_at=1,
    updated_at=1,
)
CHANGES = {
    "nothing": ({}, {}),
    "a text": ({"description": "e"}, {"description": "e"}),
    "an empty text takes it away": (
        {"description": "", "lifecycle_policy": ""},
        {"description": None, "lifecycle_policy": None},
    ),
    "no tags take them away": ({"resource_tags": []}, {"resource_tags": None}),
    "a reason that is named twice counts once": (
        {"applied_for": [CREATE_ON_PUSH, REPLICATION, CREATE_ON_PUSH]},
        {"applied_for": [CREATE_ON_PUSH, REPLICATION]},
    ),
    "reasons can be none": ({"applied_for": []}, {"applied_for": []}),
    "the same mutability keeps its filters": ({"image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION"}, {}),
    "another mutability drops them": (
        {"image_tag_mutability": "MUTABLE"},
        {"image_tag_mutability": "MUTABLE", "image_tag_mutability_exclusion_filters": None},
    ),
    "filters alone": (
        {"image_tag_mutability_exclusion_filters": FILTERS * 2},
        {"image_tag_mutability_exclusion_filters": FILTERS * 2},
    ),
    "encryption as a whole": (
        {"encryption_configuration": {"encryptionType": "KMS"}},
        {"encryption_configuration": {"encryptionType": "KMS"}},
    ),
}


@pytest.mark.inferred
@pytest.mark.parametrize(("given", "changes"), CHANGES.values(), ids=CHANGES)
def test_an_update_changes_what_is_given(given, changes):
    assert updated(FULL, given, 2) == FULL._replace(**changes, updated_at=2)


@pytest.mark.documented
@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, False),
        ({"encryption_configuration": {"encryptionType": "KMS"}}, True),
        ({"encryption_configuration": {"encryptionType": "KMS_DSSE"}}, True),
        ({"resource_tags": [{"Key": "a", "Value": "b"}]}, True),
        ({"repository_policy": "{}", "lifecycle_policy": "{}"}, False),
    ],
)
def test_tags_and_kms_need_a_role(changes, needs):
    assert DEFAULTS._replace(**changes).needs_role is needs
