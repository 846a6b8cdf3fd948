"""Wildcards: what fits, and that no pattern makes a match slow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.iam import wildcards
from ecrsim.iam.wildcards import arn_matches, literally, matches

FITTING = [
    ("", ""), ("a", "a"), ("*", ""), ("*", "anything\nat all"), ("**", "x"), ("a*", "a"), ("a*", "abc"), ("*c", "abc"),
    ("a*c", "ac"), ("a*c", "abbbc"), ("a*b*c", "aXbYc"), ("*b*", "abc"), ("?", "a"), ("a?c", "abc"), ("??", "ab"),
    ("*?", "a"), ("?*", "abc"), ("a*?c", "abc"), ("ab*ab", "abab"), ("*ab", "aab"), ("a*a?a", "aXaYa"), ("a.c", "a.c"),
    ("[a]", "[a]"), ("a+", "a+"), ("\\d", "\\d"), ("*a*a", "aaa"), ("x*yz*yz", "xyzyz"),
]  # fmt: skip
NOT_FITTING = [
    ("", "a"), ("a", ""), ("a", "A"), ("a", "ab"), ("a*", "ba"), ("*c", "cb"), ("a*c", "ab"), ("?", ""), ("?", "ab"),
    ("a?c", "ac"), ("ab*ab", "aba"), ("ab*ab", "ab"), ("a*b*c", "acb"), ("*?", ""), ("a.c", "abc"), ("[a]", "a"),
    ("\\d", "1"), ("*aa", "aab"), ("x*yz*yz", "xyz"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text"), FITTING)
def test_a_text_that_fits(pattern: str, text: str):
    assert matches(pattern, text)


@pytest.mark.parametrize(("pattern", "text"), NOT_FITTING)
def test_a_text_that_does_not_fit(pattern: str, text: str):
    assert not matches(pattern, text)


def fits(pattern: str, text: str) -> bool:
    """The definition, by dynamic programming: what any faster way must agree with."""
    reached = {0}
    for character in pattern:
        if character == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(text) and character in ("?", text[at])}
    return len(text) in reached


@settings(derandomize=True, max_examples=600, deadline=None)
@given(st.text("ab*?", max_size=9), st.text("ab", max_size=9))
def test_it_agrees_with_the_definition(pattern: str, text: str):
    assert matches(pattern, text) is fits(pattern, text)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.lists(st.text("ab*?:", max_size=4), min_size=6, max_size=6),
    st.lists(st.text("ab", max_size=4), min_size=6, max_size=6),
)
def test_an_arn_fits_part_by_part(pattern: list[str], arn: list[str]):
    parts = [part.replace(":", "") for part in pattern]
    expected = all(fits(part, value) for part, value in zip(parts, arn, strict=True))
    assert arn_matches(":".join(parts), ":".join(arn)) is expected


ARNS = [
    ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket", True),
    ("arn:aws:iam::*:role/*", "arn:aws:iam::111122223333:role/ci/pusher", True),
    ("arn:aws:iam::111122223333:*", "arn:aws:iam::111122223333:role/a:b", True),
    ("arn:aws:some:*:111122223333:finance/*", "arn:aws:some:us-east-2:9:store/abc:111122223333:finance/x", False),
    ("arn:aws:iam:*", "arn:aws:iam::111122223333:role/x", False),
    ("*", "arn:aws:iam::111122223333:role/x", False),
    ("*:*:*:*:*:*", "arn:aws:iam::111122223333:role/x", True),
    ("*:*:*:*:*:*", "not an arn", False),
    ("arn:aws:iam::?11122223333:role/x", "arn:aws:iam::111122223333:role/x", True),
    ("arn:aws:ecr:us-?-1:*:*", "arn:aws:ecr:us-:-1:1:x", False),
    ("arn:aws:iam::111122223333:role/x", "arn:aws:iam::111122223333:ROLE/x", False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "arn", "expected"), ARNS)
def test_an_arn(pattern: str, arn: str, expected: bool):
    assert arn_matches(pattern, arn) is expected


PIECES = [
    ((("a", False), ("*", True)), "a*", True),
    ((("a", False), ("*", True)), "ab", False),
    ((("a", False), ("?", True)), "a?", True),
    ((("a", False), ("?", True)), "ab", False),
    ((("*", False), ("x.y", True), ("*", False)), "1x.y2", True),
    ((("*", False), ("x.y", True), ("*", False)), "1xzy2", False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text", "expected"), PIECES)
def test_a_literal_piece_has_no_wildcards(pattern: wildcards.Pattern, text: str, expected: bool):
    assert matches(pattern, text) is expected


def test_a_literal_colon_does_not_part_an_arn():
    assert not arn_matches((("arn:aws:iam:", False), (":", True), (":1:x", False)), "arn:aws:iam:::1:x")
    assert arn_matches((("arn:aws:iam::1:", False), ("a:b", True)), "arn:aws:iam::1:a:b")


def test_literally_is_the_text_itself():
    assert literally("a*") == "a*"
    assert literally((("a", False), ("*", True), ("b", False))) == "a*b"


#: (pattern, does "aaa…" fit, does "abab…a" fit): checked once against the definition, which is too slow for every run.
HARD = [
    ("a*" * 50, True, True),
    ("*a" * 50 + "b", False, False),
    ("a*" * 5000 + "b", False, False),
    ("?*" * 2000, True, True),
    ("*" * 10_000 + "b", False, False),
    ("*a?a" * 100 + "*", True, True),
    ("*" + "ab" * 500 + "*c", False, False),
]


@pytest.mark.parametrize(("pattern", "plain", "mixed"), HARD, ids=[f"{case[0][:8]} {len(case[0])}" for case in HARD])
def test_a_hard_pattern_ends_with_the_right_answer(pattern: str, plain: bool, mixed: bool):
    """With a matcher that goes back behind its stars, most of these would not end."""
    assert matches(pattern, "a" * 20_000) is plain
    assert matches(pattern, "ab" * 10_000 + "a") is mixed


def test_a_hard_pattern_ends_for_arns_too():
    part = "a*" * 50 + "b"
    assert not arn_matches(":".join([part] * 6), ":".join(["a" * 5000] * 6))
    assert arn_matches(":".join([part] * 6), ":".join(["a" * 5000 + "b"] * 6))


def unbounded(tree: Any, *, atomic: bool = False) -> Iterator[bool]:
    """For each unbounded repetition in a regular expression: does it stand in an atomic group?"""
    for name, argument in tree:
        kind = str(name)
        if kind == "ATOMIC_GROUP":
            yield from unbounded(argument, atomic=True)
        elif kind in ("MAX_REPEAT", "MIN_REPEAT"):
            assert list(unbounded(argument[2])) == [], "a repetition within a repetition"
            yield atomic
        elif kind == "SUBPATTERN":
            yield from unbounded(argument[3], atomic=atomic)
        else:
            assert kind in ("LITERAL", "ANY", "IN", "NOT_LITERAL"), kind


@pytest.mark.parametrize("pattern", ["abc", "a*b", "*", "a*b*c", "*a?b*c*", "a*" * 50, "**a**"])
def test_the_construct_is_linear(pattern: str):
    """One repetition at most is open to a second try: the last star, after which one fixed piece follows."""
    found = list(unbounded(re._parser.parse(wildcards._glob(pattern).pattern, re.DOTALL)))
    assert found.count(False) <= 1
    assert found[:-1] == [True] * (len(found) - 1)
