"""Results to response bodies, by the output shape of the operation.

One rule picks: member `imageTagMutability` is key `imageTagMutability` or key `image_tag_mutability` of a dict, and
column or attribute `image_tag_mutability` of anything else (rows, named tuples, dataclasses). `None` is absent. So a
result may hold rows as they come, with more columns than the shape has; a dict, which somebody wrote by hand, may not
hold a key that the shape lacks.

Integers of timestamps are milliseconds since the epoch, as the database keeps them, and leave as ECR sends them: JSON
floats of seconds with up to three decimals, `1787109743.563`, `1565128275.0`.

An output shape is compiled on first use into closures, once as it serves and once as it is tested (`STRICT`).
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ecrsim.contract.models import Operation, Shape, snake
from ecrsim.core.errors import ServiceError

#: For tests: a key that the model lacks, a value of a wrong type or outside its enum raises ShapeMismatch. Otherwise
#: the key is left out and logged, once, and values are taken on trust.
STRICT = False

#: None where a value goes out as it is.
Converter = Callable[[Any], Any] | None
#: A row of plain values, as the driver gives it.
Row = tuple[Any, ...]

_logger = logging.getLogger(__name__)
_outputs: dict[tuple[Shape, bool], Callable[[Any], dict[str, Any]]] = {}
_converters: dict[tuple[Shape, bool], Converter] = {}
_logged: set[tuple[str, str]] = set()


class ShapeMismatch(Exception):
    """A result that the model cannot express: a mistake of the operation."""


def shape(operation: Operation, result: Any) -> bytes:
    """The response body of an operation: JSON of the output's members that `result` has. None is an empty result."""
    if result is None:
        return b"{}"
    key = (operation.output, STRICT)
    convert = _outputs.get(key)
    if convert is None:
        convert = _outputs[key] = _Structure(*key).convert
    return orjson.dumps(convert(result))


def shown(shape: Shape, value: Any) -> Any:
    """Of a result that was made for a larger shape: the members that this one has, all the way down."""
    if type(value) is dict:
        members = {**shape.members, **{snake(wire): member for wire, member in shape.members.items()}}
        return {name: shown(members[name], given) for name, given in value.items() if name in members}
    entry = shape.member
    if entry is None:
        return value
    if type(value) is Entries:
        render = value.render
        return Entries(value.rows, lambda row: shown(entry, render(row)), (*value.scope, shape))
    return [shown(entry, item) for item in value] if isinstance(value, list) else value


def error_body(error: ServiceError) -> bytes:
    """The response body of an error: its name, its sentence, and the members of its shape."""
    return orjson.dumps({"__type": error.code, "message": error.message, **error.members})


def _converter(shape: Shape, strict: bool) -> Converter:
    key = (shape, strict)
    if key not in _converters:
        _converters[key] = _compile(shape, strict)
    return _converters[key]


def _compile(shape: Shape, strict: bool) -> Converter:
    convert: Converter
    if shape.type == "structure":
        convert = _Structure(shape, strict).convert
    elif shape.member is not None:
        convert = _list(_converter(shape.member, strict))
    elif shape.value is not None:
        convert = _map(_converter(shape.value, strict))
    else:
        convert = _SCALARS[shape.type]
    return _checked(shape, convert) if strict else convert


# --- Structures -------------------------------------------------------------------------------------------------------


class _Structure:
    """Picks the members of a structure out of a dict, a row or an object."""

    def __init__(self, shape: Shape, strict: bool) -> None:
        self._name = shape.name
        self._strict = strict
        #: Wire name and converter, by Python name.
        self._members = {snake(wire): (wire, _converter(member, strict)) for wire, member in shape.members.items()}
        by_key = {**self._members, **{wire: (wire, convert) for wire, convert in self._members.values()}}
        self._wires = {key: wire for key, (wire, _) in by_key.items()}
        self._converters = {key: convert for key, (_, convert) in by_key.items()}
        #: The columns of the rows that came last, and what to pick from them.
        self._last: tuple[Any, Sequence[tuple[int, str, Converter]]] = (None, ())

    def convert(self, value: Any) -> dict[str, Any]:
        if type(value) is dict:
            return self._from_dict(value)
        # Of the class, because a row's `_fields` is a property that builds a tuple.
        if hasattr(type(value), "_fields"):
            return self._from_row(value)
        if isinstance(value, Mapping):
            return self._from_dict({key: value[key] for key in value if key in self._wires})
        result = {}
        for name, (wire, convert) in self._members.items():
            given = getattr(value, name, None)
            if given is not None:
                result[wire] = given if convert is None else convert(given)
        return result

    def _from_dict(self, value: dict[str, Any]) -> dict[str, Any]:
        wires, converters = self._wires, self._converters
        try:
            return {
                wires[key]: given if (convert := converters[key]) is None else convert(given)
                for key, given in value.items()
                if given is not None
            }
        except KeyError:
            unmodelled = [key for key in value if key not in wires]
            if not unmodelled:
                raise
            for key in unmodelled:
                self._unmodelled(key)
            return self._from_dict({key: given for key, given in value.items() if key in wires})

    def _from_row(self, value: Any) -> dict[str, Any]:
        # All rows of a query share one index of their columns, and all named tuples of a class one tuple of fields.
        columns = getattr(value, "_key_to_index", None) or value._fields
        seen, picks = self._last
        if columns is not seen:
            fields = enumerate(value._fields)
            picks = [(index, *self._members[name]) for index, name in fields if name in self._members]
            self._last = (columns, picks)
        result = {}
        for index, wire, convert in picks:
            given = value[index]
            if given is not None:
                result[wire] = given if convert is None else convert(given)
        return result

    def _unmodelled(self, key: str) -> None:
        if self._strict:
            raise ShapeMismatch(f"{self._name} has no member {key}")
        if (self._name, key) not in _logged:
            _logged.add((self._name, key))
            _logger.warning("a result has the member %s, which %s lacks; it is left out", key, self._name)


