"""Entries of JSON arrays as rows: many values in one parameter, for every dialect.

A statement cannot have a varying number of parameters and be compiled once: the values go in as one JSON text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Integer, Text, bindparam, exists, literal, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Texts(FunctionElement[Any]):
    """A table function of one JSON text; its column `value` has the entries, which are texts."""

    name = "json_each"
    inherit_cache = True


class _Numbers(_Texts):
    """The same of entries that are whole numbers."""

    inherit_cache = True


@compiles(_Texts)
def _in_sqlite(element: _Texts, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Texts, "postgresql")
def _in_postgresql(element: _Texts, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **options)} AS JSON))"


@compiles(_Numbers, "postgresql")
def _numbers_in_postgresql(element: _Numbers, compiler: Any, **options: Any) -> str:
    texts = _in_postgresql(element, compiler, **options)
    return f"(SELECT CAST(value AS BIGINT) AS value FROM {texts})"  # noqa: S608 - names of ours


def _entries(array: ColumnElement[Any], like: ColumnElement[Any]) -> Any:
    function = _Numbers if isinstance(like.type, Integer) else _Texts
    return function(type_coerce(array, Text)).table_valued("value")


def is_among(column: ColumnElement[Any], values: str | Sequence[str]) -> ColumnElement[bool]:
    """Whether the column is one of these values; a text names the parameter that has them as a JSON array."""
    given = bindparam(values) if isinstance(values, str) else literal(orjson.dumps(list(values)).decode())
    return column.in_(select(_entries(given, column).c.value))


def has_entry(array: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Whether the `Json` column is an array in which the value is."""
    found = _entries(array, literal(value))
    return exists(select(found.c.value).where(found.c.value == value))
