"""The rows of one database in another one, of whatever engine, and the proof that they are the same.

Values are moved as they are stored: the texts of JSON columns too, which reading and writing anew could change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Select, Table, bindparam, insert, inspect, select, tuple_, type_coerce
from sqlalchemy.types import TypeDecorator, TypeEngine

import ecrsim.delivery.tables  # noqa: F401 - the only tables that no capability declares
from ecrsim.core.columns import metadata
from ecrsim.core.db import properties
from ecrsim.core.migrations import has_table
from ecrsim.core.nodes import nodes

#: Rows that are read, and written, at a time.
_PAGE = 500

Row = tuple[Any, ...]


class TableContent(NamedTuple):
    """How many rows a table has, and the sum of the digests of each of them: the same in whatever order they come."""

    rows: int = 0
    digest: int = 0

    def with_rows(self, rows: Sequence[Row]) -> TableContent:
        """The content with these rows besides."""
        total = self.digest + sum(_digest(row) for row in rows)
        return TableContent(self.rows + len(rows), total % (1 << 256))


def tables() -> list[Table]:
    """All tables that are copied, those that are referred to first: not who serves, and properties are picked."""
    return [table for table in metadata.sorted_tables if table not in (properties, nodes)]


def unknown_tables(connection: Connection) -> list[str]:
    """Tables of the database that nothing here declares, and so nobody would copy."""
    return sorted(set(inspect(connection).get_table_names()) - metadata.tables.keys())


def content_of(connection: Connection, table: Table) -> TableContent:
    """Read the whole table. One that an earlier release did not know is missing there, and as good as empty."""
    found = TableContent()
    if not has_table(connection, table.name):
        return found
    for rows in _pages(connection, table):
        found = found.with_rows(rows)
    return found


def copy_table(source: Connection, destination: Connection, table: Table) -> TableContent:
    """Copy all rows, in the open write transaction of the destination. What was read."""
    found = TableContent()
    if not has_table(source, table.name):
        return found
    statement = insert(table).values({column: bindparam(column.key, type_=_stored(column)) for column in table.columns})
    names = [column.key for column in table.columns]
    for rows in _pages(source, table):
        destination.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
        found = found.with_rows(rows)
    return found


def _pages(connection: Connection, table: Table) -> Iterator[Sequence[Row]]:
    """All rows by pages, in the order of the primary key: no statement holds more than a page of them."""
    key = list(table.primary_key.columns)
    positions = [list(table.columns).index(column) for column in key]
    query = select(*(type_coerce(column, _stored(column)) for column in table.columns)).order_by(*key).limit(_PAGE)
    last: Row | None = None
    while rows := _plain(connection, query if last is None else query.where(_after(key, last))):
        yield rows
        last = tuple(rows[-1][position] for position in positions)


def _after(key: Sequence[Column[Any]], last: Row) -> Any:
    return key[0] > last[0] if len(key) == 1 else tuple_(*key) > tuple_(*last)


def _plain(connection: Connection, query: Select[Any]) -> Sequence[Row]:
    return [
        tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
        for row in connection.execute(query)
    ]


def _stored(column: Column[Any]) -> TypeEngine[Any]:
    """The type of what lies in the column, without what ecrsim makes of it."""
    kind = column.type
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


def _digest(row: Row) -> int:
    return int.from_bytes(hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest())
