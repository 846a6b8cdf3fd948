"""Conditions of policy statements: every operator of IAM, with its set operators and `IfExists`. Pure.

A context is a mapping from condition keys in lower case to the values that the request has for them. A key that is not
there, or has no values, is missing: that makes a condition false, a negated one true (documented).
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from ecrsim.iam.wildcards import Pattern, arn_matches, literally, matches

Context = Mapping[str, Sequence[str]]
#: Does the request's value fit the policy's? ValueError when the request's value is none of the operator's kind.
Test = Callable[[str, Pattern], bool]

_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d))?)?)?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=1024)
def _number(text: str) -> Decimal:
    """An integer or a decimal. `float` would take `nan`, `1_000` and `1e9` as well."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text} is not a number")
    return Decimal(text)


@lru_cache(maxsize=1024)
def _date(text: str) -> Decimal:
    """Seconds since the epoch, given as such or as one of the W3C's forms of ISO 8601 (documented).

    Digits alone are always seconds, never a year; a time without a zone is UTC (both inferred).
    """
    if _NUMBER.fullmatch(text) is not None:
        return Decimal(text)
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not a date")
    part = {name: value or "0" for name, value in match.groupdict().items()}
    moment = datetime.datetime(
        int(part["year"]),
        int(part["month"]),
        int(match["day"] or 1),
        int(part["hour"]),
        int(part["minute"]),
        int(part["second"]),
        tzinfo=datetime.UTC,
    )
    ahead = int(part["hours"]) * 3600 + int(part["minutes"]) * 60
    seconds = int((moment - _EPOCH).total_seconds()) - (-ahead if part["sign"] == "-" else ahead)
    return Decimal(seconds) + Decimal(f"0.{part['fraction']}")


@lru_cache(maxsize=1024)
def _network(text: str) -> _Network:
    """CIDR, or one address (documented); a net mask after the slash is neither."""
    if not text.rpartition("/")[2].isdecimal() and "/" in text:
        raise ValueError(f"{text} is not a range of addresses")
    return ipaddress.ip_network(text, strict=False)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """IPv4 on a socket for both families looks like `::ffff:192.0.2.1`; a policy that says 192.0.2.0/24 means it."""
    address = ipaddress.ip_address(text)
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def _in_network(value: str, wanted: Pattern) -> bool:
    return _address(value) in _network(literally(wanted))  # of two families none is in the other


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text} is neither true nor false")
    return text.lower() == "true"


def _compared(read: Callable[[str], Decimal], fits: Callable[[Decimal, Decimal], bool]) -> Test:
    return lambda value, wanted: fits(read(value), read(literally(wanted)))


class _Operator(NamedTuple):
    """`reader` refuses policy values of another kind than the operator's; without one, variables may stand in them."""

    test: Test
    negated: bool
    reader: Callable[[str], object] | None


_OPERATORS: dict[str, _Operator] = {}


def _declare(name: str, test: Test, negation: str | None, reader: Callable[[str], object] | None = None) -> None:
    _OPERATORS[name.lower()] = _Operator(test, negated=False, reader=reader)
    if negation is not None:
        _OPERATORS[negation.lower()] = _Operator(test, negated=True, reader=reader)


_declare("StringEquals", lambda value, wanted: value == literally(wanted), "StringNotEquals")
_declare(
    "StringEqualsIgnoreCase",
    lambda value, wanted: value.lower() == literally(wanted).lower(),
    "StringNotEqualsIgnoreCase",
)
_declare("StringLike", lambda value, wanted: matches(wanted, value), "StringNotLike")
_declare("ArnEquals", lambda value, wanted: arn_matches(wanted, value), "ArnNotEquals")
_declare("ArnLike", lambda value, wanted: arn_matches(wanted, value), "ArnNotLike")
_declare("Bool", lambda value, wanted: _truth(value) is _truth(literally(wanted)), None, _truth)
_declare("IpAddress", _in_network, "NotIpAddress", _network)
_declare("BinaryEquals", lambda value, wanted: _bytes(value) == _bytes(literally(wanted)), None, _bytes)
for _family, _reader in (("Numeric", _number), ("Date", _date)):
    _declare(f"{_family}Equals", _compared(_reader, operator.eq), f"{_family}NotEquals", _reader)
    _declare(f"{_family}LessThan", _compared(_reader, operator.lt), None, _reader)
    _declare(f"{_family}LessThanEquals", _compared(_reader, operator.le), None, _reader)
    _declare(f"{_family}GreaterThan", _compared(_reader, operator.gt), None, _reader)
    _declare(f"{_family}GreaterThanEquals", _compared(_reader, operator.ge), None, _reader)