# --- Lists, maps, values ----------------------------------------------------------------------------------------------


class Entries:
    """A list in a result whose entries are pure functions of rows: what a row was shaped to is remembered.

    A page of a listing is asked for again and again with most rows unchanged; shaping them is most of its cost.
    `render` makes the entry of a row, a tuple of plain values; `scope` holds all else that `render` depends on.
    """

    __slots__ = ("render", "rows", "scope")

    def __init__(
        self, rows: Sequence[Row], render: Callable[[Row], dict[str, Any]], scope: tuple[Hashable, ...]
    ) -> None:
        self.rows, self.render, self.scope = rows, render, scope

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.render, self.rows)

    def shaped(self, convert: Callable[[Any], Any]) -> list[orjson.Fragment]:
        """The JSON of each entry."""
        if len(_remembered) > _MAX_SCOPES:
            _remembered.clear()
        known = _remembered.setdefault(self.scope, {})
        if len(known) > _MAX_ROWS:
            known.clear()
        found = []
        for row in self.rows:
            fragment = known.get(row)
            if fragment is None:
                fragment = known[row] = orjson.Fragment(orjson.dumps(convert(self.render(row))))
            found.append(fragment)
        return found


#: Rows of one scope, and scopes, that are remembered: some 30 MB at the very most.
_MAX_ROWS, _MAX_SCOPES = 4096, 16
_remembered: dict[tuple[Hashable, ...], dict[Row, orjson.Fragment]] = {}


def _list(convert: Converter) -> Converter:
    if convert is None:
        return list

    def convert_list(value: Iterable[Any]) -> list[Any]:
        if type(value) is Entries and not STRICT:
            return value.shaped(convert)
        return [convert(item) for item in value]

    return convert_list


def _map(convert: Converter) -> Converter:
    def convert_map(value: Mapping[str, Any]) -> dict[str, Any]:
        return {key: item if convert is None else convert(item) for key, item in value.items() if item is not None}

    return convert_map


def _timestamp(milliseconds: int) -> float:
    return milliseconds / 1000


def _blob(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


#: Booleans may come as the integers that SQLite keeps.
_SCALARS: Mapping[str, Converter] = {
    "string": None,
    "integer": None,
    "long": None,
    "boolean": bool,
    "double": float,
    "timestamp": _timestamp,
    "blob": _blob,
}

_ACCEPTED: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool, int),
    "double": (float, int),
    "timestamp": (int,),
    "blob": (bytes,),
    "map": (Mapping,),
    "structure": (object,),
    "list": (Iterable,),
}
#: What would pass for the former by accident: a text is a sequence of texts, and a bare tuple has no attributes.
_REFUSED: Mapping[str, tuple[type, ...]] = {
    "integer": (bool,),
    "long": (bool,),
    "double": (bool,),
    "timestamp": (bool,),
    "structure": (str, bytes, int, float, list),
    "list": (str, bytes, Mapping),
}


def _checked(shape: Shape, convert: Converter) -> Converter:
    accepted, refused = _ACCEPTED[shape.type], _REFUSED.get(shape.type, ())

    def check(value: Any) -> Any:
        bare = shape.type == "structure" and isinstance(value, tuple) and not hasattr(value, "_fields")
        number_for_flag = shape.type == "boolean" and value not in (0, 1)
        if not isinstance(value, accepted) or isinstance(value, refused) or bare or number_for_flag:
            raise ShapeMismatch(f"{shape.name} is a {shape.type}; the result has {value!r:.200}")
        if shape.enum and value not in shape.enum:
            raise ShapeMismatch(f"{shape.name} is one of {', '.join(shape.enum)}; the result has {value!r}")
        return value if convert is None else convert(value)

    return check
