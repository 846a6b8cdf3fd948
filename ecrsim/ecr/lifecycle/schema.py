"""Violations of the JSON schema of lifecycle policies, in the words of the library that ECR uses. Pure.

The library is the Java json-schema-validator (fge); its message templates are the ones below (documented), and ECR
answers with all findings, a line each, the last line ended too (recorded). Two things surprise. A member of a wrong
type or value is reported by itself, but what is wrong with the combination of `countType` and `countUnit`, or with
that of an action's members, is only "failed to match exactly one schema" (recorded: 4 alternatives for a selection, 2
for an action). And a member that is null is there: it has the type null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_RULES = 50
COUNT_TYPES = ("imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")
ACTIONS = ("expire", "transition")

_MISSING = "object has missing required properties ({names})"
_UNKNOWN = "object instance has properties which are not allowed by the schema: {names}"
_TYPE = "instance type ({found}) does not match any allowed primitive type (allowed: {allowed})"
_ENUM = "instance value ({found}) not found in enum (possible values: {allowed})"
_ONE_OF = "instance failed to match exactly one schema (matched 0 out of {alternatives})"
_MINIMUM = "numeric instance is lower than the required minimum (minimum: 1, found: {found})"
_TOO_SHORT = "array is too short: must have at least 1 elements but instance has 0 elements"
_TOO_LONG = "array is too long: must have at most {limit} elements but instance has {found} elements"

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_Check = Callable[[Any], Iterator[str]]


def findings(document: Mapping[str, Any]) -> list[str]:
    """Every finding, in the order of the schema's members; none when the document is well formed."""
    return list(_object(document, ("rules",), {"rules": _rules}))


def _rules(value: Any) -> Iterator[str]:
    yield from _typed(value, "array")
    if not isinstance(value, list):
        return
    if not value:
        yield _TOO_SHORT
    if len(value) > MAX_RULES:
        yield _TOO_LONG.format(limit=MAX_RULES, found=len(value))
    for rule in value:
        yield from _object(rule, ("rulePriority", "selection", "action"), _RULE)


def _selection(value: Any) -> Iterator[str]:
    found = list(_object(value, ("tagStatus", "countType", "countNumber"), _SELECTION))
    yield from found
    if not found and not _is_one_of_the_counts(value):
        yield _ONE_OF.format(alternatives=len(COUNT_TYPES))


def _is_one_of_the_counts(selection: Mapping[str, Any]) -> bool:
    """The alternative of the archive asks for the storage class (recorded); which one it is, is no matter of form."""
    count_type = selection["countType"]
    if count_type == "imageCountMoreThan":
        return "countUnit" not in selection
    if count_type == "sinceImageTransitioned" and "storageClass" not in selection:
        return False
    return count_type in COUNT_TYPES and selection.get("countUnit") == "days"


def _action(value: Any) -> Iterator[str]:
    found = list(_object(value, ("type",), _ACTION))
    yield from found
    # A transition without its target has the right form, and is refused when it is bound (recorded).
    if not found and value != {"type": "transition", "targetStorageClass": "archive"} and len(value) > 1:
        yield _ONE_OF.format(alternatives=len(ACTIONS))


def _object(value: Any, required: tuple[str, ...], members: Mapping[str, _Check]) -> Iterator[str]:
    yield from _typed(value, "object")
    if not isinstance(value, dict):
        return
    missing = sorted(name for name in required if name not in value)
    if missing:
        yield _MISSING.format(names=_compact(missing))
    unknown = sorted(value.keys() - members.keys())
    if unknown:
        yield _UNKNOWN.format(names=_compact(unknown))
    for name, check in members.items():
        if name in value:
            yield from check(value[name])


def _typed(value: Any, *allowed: str) -> Iterator[str]:
    found = _type(value)
    if found not in allowed:
        yield _TYPE.format(found=found, allowed=_compact(allowed))


def _type(value: Any) -> str:
    """JSON schema's name of the type; to the library 1.0 is a number and no integer."""
    return "null" if value is None else _TYPES[type(value)]


def _text(value: Any) -> Iterator[str]:
    yield from _typed(value, "string")


def _texts(value: Any) -> Iterator[str]:
    yield from _typed(value, "array")
    if isinstance(value, list):
        for each in value:
            yield from _typed(each, "string")


def _natural(value: Any) -> Iterator[str]:
    yield from _typed(value, "integer")
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 1:
        yield _MINIMUM.format(found=value)


def _enum(*allowed: str) -> _Check:
    def check(value: Any) -> Iterator[str]:
        if value not in allowed:
            yield _ENUM.format(found=_compact(value), allowed=_compact(allowed))

    return check


def _unit(value: Any) -> Iterator[str]:
    """Null is found by the alternatives alone (recorded)."""
    if value is not None:
        yield from _enum("days")(value)


def _anything(value: Any) -> Iterator[str]:
    """No violation: the alternatives of the schema look at the member."""
    return iter(())


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_SELECTION: Mapping[str, _Check] = {
    "tagStatus": _enum("any", "tagged", "untagged"),
    "tagPatternList": _texts,
    "tagPrefixList": _texts,
    "storageClass": _enum("archive", "standard"),
    "countType": _anything,
    "countUnit": _unit,
    "countNumber": _natural,
}
_ACTION: Mapping[str, _Check] = {"type": _enum(*ACTIONS), "targetStorageClass": _anything}
_RULE: Mapping[str, _Check] = {
    "rulePriority": _natural,
    "description": _text,
    "selection": _selection,
    "action": _action,
}
