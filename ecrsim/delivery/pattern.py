"""Event patterns of EventBridge: which events a rule lets through.

Every field that a pattern names has to match one of its values; what it does not name is ignored. An array in the event
matches by any of its elements, but two fields below the same array have to be found in the same element. `exists` looks
at leaves only, and `false` at the whole event. `$or` is written out into branches, as EventBridge does it, so a branch
is judged as if it stood in the pattern alone.

Numbers match as they are written (300 and 300.0 differ, documented); `numeric` and `anything-but` compare values.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ecrsim.core.glob import has_parts

Test = Callable[[Any], bool]
Path = tuple[str, ...]

#: Numbers that EventBridge can compare (documented); those of an event beyond them match no `numeric`.
_LARGEST_NUMBER = 5.0e9

#: So many branches may come of `$or`: more is a mistake in a pattern that people wrote.
_MOST_BRANCHES = 1_000
#: And so many fields may all branches have together: each field that follows copies them.
_MOST_FIELDS = 10_000


class PatternError(ValueError):
    """`Event pattern is not valid. Reason: Empty arrays are not allowed at detail.image-tag`."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"Event pattern is not valid. Reason: {reason}{' at ' + place if place else ''}")


class Pattern:
    """A pattern that is known to be valid; `compile` makes it."""

    def __init__(self, branches: list[_Branch]) -> None:
        self._branches = [(branch, _tree(branch)) for branch in branches]

    def matches(self, envelope: Mapping[str, Any]) -> bool:
        return any(_matches(branch, tree, envelope) for branch, tree in self._branches)


#: A pattern is kept as JSON, whose writer has a limit of its own.
_DEEPEST = 64


def compile(pattern: Any) -> Pattern:
    """The pattern of a JSON object (already parsed); PatternError says what is wrong in it, and where."""
    if not isinstance(pattern, dict):
        raise PatternError("Filter is not an object")
    if _depth(pattern) > _DEEPEST:
        raise PatternError("Objects are nested too deeply")
    try:
        return Pattern(_object(pattern, (), [{}], inside_or=False))
    except RecursionError as error:
        raise PatternError("Objects are nested too deeply") from error


def _depth(value: Any) -> int:
    """How many objects and lists stand in one another. Without recursion, which is what it is there to spare."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


# --- branches ---------------------------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """The values that a field may have. `may_be_absent`: one of them is {"exists": false}."""

    tests: tuple[Test, ...]
    may_be_absent: bool


_Branch = dict[Path, _Field]


def _object(pattern: dict[str, Any], path: Path, branches: list[_Branch], *, inside_or: bool) -> list[_Branch]:
    """The branches with the fields of one object of the pattern added to each."""
    if not pattern:
        raise PatternError("Empty objects are not allowed", _place(path))
    for name, value in pattern.items():
        # {"detail.state": ...} is {"detail": {"state": ...}} (documented).
        here = (*path, *name.split("."))
        # As the name of an object it is a field like others: events had such before the keyword was made.
        if name == "$or" and isinstance(value, list):
            branches = _or(value, path, branches)
            continue
        if inside_or and name in _RESERVED:
            raise PatternError(f'"{name}" cannot be the name of a field inside $or', _place(here))
        if isinstance(value, dict):
            branches = _object(value, here, branches, inside_or=inside_or)
        elif isinstance(value, list):
            # Of two patterns for one field the last one counts (documented).
            field = _field(value, _place(here))
            if len(branches) * (len(branches[0]) + 1) > _MOST_FIELDS:
                raise PatternError(f"A pattern has more than {_MOST_FIELDS} fields in all combinations", _place(here))
            branches = [{**branch, here: field} for branch in branches]
        else:
            raise PatternError(f'"{name}" must be an object or an array', _place(here))
    return branches


def _or(alternatives: list[Any], path: Path, branches: list[_Branch]) -> list[_Branch]:
    place = _place((*path, "$or"))
    if len(alternatives) < 2:
        raise PatternError("There must have at least 2 Objects in $or relationship", place)
    found: list[_Branch] = []
    for index, alternative in enumerate(alternatives):
        if not isinstance(alternative, dict):
            raise PatternError("Only JSON object is allowed in array of $or relationship", f"{place}[{index}]")
        found += _object(alternative, path, branches, inside_or=True)
        if len(found) > _MOST_BRANCHES:
            raise PatternError(f"$or has more than {_MOST_BRANCHES} combinations", place)
    return found


def _field(values: list[Any], place: str) -> _Field:
    if not values:
        raise PatternError("Empty arrays are not allowed", place)
    tests = []
    may_be_absent = False
    for index, value in enumerate(values):
        if value == {"exists": False} and value["exists"] is False:
            may_be_absent = True
        else:
            tests.append(_value(value, f"{place}[{index}]"))
    return _Field(tuple(tests), may_be_absent)


def _place(path: Path) -> str:
    return ".".join(path)


# --- values -----------------------------------------------------------------------------------------------------------


def _value(value: Any, place: str) -> Test:
    if isinstance(value, dict):
        name, operand = _only_member(value, place)
        if name not in _OPERATORS:
            raise PatternError(f"Unrecognized match type {name}", place)
        return _OPERATORS[name](operand, f"{place}.{name}")
    if isinstance(value, list):
        raise PatternError("Match value must be String, number, true, false, or null", place)
    return _exactly(value)


def _only_member(value: dict[str, Any], place: str) -> tuple[str, Any]:
    if not value:
        raise PatternError("Match expression name not found", place)
    if len(value) > 1:
        raise PatternError("Only one key allowed in match expression", place)
    return next(iter(value.items()))


def _exactly(wanted: Any) -> Test:
    """JSON's own equality: of the same type, so neither true and 1 nor 300 and 300.0 are the same."""
    return lambda value: type(value) is type(wanted) and value == wanted


