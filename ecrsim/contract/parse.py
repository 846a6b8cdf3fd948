"""Request bodies to keyword arguments; every sentence about a broken constraint is made here.

Two voices answer in ECR. Both are recorded, and docs/fidelity.md has the list:

* The framework checks what the model says. It names the member by its path, `tags.2.member.key`, and begins with a
  capital: `Member must have length less than or equal to 100`. A constraint on the entries of a plain list is reported
  at the list and quotes all of them: `Member must satisfy constraint: [...]`.
* The service checks names, tags and digests itself. It names the leaf, wherever it stands, and begins in lower case:
  `must satisfy regular expression '...'`.

Inferred: required members are looked at first, then the others in model order, and the first violation is the answer;
within one value it is length, pattern, enum. A body or a JSON type that the model cannot hold is a
SerializationException.

An input shape is compiled on first use into closures. `null` is absent; members that the model lacks are ignored.
"""

from __future__ import annotations

import binascii
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import orjson

from ecrsim.contract.models import Operation, Shape, snake
from ecrsim.contract.patterns import evaluated
from ecrsim.core.errors import InvalidParameterException, SerializationException, ServiceError

Checker = Callable[[Any], Any]

#: Levels of nesting that a body may have, those of ignored members included. The models need 6.
MAX_DEPTH = 64

#: Commas and opening brackets that a body may have: each may begin a value, of up to 64 bytes in memory.
_MANY = 1 << 20

#: Shapes that the service checks itself, and the leaf it names. R recorded, I inferred from their age and kind.
SERVICE_CHECKED = {
    "RepositoryName": "repositoryName",  # R, in a list too
    "RegistryId": "registryId",  # R
    "RegistryIdOrAlias": "registryId",  # I
    "ImageTag": "imageTag",  # R
    "ImageDigest": "imageDigest",  # R
    "LayerDigest": "layerDigest",  # I
    "UploadId": "uploadId",  # I
}

#: Of those, the ones that the service checks as entries of a list. `registryIds` is recorded in the framework's voice.
_CHECKED_IN_LISTS = frozenset({"RepositoryName"})

#: Where the service prints a pattern otherwise than the published model has it (R).
PRINTED_PATTERNS = {
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*": (
        r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    ),
}

#: Where the service prints the values of an enum in another order than the model's (R).
PRINTED_ENUMS = {
    "ImageTagMutability": ("IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"),
}

#: (shape name, pattern): what the service enforces and the model lacks, as an operation declares it. The batch calls
#: declare none: they answer a failure entry for each bad id instead.
ServiceChecks = tuple[tuple[str, str], ...]

_checkers: dict[tuple[Operation, ServiceChecks], Checker] = {}


def parse(operation: Operation, body: bytes, service_checks: ServiceChecks = ()) -> dict[str, Any]:
    """The arguments of an operation: its input's members in snake case, only those that were given.

    Structures inside are dicts of wire names (`[{"Key": "a", "Value": "b"}]`), blobs are bytes. An empty body is `{}`.
    InvalidParameterException for a broken constraint, SerializationException for anything that is not such an input.
    """
    key = operation, service_checks
    checker = _checkers.get(key)
    if checker is None:
        checker = _checkers[key] = _Compiler(dict(service_checks)).structure(operation.input, snake)
    try:
        arguments: dict[str, Any] = checker(_document(body))
    except _Violation as violation:
        raise violation.error() from None
    return arguments


# --- The document -----------------------------------------------------------------------------------------------------