_NAME = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


class Condition(NamedTuple):
    """One key under one operator. `quantifier` is `forallvalues`, `foranyvalue` or empty; all names in lower case.

    `has_variables`: does `${…}` in the values stand for something? Only in policies of version 2012-10-17 (documented).
    """

    quantifier: str
    operator: str
    if_exists: bool
    key: str
    values: tuple[str, ...]
    has_variables: bool

    @classmethod
    def of(cls, name: str, key: str, values: Sequence[str], *, has_variables: bool) -> Condition:
        """ValueError when the operator does not exist, cannot read the values, or the key is none (`service:name`)."""
        match = _NAME.fullmatch(name)
        quantifier, plain, if_exists = (match[1] or "", match[2], match[3] is not None) if match else ("", "", False)
        plain = plain.lower()
        if plain == "null":
            if quantifier or if_exists:
                raise ValueError("Null stands alone, without IfExists and set operators")
        elif plain not in _OPERATORS:
            raise ValueError(f"there is no condition operator {name}")
        prefix, colon, rest = key.partition(":")
        if not (prefix and colon and rest):
            raise ValueError(f"{key} is not a condition key: service:name")
        reader = _truth if plain == "null" else _OPERATORS[plain].reader
        for value in values:
            try:
                if reader is not None:
                    reader(value)
            except ValueError:
                raise ValueError(f"{name} cannot read {value!r}") from None
        return cls(quantifier.lower(), plain, if_exists, key.lower(), tuple(values), has_variables)

    def holds(self, context: Context) -> bool:
        """Several values of the policy are alternatives; under a negated operator none of them may fit (documented)."""
        given: Sequence[str] = context.get(self.key, ())
        if self.operator == "null":
            return any(_truth(value) is (not given) for value in self.values)
        test, negated, _ = _OPERATORS[self.operator]
        if self.quantifier:
            given = [value for value in given if value]  # an empty text makes an empty set (documented)
        if not given:
            return self._holds_without(negated)
        wanted = [substituted(value, context) if self.has_variables else value for value in self.values]
        known = [pattern for pattern in wanted if pattern is not None]
        if negated and len(known) < len(wanted):
            return False  # a variable without a value makes the statement invalid (documented), it does not widen it
        fitting = [_fits(test, value, known) is not negated for value in given]
        # Several values without a set operator are not defined by the documents; here all of them have to fit.
        return any(fitting) if self.quantifier == "foranyvalue" else all(fitting)

    def _holds_without(self, negated: bool) -> bool:
        """With an empty set all values fit and none does, whatever `IfExists` says (documented; observed by others)."""
        if self.quantifier:
            return self.quantifier == "forallvalues"
        return negated or self.if_exists


def _fits(test: Test, value: str, wanted: Sequence[Pattern]) -> bool:
    try:
        return any(test(value, pattern) for pattern in wanted)
    except ValueError:  # the policy's values were read when it was stored, so it is the request's: it fits nothing
        return False


def substituted(text: str, context: Context) -> Pattern | None:
    """The text with its policy variables put in; None when one has no value and no default.

    What is put in is literal: `${*}`, `${?}` and `${$}` are those characters themselves (documented), and a star in
    somebody's tag is no wildcard (inferred). A key with several values cannot be a variable (documented).
    """
    if "${" not in text:
        return text
    pieces: list[tuple[str, bool]] = []
    position = 0
    for match in _VARIABLE.finditer(text):
        value = _value_of(match[1], context)
        if value is None:
            return None
        pieces += ((text[position : match.start()], False), (value, True))
        position = match.end()
    return (*pieces, (text[position:], False))


def _value_of(variable: str, context: Context) -> str | None:
    name, comma, default = (part.strip() for part in variable.partition(","))
    if variable in ("*", "?", "$"):
        return variable
    values = context.get(name.lower(), ())
    if len(values) == 1:
        return values[0]
    quoted = len(default) >= 2 and default[0] == default[-1] == "'"
    return default[1:-1] if comma and quoted and not values else None