def _text(value: Any, place: str, name: str) -> str:
    if not isinstance(value, str):
        raise PatternError(f"{name} match pattern must be a string", place)
    return value


def _equals_ignore_case(operand: Any, place: str) -> Test:
    wanted = _text(operand, place, "equals-ignore-case").lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _edge(name: str, found: Callable[[str, str], bool]) -> Callable[[Any, str], Test]:
    """`prefix` or `suffix`, which are a text or {"equals-ignore-case": text}."""

    def build(operand: Any, place: str) -> Test:
        if isinstance(operand, dict):
            option, text = _only_member(operand, place)
            if option != "equals-ignore-case":
                raise PatternError(f"Unsupported {name} pattern: {option}", place)
            folded = _text(text, f"{place}.{option}", option).lower()
            return lambda value: isinstance(value, str) and found(value.lower(), folded)
        wanted = _text(operand, place, name)
        return lambda value: isinstance(value, str) and found(value, wanted)

    return build


_prefix = _edge("prefix", str.startswith)
_suffix = _edge("suffix", str.endswith)


def _wildcard(operand: Any, place: str) -> Test:
    r"""`*` is any run of characters; `\*` and `\\` are the characters themselves."""
    characters = iter(_text(operand, place, "wildcard"))
    parts = [""]
    for character in characters:
        if character == "*":
            parts.append("")
            continue
        literal = next(characters, "") if character == "\\" else character
        if character == "\\" and literal not in ("*", "\\"):
            raise PatternError("Invalid escape character: a backslash stands before * and backslash only", place)
        parts[-1] += literal
    if "" in parts[1:-1]:
        raise PatternError("Consecutive wildcard characters are not allowed", place)
    return lambda value: isinstance(value, str) and has_parts(parts, value)


def _anything_but(operand: Any, place: str) -> Test:
    """Any value of the field but these. Where the field is absent, nothing matches."""
    if isinstance(operand, dict):
        name, inner = _only_member(operand, place)
        if name not in _EXCLUSIONS:
            raise PatternError(f"Unsupported anything-but pattern: {name}", place)
        where = f"{place}.{name}"
        if inner in ("", []) or (isinstance(inner, list) and "" in inner and name in ("prefix", "suffix")):
            raise PatternError(
                "Null prefix/suffix not allowed" if inner != [] else "Empty arrays are not allowed", where
            )
        values = inner if isinstance(inner, list) else [inner]
        tests = [_EXCLUSIONS[name](_text(each, where, name), where) for each in values]
    else:
        values = operand if isinstance(operand, list) else [operand]
        numbers, texts = [_is_number(each) for each in values], [isinstance(each, str) for each in values]
        if not values or not (all(numbers) or all(texts)):
            raise PatternError("Inside anything but list, either all values are number or string", place)
        tests = [_equals_number(_number(each, place)) if all(numbers) else _exactly(each) for each in values]
    return lambda value: not any(test(value) for test in tests)


