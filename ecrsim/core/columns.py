"""What tables are made of: one list of all of them, JSON columns, and indexes of some rows, for every dialect."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Connection, Index, MetaData, Text, event
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

#: All tables of ecrsim.
metadata = MetaData()


class Json(TypeDecorator[Any]):
    """A value kept as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return self.read(value)

    @staticmethod
    def read(text: str | None) -> Any:
        """The value of a JSON text."""
        return None if text is None else orjson.loads(text)


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool], unique: bool = False) -> Index:
    """An index of the rows that `where` selects."""
    # A clause of PostgreSQL's would import its dialect at each start; it is added where that is spoken.
    return Index(name, *columns, unique=unique, sqlite_where=where)


@event.listens_for(Index, "before_create")
def _in_other_dialects(index: Index, connection: Connection, **_: Any) -> None:
    where = index.dialect_kwargs.get("sqlite_where")
    if where is not None and connection.dialect.name != "sqlite":
        index.dialect_kwargs[f"{connection.dialect.name}_where"] = where
