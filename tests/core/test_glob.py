"""Wildcards, against the slow and obvious way to match them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.core.glob import matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        pytest.param("prod", "prod", True, id="without a star the whole text is meant"),
        pytest.param("prod", "prod-1", False, id="the end is an anchor"),
        pytest.param("prod", "my-prod", False, id="the beginning is an anchor"),
        pytest.param("prod*", "prod-1", True, id="a star at the end is any rest"),
        pytest.param("prod*", "prod", True, id="a star may stand for nothing"),
        pytest.param("prod*", "my-prod", False, id="a star at the end leaves the beginning alone"),
        pytest.param("*prod", "my-prod", True, id="a star in front is any beginning"),
        pytest.param("*prod*", "my-prod-1", True, id="two stars make a search"),
        pytest.param("*", "", True, id="a star alone matches nothing at all"),
        pytest.param("*", "anything", True, id="a star alone matches everything"),
        pytest.param("", "", True, id="nothing matches nothing"),
        pytest.param("", "a", False, id="nothing matches nothing else"),
        pytest.param("ab*ba", "aba", False, id="the two ends may not share characters"),
        pytest.param("ab*ba", "abba", True, id="the two ends may touch"),
        pytest.param("a*b*c", "a-c-b-c", True, id="the parts may repeat"),
        pytest.param("a*b*c", "a-c-b", False, id="the parts keep their order"),
        pytest.param("a**c", "abc", True, id="two stars in a row are one"),
        pytest.param("v1.0", "v1x0", False, id="a dot is a dot"),
        pytest.param("v[0-9]", "v1", False, id="brackets are brackets"),
        pytest.param("v?", "v1", False, id="a question mark is one"),
        pytest.param("PROD", "prod", False, id="case counts"),
        pytest.param("prod*", "prod\n1", True, id="a newline is a character"),
        pytest.param("prod", "prod\n", False, id="a newline at the end is one too many"),
    ],
)
def test_matches(pattern, text, expected):
    assert matches(pattern, text) is expected


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_it_agrees_with_a_regular_expression(pattern, text):
    wanted = re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.DOTALL)
    assert matches(pattern, text) is (wanted is not None)


def test_a_hostile_pattern_takes_no_time():
    # A backtracking matcher would not come back from this.
    assert not matches("a*" * 5_000 + "b", "a" * 20_000)
