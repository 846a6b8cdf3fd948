"""Condition operators one by one: what fits, what is missing, what cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.iam.conditions import Condition, substituted
from ecrsim.iam.wildcards import literally

#: (operator, the policy's values, the request's value, does it hold).
CASES = [
    ("StringEquals", ["blue"], "blue", True),
    ("StringEquals", ["blue"], "Blue", False),
    ("StringEquals", ["red", "blue"], "blue", True),
    ("StringEquals", ["b*"], "blue", False),
    ("StringEquals", [""], "", True),
    ("StringEquals", [], "blue", False),
    ("StringNotEquals", ["blue"], "red", True),
    ("StringNotEquals", ["red", "blue"], "red", False),
    ("StringNotEquals", [], "blue", True),
    ("StringEqualsIgnoreCase", ["BLUE"], "blue", True),
    ("StringNotEqualsIgnoreCase", ["BLUE"], "blue", False),
    ("StringLike", ["b?u*"], "blue", True),
    ("StringLike", ["b?u*"], "Blue", False),
    ("StringLike", ["*"], "", True),
    ("StringNotLike", ["b*"], "red", True),
    ("StringNotLike", ["b*", "r*"], "red", False),
    ("NumericEquals", ["10"], "10.0", True),
    ("NumericEquals", ["10"], "11", False),
    ("NumericNotEquals", ["10"], "11", True),
    ("NumericLessThan", ["10"], "9", True),
    ("NumericLessThan", ["10"], "10", False),
    ("NumericLessThanEquals", ["10"], "10", True),
    ("NumericGreaterThan", ["-1.5"], "-1", True),
    ("NumericGreaterThanEquals", ["0.1"], "0.10", True),
    ("NumericEquals", ["12345678901234567890123"], "12345678901234567890124", False),
    ("NumericEquals", ["10"], "ten", False),
    ("NumericNotEquals", ["10"], "ten", True),
    ("NumericLessThan", ["10"], "nan", False),
    ("DateEquals", ["2026-07-01"], "2026-07-01T00:00:00Z", True),
    ("DateEquals", ["2026-07"], "2026-07-01T00:00:00Z", True),
    ("DateEquals", ["2026-07-01T00:00Z"], "2026-07-01T00:00:00.000Z", True),
    ("DateEquals", ["2026-07-01T02:00:00+02:00"], "2026-07-01T00:00:00Z", True),
    ("DateEquals", ["2026-06-30T19:00:00-05:00"], "2026-07-01T00:00:00Z", True),
    ("DateEquals", ["1782864000"], "2026-07-01T00:00:00Z", True),
    ("DateEquals", ["2026"], "1970-01-01T00:33:46Z", True),
    ("DateNotEquals", ["2026-07-01"], "2026-07-02T00:00:00Z", True),
    ("DateLessThan", ["2026-07-01T00:00:00.5Z"], "2026-07-01T00:00:00.499Z", True),
    ("DateLessThanEquals", ["2026-07-01"], "2026-07-01T00:00:01Z", False),
    ("DateGreaterThan", ["1969-12-31T23:59:59Z"], "0", True),
    ("DateGreaterThanEquals", ["2026-07-01"], "2026-07-01T00:00:00Z", True),
    ("DateEquals", ["2026-07-01"], "yesterday", False),
    ("Bool", ["true"], "true", True),
    ("Bool", ["TRUE"], "true", True),
    ("Bool", ["false"], "true", False),
    ("Bool", ["false"], "no", False),
    ("IpAddress", ["203.0.113.0/24"], "203.0.113.255", True),
    ("IpAddress", ["203.0.113.0/24"], "203.0.114.0", False),
    ("IpAddress", ["203.0.113.9/24"], "203.0.113.1", True),
    ("IpAddress", ["203.0.113.1"], "203.0.113.1", True),
    ("IpAddress", ["203.0.113.1"], "203.0.113.2", False),
    ("IpAddress", ["0.0.0.0/0"], "2001:db8::1", False),
    ("IpAddress", ["2001:DB8:1234:5678::/64"], "2001:db8:1234:5678::1", True),
    ("IpAddress", ["2001:db8::1"], "2001:db8::2", False),
    ("IpAddress", ["127.0.0.0/8"], "::ffff:127.0.0.1", True),
    ("IpAddress", ["10.0.0.0/8"], "unknown", False),
    ("NotIpAddress", ["10.0.0.0/8"], "192.0.2.1", True),
    ("NotIpAddress", ["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.1", False),
    ("ArnEquals", ["arn:aws:iam::*:role/*"], "arn:aws:iam::111122223333:role/a", True),
    ("ArnLike", ["arn:aws:iam::111122223333:role/?"], "arn:aws:iam::111122223333:role/a", True),
    ("ArnLike", ["arn:aws:iam::111122223333:role/?"], "role/a", False),
    ("ArnNotEquals", ["arn:aws:iam::111122223333:role/b"], "arn:aws:iam::111122223333:role/a", True),
    ("ArnNotLike", ["arn:aws:iam::*:role/*"], "arn:aws:iam::111122223333:role/a", False),
    ("BinaryEquals", ["QmluYXJ5"], "QmluYXJ5", True),
    ("BinaryEquals", ["QmluYXJ5"], "QmluYXJ6", False),
    ("BinaryEquals", ["QmluYXJ5"], "?", False),
    ("stringequals", ["blue"], "blue", True),
]


def condition(operator: str, values: list[str], key: str = "aws:Key", *, has_variables: bool = True) -> Condition:
    return Condition.of(operator, key, values, has_variables=has_variables)


@pytest.mark.parametrize(("operator", "values", "given_", "expected"), CASES)
def test_one_value(operator: str, values: list[str], given_: str, expected: bool):
    assert condition(operator, values).holds({"aws:key": [given_]}) is expected


NEGATED = {"StringNotEquals": "a", "StringNotEqualsIgnoreCase": "a", "StringNotLike": "a", "NumericNotEquals": "1",
           "DateNotEquals": "1", "NotIpAddress": "10.0.0.0/8", "ArnNotEquals": "*", "ArnNotLike": "*"}  # fmt: skip
POSITIVE = {"StringEquals": "a", "StringEqualsIgnoreCase": "a", "StringLike": "*", "NumericEquals": "1",
            "NumericLessThan": "1", "NumericLessThanEquals": "1", "NumericGreaterThan": "1",
            "NumericGreaterThanEquals": "1", "DateEquals": "1", "DateLessThan": "1", "DateLessThanEquals": "1",
            "DateGreaterThan": "1", "DateGreaterThanEquals": "1", "Bool": "true", "IpAddress": "0.0.0.0/0",
            "ArnEquals": "*", "ArnLike": "*", "BinaryEquals": "QQ=="}  # fmt: skip
MISSING = [{}, {"aws:key": []}, {"aws:other": ["a"]}]


@pytest.mark.parametrize("context", MISSING)
@pytest.mark.parametrize(("operator", "value"), POSITIVE.items())
def test_a_missing_key_does_not_fit(operator: str, value: str, context: dict[str, list[str]]):
    assert not condition(operator, [value]).holds(context)
    assert condition(f"{operator}IfExists", [value]).holds(context)
    assert condition(f"ForAllValues:{operator}", [value]).holds(context)
    assert not condition(f"ForAnyValue:{operator}", [value]).holds(context)
    assert condition(f"ForAllValues:{operator}IfExists", [value]).holds(context)
    assert not condition(f"ForAnyValue:{operator}IfExists", [value]).holds(context)


@pytest.mark.parametrize("context", MISSING)
@pytest.mark.parametrize(("operator", "value"), NEGATED.items())
def test_a_missing_key_is_not_what_it_should_not_be(operator: str, value: str, context: dict[str, list[str]]):
    assert condition(operator, [value]).holds(context)
    assert condition(f"{operator}IfExists", [value]).holds(context)
    assert condition(f"ForAllValues:{operator}", [value]).holds(context)
    assert not condition(f"ForAnyValue:{operator}", [value]).holds(context)


#: (operator, the request's values, does it hold for the policy's values team and env).
SETS = [
    ("ForAllValues:StringEquals", ["team"], True),
    ("ForAllValues:StringEquals", ["team", "env"], True),
    ("ForAllValues:StringEquals", ["team", "cost"], False),
    ("ForAllValues:StringEquals", [""], True),
    ("ForAllValues:StringNotEquals", ["cost", "size"], True),
    ("ForAllValues:StringNotEquals", ["cost", "team"], False),
    ("ForAnyValue:StringEquals", ["cost", "env"], True),
    ("ForAnyValue:StringEquals", ["cost"], False),
    ("ForAnyValue:StringEquals", [""], False),
    ("ForAnyValue:StringNotEquals", ["team", "cost"], True),
    ("ForAnyValue:StringNotEquals", ["team", "env"], False),
    ("StringEquals", ["team", "env"], True),
    ("StringEquals", ["team", "cost"], False),
    ("StringNotEquals", ["cost", "team"], False),
]


@pytest.mark.parametrize(("operator", "values", "expected"), SETS)
def test_several_values(operator: str, values: list[str], expected: bool):
    assert condition(operator, ["team", "env"]).holds({"aws:key": values}) is expected


@pytest.mark.parametrize(
    ("values", "context", "expected"),
    [
        (["true"], {}, True),
        (["true"], {"aws:key": ["a"]}, False),
        (["false"], {"aws:key": ["a"]}, True),
        (["false"], {}, False),
        (["FALSE"], {"aws:key": [""]}, True),
        (["true", "false"], {}, True),
        (["true"], {"aws:key": []}, True),
    ],
)
def test_null_asks_whether_the_key_is_there(values: list[str], context: dict[str, list[str]], expected: bool):
    assert condition("Null", values).holds(context) is expected


def test_keys_are_read_in_any_case():
    assert condition("StringEquals", ["a"], "AWS:PrincipalTag/Team").holds({"aws:principaltag/team": ["a"]})


@pytest.mark.parametrize(
    ("operator", "key", "values", "complaint"),
    [
        ("StringIs", "aws:Key", ["a"], "there is no condition operator StringIs"),
        ("", "aws:Key", ["a"], "there is no condition operator"),
        ("ForSomeValues:StringEquals", "aws:Key", ["a"], "there is no condition operator"),
        ("IfExists", "aws:Key", ["a"], "there is no condition operator IfExists"),
        ("StringEquals ", "aws:Key", ["a"], "there is no condition operator"),
        ("NullIfExists", "aws:Key", ["true"], "Null stands alone"),
        ("ForAllValues:Null", "aws:Key", ["true"], "Null stands alone"),
        ("Null", "aws:Key", ["yes"], "Null cannot read 'yes'"),
        ("Bool", "aws:Key", ["${aws:SecureTransport}"], "Bool cannot read"),
        ("NumericEquals", "aws:Key", ["ten"], "NumericEquals cannot read 'ten'"),
        ("NumericEquals", "aws:Key", ["nan"], "cannot read"),
        ("NumericEquals", "aws:Key", ["1_0"], "cannot read"),
        ("NumericEquals", "aws:Key", ["1", "${aws:EpochTime}"], "cannot read"),
        ("DateEquals", "aws:Key", ["2026-13-01"], "cannot read"),
        ("DateEquals", "aws:Key", ["2026-02-30"], "cannot read"),
        ("DateEquals", "aws:Key", ["20260701T000000Z"], "cannot read"),
        ("DateEquals", "aws:Key", ["2026-07-01 00:00:00"], "cannot read"),
        ("DateEquals", "aws:Key", ["2026-07-01T00:00:00+25:00"], "cannot read"),
        ("DateEquals", "aws:Key", ["*"], "cannot read"),
        ("IpAddress", "aws:Key", ["10.0.0.0/33"], "cannot read"),
        ("IpAddress", "aws:Key", ["10.0.0.0/255.0.0.0"], "cannot read"),
        ("IpAddress", "aws:Key", ["10.0.0.*"], "cannot read"),
        ("IpAddress", "aws:Key", ["10.0.0.0/"], "cannot read"),
        ("BinaryEquals", "aws:Key", ["?"], "cannot read"),
        ("StringEquals", "team", ["a"], "team is not a condition key"),
        ("StringEquals", "aws:", ["a"], "is not a condition key"),
        ("StringEquals", ":x", ["a"], "is not a condition key"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(operator: str, key: str, values: list[str], complaint: str):
    with pytest.raises(ValueError, match=complaint.replace("$", r"\$")):
        condition(operator, values, key)


CONTEXT = {"aws:username": ["ann"], "aws:tagkeys": ["a", "b"], "aws:principaltag/x": ["*"], "aws:empty": [""]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("home/${aws:username}/*", "home/ann/*"),
        ("${AWS:UserName}", "ann"),
        ("${ aws:username }", "ann"),
        ("${aws:username, 'nobody'}", "ann"),
        ("${aws:userid, 'nobody'}", "nobody"),
        ("${aws:userid,'nobody'}", "nobody"),
        ("${aws:userid, ''}", ""),
        ("${aws:userid, 'a, b'}", "a, b"),
        ("${aws:empty}", ""),
        ("${aws:empty, 'x'}", ""),
        ("${aws:userid}", None),
        ("${aws:userid, nobody}", None),
        ("${aws:tagkeys}", None),
        ("${aws:tagkeys, 'x'}", None),
        ("${}", None),
        ("a${*}b${?}c${$}d", "a*b?c$d"),
        ("${$}{aws:username}", "${aws:username}"),
        ("${aws:username", "${aws:username"),
        ("$aws:username", "$aws:username"),
    ],
)
def test_variables(text: str, expected: str | None):
    found = substituted(text, CONTEXT)
    assert (None if found is None else literally(found)) == expected


@pytest.mark.parametrize(
    ("values", "given_", "expected"),
    [
        (["a${*}"], "a*", True),
        (["a${*}"], "ab", False),
        (["a${?}*"], "a?b", True),
        (["a${?}*"], "abb", False),
        (["${aws:PrincipalTag/x}b"], "*b", True),
        (["${aws:PrincipalTag/x}b"], "ab", False),
        (["${aws:username}*"], "annabel", True),
    ],
)
def test_what_a_variable_stands_for_is_literal(values: list[str], given_: str, expected: bool):
    assert condition("StringLike", values).holds(CONTEXT | {"aws:key": [given_]}) is expected
    assert condition("StringNotLike", values).holds(CONTEXT | {"aws:key": [given_]}) is not expected


def test_without_variables_the_text_stands_for_itself():
    plain = condition("StringEquals", ["${aws:username}"], has_variables=False)
    assert plain.holds(CONTEXT | {"aws:key": ["${aws:username}"]})
    assert not plain.holds(CONTEXT | {"aws:key": ["ann"]})


def test_a_variable_without_a_value_fits_nothing_and_negates_nothing():
    assert not condition("StringEquals", ["${aws:userid}"]).holds({"aws:key": ["x"]})
    assert condition("StringEquals", ["${aws:userid}", "x"]).holds({"aws:key": ["x"]})
    assert not condition("StringNotEquals", ["${aws:userid}"]).holds({"aws:key": ["x"]})
    assert not condition("StringNotEquals", ["${aws:userid}", "y"]).holds({"aws:key": ["x"]})


texts = st.text("ab*?", max_size=4)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.sampled_from(["StringEquals", "StringLike", "StringEqualsIgnoreCase"]), st.lists(texts, max_size=3), texts)
def test_a_negated_operator_is_the_opposite(operator: str, values: list[str], value: str):
    context = {"aws:key": [value]}
    assert condition(operator, values).holds(context) is not condition(
        operator.replace("String", "StringNot"), values
    ).holds(context)