def _exists(operand: Any, place: str) -> Test:
    """Only `true` comes here as a test; `false` is a property of the field."""
    if operand is not True:
        raise PatternError("exists match pattern must be either true or false", place)
    return lambda _: True


def _cidr(operand: Any, place: str) -> Test:
    text = _text(operand, place, "cidr")
    try:
        if "/" not in text:
            raise ValueError(text)
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PatternError(f"Malformed CIDR: {text}", place) from error

    def inside(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return inside


# --- numbers ----------------------------------------------------------------------------------------------------------

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _numeric(operand: Any, place: str) -> Test:
    """One comparison, or a range that begins with `>` or `>=` and ends with `<` or `<=`."""
    if not isinstance(operand, list):
        raise PatternError("Value of numeric must be an array", place)
    if not operand or len(operand) % 2:
        raise PatternError("Value of numeric must be pairs of a comparison and a number", place)
    pairs = []
    for name, number in zip(operand[::2], operand[1::2], strict=True):
        if not isinstance(name, str) or name not in _COMPARISONS:
            raise PatternError(f"Unrecognized numeric range operator: {name}", place)
        pairs.append((name, _number(number, place)))
    if len(pairs) > 2 or (len(pairs) == 2 and pairs[0][0] not in (">", ">=")):
        raise PatternError("Too many elements in numeric expression", place)
    if len(pairs) == 2:
        if pairs[1][0] not in ("<", "<="):
            raise PatternError(f"Bad numeric range operator: {pairs[1][0]}", place)
        if pairs[0][1] >= pairs[1][1]:
            raise PatternError("Bottom must be less than top", place)
    tests = [(_COMPARISONS[name], number) for name, number in pairs]
    return lambda value: _comparable(value) and all(holds(value, number) for holds, number in tests)


def _number(value: Any, place: str) -> float:
    if not _is_number(value):
        raise PatternError("Value of a comparison must be numeric", place)
    if not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:
        raise PatternError("Value must be between -5.0E9 and 5.0E9, inclusive", place)
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _comparable(value: Any) -> bool:
    return _is_number(value) and -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER


def _equals_number(wanted: float) -> Test:
    return lambda value: _is_number(value) and value == wanted


_OPERATORS: Mapping[str, Callable[[Any, str], Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
#: Operators that `anything-but` can be applied to.
_EXCLUSIONS: Mapping[str, Callable[[Any, str], Test]] = {
    name: _OPERATORS[name] for name in ("equals-ignore-case", "prefix", "suffix", "wildcard")
}
#: They are no names of fields in an object of `$or`: who writes one there forgot the field.
_RESERVED = frozenset(_OPERATORS) | frozenset(_COMPARISONS)


# --- matching ---------------------------------------------------------------------------------------------------------


class _Node:
    """The fields of a branch, nested as in the event."""

    def __init__(self) -> None:
        self.tests: tuple[Test, ...] | None = None
        self.members: dict[str, _Node] = {}

    def matches(self, value: Any) -> bool:
        if isinstance(value, list):
            return any(self.matches(each) for each in value)
        if isinstance(value, Mapping):
            if self.tests is not None:
                return False
            return all(name in value and node.matches(value[name]) for name, node in self.members.items())
        return not self.members and self.tests is not None and any(test(value) for test in self.tests)


def _tree(branch: _Branch) -> _Node:
    root = _Node()
    for path, field in branch.items():
        node = root
        for name in path:
            node = node.members.setdefault(name, _Node())
        node.tests = field.tests
    return root


def _matches(branch: _Branch, tree: _Node, event: Mapping[str, Any]) -> bool:
    """A field that may be absent, and is, has matched before the others are looked for."""
    absent = {path for path, field in branch.items() if field.may_be_absent and not any(_leaves(event, path))}
    if absent:
        tree = _tree({path: field for path, field in branch.items() if path not in absent})
    return tree.matches(event)


def _leaves(value: Any, path: Path) -> Iterator[bool]:
    """One True for every leaf at the path, whatever the arrays on the way."""
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    elif isinstance(value, Mapping):
        if path and path[0] in value:
            yield from _leaves(value[path[0]], path[1:])
    elif not path:
        yield True
