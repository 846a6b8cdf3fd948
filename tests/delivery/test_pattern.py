"""The event patterns of EventBridge: what matches, what is refused and where, and where moto reads them otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.events.exceptions import InvalidEventPatternException
from moto.events.models import EventPattern, EventPatternParser

from ecrsim.delivery.eventbridge import envelope
from ecrsim.delivery.pattern import PatternError
from ecrsim.delivery.pattern import compile as compiled
from tests.delivery.samples import SAMPLES, sample


class Row(NamedTuple):
    """Provenance: D in AWS's guide of EventBridge, S in the source of its matcher (aws/event-ruler), I inferred.

    `moto`: the reason where moto's answer is the other one.
    """

    provenance: str
    pattern: dict[str, Any]
    event: dict[str, Any]
    matches: bool
    moto: str = ""


def field(provenance: str, values: list[Any], value: Any, matches: bool, moto: str = "") -> Row:
    """One field of the detail: the values of the pattern, the value of the event."""
    return Row(provenance, {"detail": {"x": values}}, {"detail": {"x": value}}, matches, moto)


def absent(
    provenance: str, values: list[Any], matches: bool, detail: dict[str, Any] | None = None, moto: str = ""
) -> Row:
    return Row(provenance, {"detail": {"x": values}}, {"detail": detail or {"y": 1}}, matches, moto)


PYTHON = "moto compares as Python does"
LEAVES = "moto does not look for leaves"
ARRAYS = "moto does not look into arrays of objects"
RANGE = "moto compares any number"

EXACT = [
    field("D", ["running"], "running", True),
    field("D", ["running"], "Running", False),
    field("D", ["stopped", "running"], "running", True),
    field("D", [""], "", True),
    field("D", [""], None, False),
    field("D", [None], None, True),
    field("D", [None], "", False),
    absent("I", [None], False),
    field("D", [True], True, True),
    field("D", [True], False, False),
    field("D", [True], "true", False),
    field("D", [80], 80, True),
    field("D", [80], "80", False),
    field("D", [300], 300.0, False, PYTHON),
    field("D", [300.0], 300, False, PYTHON),
    field("D", [300.0], 300.0, True),
    field("D", [1], True, False, PYTHON),
    field("D", [False], 0, False, PYTHON),
    field("S", [123456789012], 123456789012, True),
    field("I", ["a"], {"a": 1}, False),
    absent("D", ["a"], False),
]
ARRAY = [
    field("D", ["a", "b"], ["x", "b"], True),
    field("D", ["a"], ["x", "y"], False),
    field("D", ["a"], [], False),
    field("D", [{"prefix": "ab"}], ["x", "abc"], True),
    field("S", ["a"], [["x"], ["a"]], True, ARRAYS),
    # Other elements than those that are left out are there.
    field("S", [{"anything-but": "a"}], ["a", "b"], True),
    field("S", [{"anything-but": "a"}], ["a"], False),
    field("S", [{"anything-but": "a"}], [], False),
    Row("S", {"a": {"b": [1]}}, {"a": [{"b": 2}, {"b": 1}]}, True, ARRAYS),
    Row("S", {"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 3}, {"b": 0, "c": 2}]}, False),
    Row("S", {"a": {"b": [1], "c": [2]}}, {"a": [{"b": 0}, {"b": 1, "c": 2}]}, True, ARRAYS),
    Row("S", {"a": {"b": {"c": [1], "d": [2]}}}, {"a": [{"b": [{"c": 1}, {"d": 2}]}]}, False),
    Row("S", {"a": {"b": {"c": [1]}, "d": [2]}}, {"a": [{"b": [{"c": 0}, {"c": 1}], "d": 2}]}, True, ARRAYS),
]
TEXT = [
    field("D", [{"prefix": "2017-10-02"}], "2017-10-02T18:43:48Z", True),
    field("D", [{"prefix": "2017-10-02"}], "2017-10-03T18:43:48Z", False),
    field("D", [{"prefix": {"equals-ignore-case": "EventB"}}], "eventbridge", True),
    field("D", [{"prefix": {"equals-ignore-case": "EventB"}}], "bridge", False),
    field("S", [{"prefix": ""}], "anything", True),
    field("D", [{"prefix": "1"}], 12, False),
    field("D", [{"suffix": ".png"}], "a.png", True),
    field("D", [{"suffix": ".png"}], "a.PNG", False),
    field("D", [{"suffix": {"equals-ignore-case": ".png"}}], "a.PNG", True),
    field("D", [{"suffix": {"equals-ignore-case": ".png"}}], "a.gif", False),
    field("D", [{"equals-ignore-case": "alice"}], "ALICE", True),
    field("D", [{"equals-ignore-case": "alice"}], "alicea", False),
    field("D", [{"equals-ignore-case": "1"}], 1, False),
    field("D", [{"prefix": "a"}, {"suffix": "z"}, "m"], "m", True),
    absent("D", [{"prefix": ""}], False),
]
WILDCARD = [
    field("D", [{"wildcard": "dir/*.png"}], "dir/sub/a.png", True),
    field("D", [{"wildcard": "dir/*.png"}], "dir/.png", True),
    field("D", [{"wildcard": "dir/*.png"}], "adir/a.png", False),
    field("D", [{"wildcard": "*"}], "", True),
    field("D", [{"wildcard": "a*b*c"}], "abbc", True),
    field("D", [{"wildcard": "a*b*c"}], "acb", False),
    field("D", [{"wildcard": "aa*aa"}], "aaa", False),
    field("D", [{"wildcard": "*b"}], "ab", True),
    field("D", [{"wildcard": "b*"}], "ab", False),
    field("D", [{"wildcard": "ab"}], "ab", True),
    field("D", [{"wildcard": "ab"}], "aab", False),
    field("D", [{"wildcard": r"a\*b"}], "a*b", True),
    field("D", [{"wildcard": r"a\*b"}], "axb", False),
    field("D", [{"wildcard": r"a\\*"}], "a\\xyz", True),
    field("D", [{"wildcard": r"a\\*"}], "a*", False),
    field("D", [{"wildcard": r"a\**"}], "a*b", True),
    field("D", [{"wildcard": "a.c"}], "abc", False),
    field("I", [{"wildcard": "a*c"}], "a\nc", True, "moto's star stops at the end of a line"),
    field("D", [{"wildcard": "1*"}], 12, False),
]
ANYTHING_BUT = [
    field("D", [{"anything-but": "initializing"}], "running", True),
    field("D", [{"anything-but": "initializing"}], "initializing", False),
    field("S", [{"anything-but": "1"}], 1, True),
    field("S", [{"anything-but": "a"}], None, True),
    field("D", [{"anything-but": 123}], 124, True),
    field("D", [{"anything-but": 123}], 123, False),
    field("S", [{"anything-but": 123}], 123.0, False),
    field("S", [{"anything-but": 123}], "123", True),
    field("S", [{"anything-but": 1}], True, True, PYTHON),
    field("D", [{"anything-but": ["stopped", "overloaded"]}], "running", True),
    field("D", [{"anything-but": ["stopped", "overloaded"]}], "overloaded", False),
    field("D", [{"anything-but": [100, 200]}], 200, False),
    field("D", [{"anything-but": [100, 200]}], 300, True),
    field("D", [{"anything-but": {"prefix": "init"}}], "initializing", False),
    field("D", [{"anything-but": {"prefix": "init"}}], "running", True),
    field("S", [{"anything-but": {"prefix": "1"}}], 12, True),
    field("D", [{"anything-but": {"prefix": ["aws.", "com."]}}], "com.example", False),
    field("D", [{"anything-but": {"suffix": ".png"}}], "a.png", False),
    field("D", [{"anything-but": {"suffix": [".png", ".gif"]}}], "a.jpg", True),
    field("D", [{"anything-but": {"equals-ignore-case": "initializing"}}], "INITIALIZING", False),
    field("D", [{"anything-but": {"equals-ignore-case": ["a", "b"]}}], "B", False),
    field("D", [{"anything-but": {"equals-ignore-case": ["a", "b"]}}], "c", True),
    field("D", [{"anything-but": {"wildcard": "*/lib/*"}}], "/usr/lib/x", False),
    field("D", [{"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}], "/usr/share/x", True),
    absent("D", [{"anything-but": "a"}], False),
]
NUMERIC = [
    field("D", [{"numeric": [">", 0, "<=", 5]}], 5, True),
    field("D", [{"numeric": [">", 0, "<=", 5]}], 0, False),
    field("D", [{"numeric": [">", 0, "<=", 5]}], 5.000001, False),
    field("D", [{"numeric": [">=", 0, "<", 5]}], 0, True),
    field("D", [{"numeric": [">=", 0, "<", 5]}], 5, False),
    field("D", [{"numeric": ["<", 10]}], 9.5, True),
    field("D", [{"numeric": ["<=", 10]}], 10.0, True),
    field("D", [{"numeric": [">", -1]}], -1, False),
    field("D", [{"numeric": ["=", 3.018e2]}], 301.8, True),
    field("D", [{"numeric": ["=", 300]}], 300.0, True),
    field("D", [{"numeric": ["=", 300]}], "300", False),
    field("D", [{"numeric": ["=", 1]}], True, False, PYTHON),
    field("D", [{"numeric": [">", 0]}], 5_000_000_000, True),
    field("D", [{"numeric": [">", 0]}], 5_000_000_001, False, RANGE),
    field("D", [{"numeric": ["<", 0]}], -5_000_000_001, False, RANGE),
    field("D", [{"numeric": [">", 3]}], [1, 4], True),
    absent("D", [{"numeric": ["=", 0]}], False),
]
EXISTS = [
    field("D", [{"exists": True}], "a", True),
    field("D", [{"exists": True}], None, True),
    absent("D", [{"exists": True}], False),
    absent("D", [{"exists": False}], True),
    field("D", [{"exists": False}], "a", False),
    field("D", [{"exists": False}], None, False),
    # Leaves only.
    field("D", [{"exists": False}], {"c1": 100}, True),
    field("D", [{"exists": True}], {"c1": 100}, False),
    field("S", [{"exists": False}], {}, True, LEAVES),
    field("S", [{"exists": True}], [], False, LEAVES),
    field("S", [{"exists": False}], [], True, LEAVES),
    field("S", [{"exists": True}], [1], True),
    field("S", [{"exists": False}, "a"], "a", True),
    field("S", [{"exists": False}, "a"], "b", False),
    absent("S", [{"exists": False}, "a"], True),
    Row("S", {"a": {"b": {"c": [{"exists": False}]}}}, {"x": 1}, True),
    Row("S", {"a": {"b": {"c": [{"exists": False}]}}}, {"a": 1}, True),
    # Somewhere in the array is in the event.
    Row("S", {"a": {"b": [{"exists": False}]}}, {"a": [{"c": 1}, {"b": 1}]}, False, ARRAYS),
    Row("S", {"a": {"b": [{"exists": False}], "c": [1]}}, {"a": [{"c": 1}]}, True, ARRAYS),
    Row("S", {"a": {"b": [{"exists": True}]}}, {"a": [{"c": 1}, {"b": 1}]}, True, ARRAYS),
]
CIDR = [
    field("D", [{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
    field("D", [{"cidr": "10.0.0.0/24"}], "10.0.1.0", False),
    field("D", [{"cidr": "10.0.0.0/24"}], "ecr.amazonaws.com", False),
    field("D", [{"cidr": "10.0.0.0/24"}], 167772161, False, "moto takes a number for an address"),
    field("S", [{"cidr": "10.0.0.9/24"}], "10.0.0.1", True, "moto wants the first address of the network"),
    field("D", [{"cidr": "2001:db8::/32"}], "2001:db8::1", True),
    field("D", [{"cidr": "2001:db8::/32"}], "10.0.0.1", False),
    field("D", [{"cidr": "0.0.0.0/0"}], "192.0.2.1", True),
]
_OR = {"detail": {"$or": [{"c": [{"numeric": [">", 0, "<=", 5]}]}, {"d": [{"numeric": ["<", 10]}], "e": ["x"]}]}}
OR = [
    Row("D", _OR, {"detail": {"c": 3}}, True),
    Row("D", _OR, {"detail": {"c": 9, "d": 9, "e": "x"}}, True),
    Row("D", _OR, {"detail": {"d": 9, "e": "y"}}, False),
    Row("D", {"a": [1], "$or": [{"b": [1]}, {"c": [1]}]}, {"b": 1}, False),
    Row("D", {"a": [1], "$or": [{"b": [1]}, {"c": [1]}]}, {"a": 1, "c": 1}, True),
    Row("D", {"$or": [{"a": [1]}, {"b": [1], "$or": [{"c": [1]}, {"d": [1]}]}]}, {"b": 1, "d": 1}, True),
    Row("D", {"$or": [{"a": [1]}, {"b": [1], "$or": [{"c": [1]}, {"d": [1]}]}]}, {"b": 1}, False),
    Row("D", {"$or": [{"a": [1]}, {"b": [1]}], "x": {"$or": [{"c": [1]}, {"d": [1]}]}}, {"b": 1, "x": {"c": 1}}, True),
    Row("D", {"$or": [{"a": [1]}, {"b": [1]}], "x": {"$or": [{"c": [1]}, {"d": [1]}]}}, {"b": 1, "x": {}}, False),
    Row("D", {"$or": [{"a": [{"exists": False}]}, {"b": [1]}]}, {"a": 1, "b": 2}, False),
    # The branches are judged whole: both fields are below the same array.
    Row("S", {"a": {"x": [1], "$or": [{"y": [1]}, {"z": [1]}]}}, {"a": [{"x": 1}, {"y": 1}]}, False),
    Row("S", {"a": {"x": [1], "$or": [{"y": [1]}, {"z": [1]}]}}, {"a": [{"x": 1, "z": 1}, {"y": 1}]}, True, ARRAYS),
    # As the name of an object it is a field.
    Row("S", {"$or": {"a": [1], "b": [2]}}, {"$or": {"a": 1, "b": 2}}, True, "moto takes it for the keyword"),
    # No element of the array is both a leaf and an object.
    Row("I", {"a": [1], "$or": [{"a": {"b": [1]}}, {"c": [1]}]}, {"a": [1, {"b": 1}]}, False),
]
WHOLE = [
    Row("D", {"source": ["aws.ec2"]}, {"source": "aws.ec2", "detail": {"state": "terminated"}}, True),
    Row("D", {"source": ["aws.ec2", "aws.fargate"]}, {"source": "aws.fargate"}, True),
    Row(
        "D", {"source": ["aws.ec2"], "detail": {"state": ["x"]}}, {"source": "aws.ec2", "detail": {"state": "y"}}, False
    ),
    Row("D", {"detail": {"state": ["x"]}}, {"state": "x"}, False),
    Row("D", {"detail": {"state": ["x"]}}, {"detail": "x"}, False),
    Row("D", {"detail": {"state": {"status": ["r"]}}}, {"detail": {"state": {"status": "r"}}}, True),
    Row("D", {"detail": {"state.status": ["r"]}}, {"detail": {"state": {"status": "r"}}}, True),
    Row("D", {"detail": {"x": [1]}, "detail.x": [2]}, {"detail": {"x": 2}}, True, "moto wants both"),
]
TABLE = EXACT + ARRAY + TEXT + WILDCARD + ANYTHING_BUT + NUMERIC + EXISTS + CIDR + OR + WHOLE


def ids(row: Row) -> str:
    return f"{row.provenance} {json.dumps(row.pattern)} {json.dumps(row.event)}"


every_row = pytest.mark.parametrize("row", TABLE, ids=ids)


@every_row
def test_what_matches(row: Row):
    assert compiled(row.pattern).matches(row.event) is row.matches


@every_row
def test_moto_says_the_same_where_no_reason_is_given(row: Row):
    theirs = EventPattern(None, row.pattern).matches_event(row.event)
    assert (theirs is not row.matches) is bool(row.moto)


# --- patterns that are refused ----------------------------------------------------------------------------------------

#: (pattern, what the reason begins with, where)
REFUSED: list[tuple[Any, str, str]] = [
    ([], "Filter is not an object", ""),
    ("x", "Filter is not an object", ""),
    ({}, "Empty objects are not allowed", ""),
    ({"detail": {}}, "Empty objects are not allowed", "detail"),
    ({"detail": {"x": []}}, "Empty arrays are not allowed", "detail.x"),
    ({"detail": {"x": "a"}}, '"x" must be an object or an array', "detail.x"),
    ({"source": None}, '"source" must be an object or an array', "source"),
    ({"x": ["a", ["b"]]}, "Match value must be String, number, true, false, or null", "x[1]"),
    ({"x": [{}]}, "Match expression name not found", "x[0]"),
    ({"x": [{"prefix": "a", "suffix": "b"}]}, "Only one key allowed in match expression", "x[0]"),
    ({"x": ["a", {"contains": "b"}]}, "Unrecognized match type contains", "x[1]"),
    ({"x": [{"prefix": 1}]}, "prefix match pattern must be a string", "x[0].prefix"),
    ({"x": [{"prefix": ["a"]}]}, "prefix match pattern must be a string", "x[0].prefix"),
    ({"x": [{"prefix": {"wildcard": "a"}}]}, "Unsupported prefix pattern: wildcard", "x[0].prefix"),
    (
        {"x": [{"prefix": {"equals-ignore-case": 1}}]},
        "equals-ignore-case match pattern must",
        "x[0].prefix.equals-ignore-case",
    ),
    ({"x": [{"prefix": {}}]}, "Match expression name not found", "x[0].prefix"),
    ({"x": [{"suffix": None}]}, "suffix match pattern must be a string", "x[0].suffix"),
    (
        {"x": [{"equals-ignore-case": ["a"]}]},
        "equals-ignore-case match pattern must be a string",
        "x[0].equals-ignore-case",
    ),
    ({"x": [{"wildcard": 1}]}, "wildcard match pattern must be a string", "x[0].wildcard"),
    ({"x": [{"wildcard": "a**b"}]}, "Consecutive wildcard characters are not allowed", "x[0].wildcard"),
    ({"x": [{"wildcard": r"a\b"}]}, "Invalid escape character", "x[0].wildcard"),
    ({"x": [{"wildcard": "a\\"}]}, "Invalid escape character", "x[0].wildcard"),
    ({"x": [{"exists": "true"}]}, "exists match pattern must be either true or false", "x[0].exists"),
    ({"x": [{"exists": 0}]}, "exists match pattern must be either true or false", "x[0].exists"),
    ({"x": [{"cidr": "10.0.0.0"}]}, "Malformed CIDR: 10.0.0.0", "x[0].cidr"),
    ({"x": [{"cidr": "10.0.0.0/33"}]}, "Malformed CIDR: 10.0.0.0/33", "x[0].cidr"),
    ({"x": [{"cidr": 10}]}, "cidr match pattern must be a string", "x[0].cidr"),
    ({"x": [{"anything-but": []}]}, "Inside anything but list", "x[0].anything-but"),
    ({"x": [{"anything-but": [1, "a"]}]}, "Inside anything but list", "x[0].anything-but"),
    ({"x": [{"anything-but": [None]}]}, "Inside anything but list", "x[0].anything-but"),
    ({"x": [{"anything-but": True}]}, "Inside anything but list", "x[0].anything-but"),
    ({"x": [{"anything-but": [{"prefix": "a"}]}]}, "Inside anything but list", "x[0].anything-but"),
    (
        {"x": [{"anything-but": {"numeric": ["=", 1]}}]},
        "Unsupported anything-but pattern: numeric",
        "x[0].anything-but",
    ),
    ({"x": [{"anything-but": {"prefix": ""}}]}, "Null prefix/suffix not allowed", "x[0].anything-but.prefix"),
    ({"x": [{"anything-but": {"suffix": ["a", ""]}}]}, "Null prefix/suffix not allowed", "x[0].anything-but.suffix"),
    ({"x": [{"anything-but": {"wildcard": []}}]}, "Empty arrays are not allowed", "x[0].anything-but.wildcard"),
    ({"x": [{"anything-but": {"prefix": [1]}}]}, "prefix match pattern must be a string", "x[0].anything-but.prefix"),
    ({"x": [{"anything-but": {"wildcard": "**"}}]}, "Consecutive wildcard", "x[0].anything-but.wildcard"),
    ({"x": [{"anything-but": 6e9}]}, "Value must be between -5.0E9 and 5.0E9", "x[0].anything-but"),
    ({"x": [{"numeric": 5}]}, "Value of numeric must be an array", "x[0].numeric"),
    ({"x": [{"numeric": []}]}, "Value of numeric must be pairs", "x[0].numeric"),
    ({"x": [{"numeric": [">"]}]}, "Value of numeric must be pairs", "x[0].numeric"),
    ({"x": [{"numeric": ["!=", 5]}]}, "Unrecognized numeric range operator: !=", "x[0].numeric"),
    ({"x": [{"numeric": [5, ">"]}]}, "Unrecognized numeric range operator: 5", "x[0].numeric"),
    ({"x": [{"numeric": ["=", "5"]}]}, "Value of a comparison must be numeric", "x[0].numeric"),
    ({"x": [{"numeric": ["=", True]}]}, "Value of a comparison must be numeric", "x[0].numeric"),
    ({"x": [{"numeric": ["=", -5_000_000_001]}]}, "Value must be between -5.0E9 and 5.0E9", "x[0].numeric"),
    ({"x": [{"numeric": ["=", 5_000_000_001]}]}, "Value must be between -5.0E9 and 5.0E9", "x[0].numeric"),
    ({"x": [{"numeric": ["=", float("nan")]}]}, "Value must be between -5.0E9 and 5.0E9", "x[0].numeric"),
    ({"x": [{"numeric": ["<", 5, ">", 1]}]}, "Too many elements in numeric expression", "x[0].numeric"),
    ({"x": [{"numeric": ["=", 5, "<", 6]}]}, "Too many elements in numeric expression", "x[0].numeric"),
    ({"x": [{"numeric": [">", 1, "<", 5, "<", 6]}]}, "Too many elements in numeric expression", "x[0].numeric"),
    ({"x": [{"numeric": [">", 1, ">", 5]}]}, "Bad numeric range operator: >", "x[0].numeric"),
    ({"x": [{"numeric": [">", 5, "<", 5]}]}, "Bottom must be less than top", "x[0].numeric"),
    ({"$or": [{"a": [1]}]}, "There must have at least 2 Objects", "$or"),
    ({"detail": {"$or": []}}, "There must have at least 2 Objects", "detail.$or"),
    ({"$or": [{"a": [1]}, "b"]}, "Only JSON object is allowed in array of $or", "$or[1]"),
    ({"$or": [{"a": [1]}, {}]}, "Empty objects are not allowed", ""),
    (
        {"a": {"$or": [{"numeric": ["=", 1]}, {"b": [1]}]}},
        '"numeric" cannot be the name of a field inside $or',
        "a.numeric",
    ),
]


@pytest.mark.parametrize(("pattern", "reason", "place"), REFUSED, ids=lambda each: str(each)[:60])
def test_a_bad_pattern_is_refused_with_the_place(pattern, reason, place):
    with pytest.raises(PatternError) as caught:
        compiled(pattern)
    text = str(caught.value)
    assert text.startswith(f"Event pattern is not valid. Reason: {reason}")
    assert re.search(r" at (\S+)$", text) is None if not place else text.endswith(f" at {place}")


def test_moto_refuses_no_pattern_that_is_valid():
    parsed = [EventPatternParser(json.dumps(row.pattern)).parse() for row in TABLE]
    assert all(isinstance(each, dict) for each in parsed)


@pytest.mark.parametrize("pattern", [{"x": []}, {"x": "a"}, {"d": {"x": []}}])
def test_moto_refuses_these_too(pattern):
    with pytest.raises(PatternError):
        compiled(pattern)
    with pytest.raises(InvalidEventPatternException):
        EventPatternParser(json.dumps(pattern)).parse()


def test_a_pattern_is_no_bomb():
    alternatives = [{"a": [1]}, {"b": [1]}]
    ten = {f"x{n}": {"$or": alternatives} for n in range(10)}
    with pytest.raises(PatternError, match=r"more than 1000 combinations at x9\.\$or"):
        compiled(ten)
    del ten["x9"]
    assert not compiled(ten).matches({"x0": {"a": 1}})


def test_a_pattern_that_is_nested_too_deeply_is_refused():
    pattern: dict[str, Any] = {"x": [1]}
    for _ in range(100_000):
        pattern = {"x": pattern}
    with pytest.raises(PatternError, match="nested too deeply"):
        compiled(pattern)


# --- properties -------------------------------------------------------------------------------------------------------

pieces = st.text(alphabet="ab*\\.", max_size=4)


@settings(max_examples=300)
@given(st.lists(pieces, min_size=1, max_size=4), st.text(alphabet="ab*\\.", max_size=12))
def test_a_wildcard_is_the_regular_expression_that_it_looks_like(literals, text):
    inner = [piece for piece in literals[1:-1] if piece]
    parts = [literals[0], *inner, *literals[-1:]] if len(literals) > 1 else literals
    pattern = "*".join(re.sub(r"([*\\])", r"\\\1", part) for part in parts)
    expression = ".*".join(re.escape(part) for part in parts)
    found = compiled({"x": [{"wildcard": pattern}]}).matches({"x": text})
    assert found is (re.fullmatch(expression, text, re.DOTALL) is not None)


leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", 1.0])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
)
events = st.dictionaries(st.sampled_from("xyz"), values, max_size=3)


def leaf_paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, list):
        for each in value:
            yield from leaf_paths(each, path)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from leaf_paths(each, (*path, name))
    else:
        yield path, value


@given(events)
def test_every_leaf_is_found_where_it_is(event):
    paths = dict(leaf_paths(event))
    for path, value in paths.items():
        for values_, expected in (([value], True), ([{"exists": True}], True), ([{"exists": False}], False)):
            assert compiled({".".join(path): values_}).matches(event) is expected


@given(events, st.lists(st.sampled_from("xyz"), min_size=1, max_size=3))
def test_absence_is_the_contrary_of_existence(event, path):
    name = ".".join(path)
    there, away = (compiled({name: [{"exists": exists}]}).matches(event) for exists in (True, False))
    assert there is not away


@given(events, st.lists(leaves, min_size=1, max_size=3), st.lists(leaves, min_size=1, max_size=3))
def test_or_is_one_pattern_or_the_other(event, some, others):
    either = compiled({"$or": [{"x": some}, {"y": others}]}).matches(event)
    assert either is (compiled({"x": some}).matches(event) or compiled({"y": others}).matches(event))


# --- what people write ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ({"source": ["aws.ecr"], "detail": {"action-type": ["PUSH"]}}, {"push", "push-with-media-types"}),
        ({"detail": {"action-type": ["DELETE"], "image-tag": [{"exists": False}]}}, {"delete-untagged"}),
        (
            {"detail-type": [{"wildcard": "ECR * Action"}], "detail": {"repository-name": ["sbom"]}},
            {"restore-referrer"},
        ),
        (
            {"source": [{"anything-but": "aws.ecr"}]},
            {"record-public-create-repository", "layer-damaged", "inspector-scan", "inspector-finding"},
        ),
        ({"detail": {"target-storage-class": ["ARCHIVE"]}}, {"archive"}),
        ({"detail": {"last-activated-at": [{"prefix": "2025-"}]}}, {"restore", "restore-referrer"}),
        ({"detail": {"eventName": ["DryRunEvent"]}}, {"record-dry-run"}),
        (
            {
                "detail": {
                    "serviceEventDetails": {
                        "lifecycleEventImageActions": {"lifecycleEventImage": {"tagList": [{"prefix": "cent"}]}}
                    }
                }
            },
            {"record-policy-execution"},
        ),
        ({"detail": {"sourceIPAddress": [{"cidr": "203.0.113.64/26"}]}}, {"record-public-create-repository"}),
        (
            {"$or": [{"detail-type": [{"prefix": "ECR Ref"}]}, {"detail": {"userAgent": ["ecr.amazonaws.com"]}}]},
            {"restore-referrer", "record-registry-pull"},
        ),
    ],
    ids=lambda each: str(sorted(each) if isinstance(each, set) else each)[:70],
)
def test_a_rule_chooses_among_the_samples(pattern, names):
    rule = compiled(pattern)
    assert {each.name for each in SAMPLES if rule.matches(envelope(each.event))} == names


def test_a_pattern_is_compiled_once_and_used_again():
    pushed = compiled({"detail": {"action-type": ["PUSH"]}})
    for _ in range(2):
        assert pushed.matches(envelope(sample("push").event))
        assert not pushed.matches(envelope(sample("delete").event))