def _document(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    if len(body) > _MANY and sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MANY:
        raise SerializationException(f"The request body has more than {_MANY} values.")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SerializationException(f"The request body is not valid JSON: {error}") from None
    if type(document) is not dict:
        raise SerializationException("The request body is not a JSON object.")
    if b"[" in body or not _has_colons(body, len(document)):
        _check_nesting(body, document)
    return document


def _has_colons(body: bytes, count: int) -> bool:
    """Whether there are exactly so many colons: a flat object without colons in its strings, so nothing is hidden.

    Stops at the first one too many; `bytes.count` would read 27 MB of a layer part a second time.
    """
    at = -1
    for _ in range(count):
        at = body.find(b":", at + 1)
    return body.find(b":", at + 1) == -1


def _check_nesting(body: bytes, document: dict[str, Any]) -> None:
    """Bound the depth, and refuse a key that stands twice in one object (inferred), where the reader keeps the last.

    Outside of strings, a colon follows each key and nothing else, so the text tells how many keys there should be.
    """
    keys = _count_keys(document, MAX_DEPTH)
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if b"".join(body.split(b'"')[::2]).count(b":") != keys:
        raise SerializationException("The request body has the same key twice in one object.")


def _count_keys(value: Any, room: int) -> int:
    if not room:
        raise SerializationException(f"The request body is nested more than {MAX_DEPTH} levels deep.")
    is_object = type(value) is dict
    keys = len(value) if is_object else 0
    for inner in value.values() if is_object else value:
        kind = type(inner)
        if kind is dict or kind is list:
            keys += _count_keys(inner, room - 1)
    return keys


# --- What is wrong with a value, on its way up to where the names of members are known --------------------------------


class _Violation(Exception):
    """A broken constraint. `leaf` when the service found it, and names it so."""

    def __init__(self, text: str, leaf: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.leaf = leaf
        self.path: list[str] = []

    def below(self, name: str) -> _Violation:
        """The same, seen from one level higher."""
        self.path.insert(0, name[:1].lower() + name[1:])
        return self

    def error(self) -> ServiceError:
        return InvalidParameterException(member=self.leaf or ".".join(self.path), constraint=self.text)


class _WrongType(_Violation):
    """A JSON type that the member cannot have."""

    def error(self) -> ServiceError:
        return SerializationException(f"{self.text} at '{'.'.join(self.path)}'")


def _missing(shape: Shape) -> _Violation:
    leaf = SERVICE_CHECKED.get(shape.name)
    return _Violation("must not be null" if leaf else "Member must not be null", leaf)


def _refuse(value: Any, target: str) -> NoReturn:
    """`value` is of a JSON type that the member cannot have. The words are those of other AWS services (I)."""
    if value is None:  # An entry of a list; a member would be absent.
        raise _Violation("Member must not be null")
    if isinstance(value, dict):
        raise _WrongType("Start of structure or map found where not expected")
    if isinstance(value, list):
        raise _WrongType("Start of list found where not expected")
    if isinstance(value, str):
        given = "STRING_VALUE"
    elif isinstance(value, bool):
        given = "TRUE_VALUE" if value else "FALSE_VALUE"
    else:
        given = "NUMBER_VALUE"
    raise _WrongType(f"{given} can not be converted to {target}")


# --- Checkers ---------------------------------------------------------------------------------------------------------


class _Limits:
    """The bounds of a shape, and the sentences for breaking them in one of the two voices."""

    def __init__(self, shape: Shape, pattern: str | None, leaf: str | None) -> None:
        voice = "must" if leaf else "Member must"
        measure = "value" if shape.type in ("integer", "long") else "length"
        self.leaf = leaf
        self.low = -sys.maxsize if shape.min is None else shape.min
        self.high = sys.maxsize if shape.max is None else shape.max
        self.pattern = pattern
        self.values = frozenset(shape.enum)
        self.too_low = f"{voice} have {measure} greater than or equal to {shape.min}"
        self.too_high = f"{voice} have {measure} less than or equal to {shape.max}"
        printed = PRINTED_PATTERNS.get(pattern or "", pattern)
        expression = f"regular expression '{printed}'" if leaf else f"regular expression pattern: {printed}"
        self.no_match = f"{voice} satisfy {expression}"
        self.no_value = f"{voice} satisfy enum value set: [{', '.join(PRINTED_ENUMS.get(shape.name, shape.enum))}]"
        texts = (
            (shape.max is not None, self.too_high),
            (shape.min is not None, self.too_low),
            (bool(shape.enum), self.no_value),
            (pattern is not None, self.no_match),
        )
        #: The quotation of all constraints that a list of such values is refused with.
        self.as_entry = f"Member must satisfy constraint: [{', '.join(text for there, text in texts if there)}]"

    def check_size(self, size: int) -> None:
        if size < self.low:
            raise _Violation(self.too_low, self.leaf)
        if size > self.high:
            raise _Violation(self.too_high, self.leaf)


class _Compiler:
    """Makes checkers for one operation, with the patterns that the service adds to its shapes."""

    def __init__(self, service_patterns: dict[str, str]) -> None:
        self._service_patterns = service_patterns

    def _limits(self, shape: Shape, leaf: str | None) -> _Limits:
        return _Limits(shape, self._service_patterns.get(shape.name, shape.pattern), leaf)

    def _checker(self, shape: Shape, *, entry: bool = False) -> Checker:
        leaf = SERVICE_CHECKED.get(shape.name)
        if entry and shape.name not in _CHECKED_IN_LISTS:
            leaf = None
        if shape.type == "structure":
            return self.structure(shape, str)
        if shape.member is not None:
            return self._list(shape, shape.member)
        return _SCALARS[shape.type](self._limits(shape, leaf))

    def structure(self, shape: Shape, name_of: Callable[[str], str]) -> Checker:
        """A dict of the members that were given, under the names that `name_of` makes of the wire names."""
        members = [(wire, name_of(wire), self._checker(member)) for wire, member in shape.members.items()]
        required = [(wire, shape.members[wire]) for wire in shape.required]

        def check(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                _refuse(value, "a Structure")
            for wire, member in required:
                if value.get(wire) is None:
                    raise _missing(member).below(wire)
            result = {}
            wire = ""
            try:
                for wire, name, checker in members:
                    given = value.get(wire)
                    if given is not None:
                        result[name] = checker(given)
            except _Violation as violation:
                raise violation.below(wire) from None
            return result

        return check

    def _list(self, shape: Shape, entry: Shape) -> Checker:
        limits = self._limits(shape, None)
        checker = self._checker(entry, entry=True)
        as_entry = None
        if entry.type in _SCALARS and entry.name not in _CHECKED_IN_LISTS:
            as_entry = self._limits(entry, None).as_entry

        def check(value: Any) -> list[Any]:
            if type(value) is not list:
                _refuse(value, "a List")
            limits.check_size(len(value))
            number = 0
            result = []
            try:
                for number, item in enumerate(value, 1):  # noqa: B007 - the number is for the name of the entry
                    result.append(checker(item))
            except _Violation as violation:
                if as_entry is None or value[number - 1] is None or isinstance(violation, _WrongType):
                    raise violation.below("member").below(str(number)) from None
                raise _Violation(as_entry) from None
            return result

        return check


def _string(limits: _Limits) -> Checker:
    low, high, values = limits.low, limits.high, limits.values
    fullmatch = evaluated(limits.pattern).fullmatch if limits.pattern is not None else None

    def check(value: Any) -> str:
        if type(value) is not str:
            _refuse(value, "a String")
        if not low <= len(value) <= high:
            limits.check_size(len(value))
        if fullmatch is not None and fullmatch(value) is None:
            raise _Violation(limits.no_match, limits.leaf)
        if values and value not in values:
            raise _Violation(limits.no_value, limits.leaf)
        return value

    return check


def _integer(limits: _Limits) -> Checker:
    def check(value: Any) -> int:
        # The reader makes a float of what is longer than 64 bits.
        if type(value) is not int or not -(2**63) <= value < 2**63:
            _refuse(value, "an Integer")
        limits.check_size(value)
        return value

    return check


def _boolean(limits: _Limits) -> Checker:
    def check(value: Any) -> bool:
        if type(value) is not bool:
            _refuse(value, "a Boolean")
        return value

    return check


def _blob(limits: _Limits) -> Checker:
    longest = (limits.high + 2) // 3 * 4

    def check(value: Any) -> bytes:
        if type(value) is not str:
            _refuse(value, "a Blob")
        if len(value) > longest:
            limits.check_size(len(value) // 4 * 3)
        padding = 2 if value.endswith("==") else int(value.endswith("="))
        try:
            decoded = binascii.a2b_base64(value, strict_mode=True)
        except ValueError:
            decoded = None
        # The strict mode of some Python versions takes padding that is not called for: "AAAA=".
        if decoded is None or len(value) % 4 or len(decoded) != len(value) // 4 * 3 - padding:
            raise _WrongType("STRING_VALUE that is not base64 can not be converted to a Blob")
        limits.check_size(len(decoded))
        return decoded

    return check


#: By type of the model. No input has a double, a map or a timestamp; one that does fails here when first compiled.
_SCALARS: dict[str, Callable[[_Limits], Checker]] = {
    "string": _string,
    "integer": _integer,
    "long": _integer,
    "boolean": _boolean,
    "blob": _blob,
}
