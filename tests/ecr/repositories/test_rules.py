"""Exclusion filters and resource tags: the decisions alone."""

import pytest

from ecrsim.core.errors import InvalidParameterException, InvalidTagParameterException
from ecrsim.ecr.repositories import rules

PROD = [{"filterType": "WILDCARD", "filter": "prod*"}, {"filterType": "WILDCARD", "filter": "v*.0"}]


TITLE = "ImageTagMutabilityExclusionFilters"


def wildcards(*patterns):
    return [{"filterType": "WILDCARD", "filter": pattern} for pattern in patterns]


@pytest.mark.parametrize(
    ("mutability", "filters", "complaint"),
    [
        ("MUTABLE", None, None),
        ("IMMUTABLE", None, None),
        ("IMMUTABLE_WITH_EXCLUSION", wildcards("a*b*"), None),
        ("MUTABLE_WITH_EXCLUSION", wildcards("a", "a"), None),
        ("MUTABLE_WITH_EXCLUSION", wildcards("**"), None),
        # Recorded by moto's contributors.
        (
            "IMMUTABLE_WITH_EXCLUSION",
            None,
            f"{TITLE} can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION",
        ),
        (
            "MUTABLE_WITH_EXCLUSION",
            None,
            f"{TITLE} can't be null when imageTagMutability is set as MUTABLE_WITH_EXCLUSION",
        ),
        # Recorded in part.
        (
            "MUTABLE",
            wildcards("a"),
            f"{TITLE} are not allowed when imageTagMutability is set to MUTABLE",
        ),
        (
            "IMMUTABLE",
            wildcards("a"),
            f"{TITLE} are not allowed when imageTagMutability is set to IMMUTABLE",
        ),
        # Inferred.
        (
            "MUTABLE_WITH_EXCLUSION",
            wildcards("a", "*a*b*"),
            "Image tag mutability exclusion filter can contain a maximum of 2 wildcards",
        ),
        # The mode is looked at first (inferred).
        (
            "MUTABLE",
            wildcards("***"),
            f"{TITLE} are not allowed when imageTagMutability is set to MUTABLE",
        ),
    ],
)
def test_check_mutability(mutability, filters, complaint):
    if complaint is None:
        assert rules.check_mutability(mutability, filters) is None
        return
    with pytest.raises(InvalidParameterException) as caught:
        rules.check_mutability(mutability, filters)
    assert caught.value.message == (
        f"Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: '{complaint}'"
    )


LENGTH, RESERVED = "can have a maximum length of", "must not begin with 'aws:'"
CHARACTERS, TWICE = "can contain letters, numbers, spaces and", "is given more than once"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        pytest.param("k", "v", None, id="an ordinary tag"),
        pytest.param("k", "", None, id="an empty value"),
        pytest.param("", "v", LENGTH, id="an empty key"),
        pytest.param("k" * 128, "v" * 256, None, id="the longest key and value"),
        pytest.param("k" * 129, "v", LENGTH, id="a key that is too long"),
        pytest.param("k", "v" * 257, LENGTH, id="a value that is too long"),
        pytest.param("ä" * 128, "ß" * 256, None, id="characters count, bytes do not"),
        pytest.param("Kosten stelle", "a+b-c=d.e_f:g/h@i", None, id="every sign that is allowed"),
        pytest.param("部門", "開発", None, id="letters of any script"),
        pytest.param("k", "①²", None, id="numbers of any script"),
        pytest.param("a#b", "v", CHARACTERS, id="a sign that is not allowed, in the key"),
        pytest.param("k", "a,b", CHARACTERS, id="a sign that is not allowed, in the value"),
        pytest.param("k", "a\tb", CHARACTERS, id="a tab is no space"),
        pytest.param("k\n", "v", CHARACTERS, id="a newline is no space"),
        pytest.param("k", "😀", CHARACTERS, id="a picture is no letter"),
        pytest.param("aws:k", "v", RESERVED, id="the reserved prefix"),
        pytest.param("AwS:k", "v", RESERVED, id="the reserved prefix in any case"),
        pytest.param("k", "aws:v", RESERVED, id="the reserved prefix in the value"),
        pytest.param("awsome", "aws", None, id="what only looks like the prefix"),
        pytest.param("k:aws:", "x aws:", None, id="the prefix in the middle"),
    ],
)
def test_check_resource_tags(key, value, complaint):
    tags = [{"Key": "other", "Value": "x"}, {"Key": key, "Value": value}]
    if complaint is None:
        assert rules.check_resource_tags(tags) is None
    else:
        with pytest.raises(InvalidTagParameterException, match=complaint):
            rules.check_resource_tags(tags)


def test_a_key_may_stand_once():
    tags = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "1"}, {"Key": "b", "Value": "1"}]
    assert rules.check_resource_tags(tags) is None
    with pytest.raises(InvalidTagParameterException, match=TWICE):
        rules.check_resource_tags([*tags, {"Key": "a", "Value": "2"}])
