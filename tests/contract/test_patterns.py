"""The patterns that values are checked with mean what the model's patterns mean, and cannot backtrack."""

import itertools
import random
import re
from re import _parser as parser  # the standard library's own reading of a pattern; there is no public one

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.contract.patterns import LINEAR, evaluated
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.ecr.images.rules import TAG_TEXT
from tests.contract.modelled import OPERATIONS, places

INPUT_PATTERNS = sorted(
    {place.shape.pattern for operation in OPERATIONS for place in places(operation.input) if place.shape.pattern}
)
WORDS = [pattern for pattern in LINEAR if "arn:" not in pattern]
#: Longer words than this take the model's exponential pattern seconds to refuse.
SHORT = 15
ARNS = [pattern for pattern in LINEAR if "arn:" in pattern]


def original(pattern):
    return re.compile(pattern, re.ASCII)


def agree(pattern, value):
    return (original(pattern).fullmatch(value) is None) == (evaluated(pattern).fullmatch(value) is None)


@pytest.mark.parametrize("pattern", WORDS)
def test_linear_patterns_equal_the_model_on_all_short_words(pattern):
    letters = ["a", "0", ".", "_", "-", "/", "*", "A", "ROOT", "\n"]
    words = ("".join(word) for size in range(5) for word in itertools.product(letters, repeat=size))

    assert [word for word in words if not agree(pattern, word)] == []


@pytest.mark.parametrize("pattern", WORDS)
def test_linear_patterns_equal_the_model_on_longer_words(pattern):
    choice = random.Random(pattern)  # noqa: S311 - the same words each time
    words = ("".join(choice.choices("aab0._-/*", k=choice.randrange(6, SHORT))) for _ in range(10_000))

    assert [word for word in words if not agree(pattern, word)] == []


@pytest.mark.parametrize("pattern", ARNS)
def test_linear_patterns_equal_the_model_on_arns(pattern):
    choice = random.Random(pattern)  # noqa: S311 - the same ARNs each time
    parts = ["arn:aws", "-", "cn", ":iam::", "123456789012", ":role", ":user", "/", "x", "+", "é", "\n", ":"]
    parts += [":secretsmanager:", ":secret:ecr-pullthroughcache/", ":signer:", ":/signing-profiles/", "_", "eu-west-1"]
    arns = ("arn:aws" + "".join(choice.choices(parts, k=choice.randrange(1, 9))) for _ in range(20_000))

    assert [arn for arn in arns if not agree(pattern, arn)] == []


@pytest.mark.parametrize("pattern", sorted(LINEAR))
def test_linear_patterns_equal_the_model_on_what_matches_and_what_nearly_does(pattern):
    @settings(max_examples=25, deadline=None)
    @given(st.from_regex(original(pattern), fullmatch=True), st.integers(0, 200), st.sampled_from("a0._-/*:\n"))
    def check(value, at, letter):
        assert evaluated(pattern).fullmatch(value)
        if pattern in ARNS or len(value) < SHORT:
            assert agree(pattern, value[:at] + value[at + 1 :])
            assert agree(pattern, value[:at] + letter + value[at:])

    check()


def repeats_a_repetition(tree, inside=False):
    """Whether an unbounded repetition that can give back stands in another one."""
    for code, argument in tree:
        name = str(code)
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            _, most, body = argument
            unbounded = most == parser.MAXREPEAT
            if (unbounded and inside) or repeats_a_repetition(body, inside or unbounded):
                return True
        elif name in ("POSSESSIVE_REPEAT", "ATOMIC_GROUP"):
            # What is in there is never tried again, but within one go it may still be tried in several ways.
            body = argument[2] if name == "POSSESSIVE_REPEAT" else argument
            if repeats_a_repetition(body, inside=True):
                return True
        elif name == "SUBPATTERN":
            if repeats_a_repetition(argument[3], inside):
                return True
        elif name == "BRANCH" and any(repeats_a_repetition(branch, inside) for branch in argument[1]):
            return True
    return False


@pytest.mark.parametrize("pattern", [*INPUT_PATTERNS, TAG_TEXT, ECR_DIGEST_TEXT])
def test_no_evaluated_pattern_of_an_input_repeats_a_repetition(pattern):
    assert not repeats_a_repetition(parser.parse(evaluated(pattern).pattern))


@pytest.mark.parametrize("pattern", sorted(LINEAR))
def test_the_test_above_would_find_the_models_own_patterns(pattern):
    assert repeats_a_repetition(parser.parse(pattern))


def test_every_linear_pattern_belongs_to_the_model():
    assert set(LINEAR) <= set(INPUT_PATTERNS)


def test_a_value_that_the_models_pattern_would_take_ages_for():
    exponential = r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$"

    assert evaluated(exponential).fullmatch("a" * 255 + "!") is None
    assert evaluated(exponential).fullmatch("a" * 255)
