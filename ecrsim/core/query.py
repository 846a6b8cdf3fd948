"""Queries with names: a statement, the class of its rows, and nothing between it and the driver.

A statement of SQLAlchemy Core is compiled once for each dialect and then runs on the driver's own cursor: Core's
general path costs ten times what a manifest by its tag does. What Core would do for a row is done here where a column
needs it: `Json` values and booleans go in and come out as what they are.

    class Tag(NamedTuple):
        image_id: int
        image_tag: str

    TAGS = Query(select(image_tags.c.image_id, image_tags.c.image_tag).where(...), Tag)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
from weakref import WeakSet

from sqlalchemy import Boolean, Column, Connection, Executable, Insert, Table, Text, bindparam, insert, type_coerce
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeEngine

from ecrsim.core.columns import Json
from ecrsim.core.db import RowConflict, drivers

R = TypeVar("R")
Process = Callable[[Any], Any]

_NEW: Any = tuple.__new__


class _Prepared(NamedTuple):
    """A statement in the words of one dialect."""

    sql: str
    #: The parameters in the order of their placeholders, those of the statement itself included; of a dialect whose
    #: placeholders have names, each of them once.
    order: tuple[str, ...]
    positional: bool
    #: Names of the parameters that a caller gives.
    names: frozenset[str]
    wanted: int
    #: Values that stand in the statement itself.
    constants: Mapping[str, Any]
    #: Conversions of values on their way in.
    processes: Mapping[str, Process]
    #: The driver's parameters for those of a caller. KeyError when one is missing.
    values: Callable[[dict[str, Any]], Any]
    #: The maker of a row from the driver's tuple.
    make: Callable[[Any], Any]
    #: The row class, where its members are what the driver gives: for many rows the cheapest way.
    plain: Any


class _Statement:
    """The common part of queries, changes and additions."""

    #: All that there are, so that a test can compile each of them.
    known: ClassVar[WeakSet[_Statement]] = WeakSet()

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._by_dialect: dict[str, _Prepared] = {}
        _Statement.known.add(self)

    def prepare(self, dialect: Dialect) -> _Prepared:
        """The statement in this dialect. TypeError when the row class has other members than the statement."""
        compiled = cast(Any, self._statement_for(dialect)).compile(
            dialect=dialect, compile_kwargs={"render_postcompile": True}
        )
        values, binds = compiled.params, compiled.binds
        names = frozenset(name for name in values if name in binds and binds[name].required)
        order = tuple(compiled.positiontup or values)
        constants = {
            name: process(value) if (process := self._bound(name, binds[name].type, dialect)) else value
            for name, value in values.items()
            if name not in names
        }
        processes = {name: process for name in names if (process := self._bound(name, binds[name].type, dialect))}
        found = _Prepared(
            str(compiled),
            order,
            compiled.positional,
            names,
            len(names),
            constants,
            processes,
            _binder(order if compiled.positional else None, constants, processes),
            *self._maker(),
        )
        self._by_dialect[dialect.name] = found
        return found

    def _statement_for(self, dialect: Dialect) -> Executable:
        return self._statement

    def _bound(self, name: str, type: TypeEngine[Any], dialect: Dialect) -> Process | None:
        return type.bind_processor(dialect) if isinstance(type, Json) else None

    def _maker(self) -> tuple[Callable[[Any], Any], Any]:
        """What makes a row, and the class of rows that need no more than that."""
        return tuple, None

    def _execute(self, connection: Connection, parameters: dict[str, Any]) -> tuple[Any, _Prepared]:
        dialect = connection.dialect
        prepared = self._by_dialect.get(dialect.name) or self.prepare(dialect)
        if len(parameters) != prepared.wanted:
            raise _wrong(parameters, prepared.names)
        cursor = cast(Any, connection.connection.dbapi_connection).cursor()
        try:
            cursor.execute(prepared.sql, prepared.values(parameters))
        except KeyError:
            raise _wrong(parameters, prepared.names) from None
        except cast(Any, dialect).loaded_dbapi.IntegrityError as error:
            raise RowConflict(str(error)) from error
        return cursor, prepared


def _binder(
    order: tuple[str, ...] | None, constants: Mapping[str, Any], processes: Mapping[str, Process]
) -> Callable[[dict[str, Any]], Any]:
    """Parameters in the order of the placeholders; a dict of them where placeholders have names."""
    if order is not None and order and not constants and not processes:
        (name, *others) = order
        return itemgetter(*order) if others else lambda given: (given[name],)

    def bind(given: dict[str, Any]) -> Any:
        values = {**constants, **given}
        for name, process in processes.items():
            values[name] = process(values[name])
        return values if order is None else [values[name] for name in order]

    return bind


def _wrong(given: Collection[str], names: Collection[str]) -> TypeError:
    return TypeError(f"the statement has the parameters {sorted(names)}, and not {sorted(given)}")


class Query(_Statement, Generic[R]):
    """A statement that reads. `row` is a NamedTuple whose members are the statement's columns in their order.

    A statement of one column may have the type of its value instead: `Query(select(images.c.image_digest), str)`.
    """

    def __init__(self, statement: Executable, row: type[R]) -> None:
        super().__init__(statement)
        self._row = row

    def all(self, connection: Connection, **parameters: Any) -> list[R]:
        """All rows. TypeError when parameters are missing or unknown."""
        cursor, prepared = self._execute(connection, parameters)
        rows = cursor.fetchall()
        if prepared.plain is not None:
            return list(map(_NEW, repeat(prepared.plain), rows))
        return list(map(prepared.make, rows))

    def first(self, connection: Connection, **parameters: Any) -> R | None:
        """The first row, None where there is none. TypeError when parameters are missing or unknown."""
        cursor, prepared = self._execute(connection, parameters)
        row = cursor.fetchone()
        return None if row is None else cast(R, prepared.make(row))

    def one(self, connection: Connection, **parameters: Any) -> R:
        """The row of a statement that always has one, such as a count."""
        return cast(R, self.first(connection, **parameters))

    def _maker(self) -> tuple[Callable[[Any], Any], Any]:
        columns = list(cast(Any, self._statement).selected_columns)
        processes = [(index, _shown(column)) for index, column in enumerate(columns)]
        needed = [(index, process) for index, process in processes if process is not None]
        fields = getattr(self._row, "_fields", None)
        if fields is None:
            if len(columns) != 1:
                raise TypeError(f"{self._row.__name__} is a class of one value, the statement has {len(columns)}")
            return (_one_value(needed[0][1]) if needed else itemgetter(0)), None
        names = tuple(column.key for column in columns)
        if fields != names:
            raise TypeError(f"{self._row.__name__} has the members {fields}, the statement the columns {names}")
        # `_make` of a named tuple, without the call of a function in Python.
        make = partial(_NEW, cast(Any, self._row))
        return (_row_of(make, needed), None) if needed else (make, self._row)


def _shown(column: Any) -> Process | None:
    if isinstance(column.type, Json):
        return Json.read
    if isinstance(column.type, Boolean):
        return _flag if getattr(column, "nullable", True) else bool
    return None


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _one_value(process: Process) -> Callable[[Any], Any]:
    return lambda row: process(row[0])


def _row_of(make: Callable[[Iterable[Any]], Any], processes: Sequence[tuple[int, Process]]) -> Callable[[Any], Any]:
    (first, process_first), *others = processes

    def read_one(row: Any) -> Any:
        values = list(row)
        values[first] = process_first(values[first])
        return make(values)

    def read(row: Any) -> Any:
        values = list(row)
        for index, process in processes:
            values[index] = process(values[index])
        return make(values)

    return read if others else read_one


def as_text(column: Column[Any]) -> Any:
    """A `Json` column as the text that it is kept as: hashable, and free of the cost of being read."""
    return type_coerce(column, Text).label(column.key)


class Change(_Statement):
    """A statement that updates or deletes."""

    def run(self, connection: Connection, **parameters: Any) -> int:
        """How many rows were changed. TypeError for parameters that are missing or unknown, RowConflict."""
        cursor, _ = self._execute(connection, parameters)
        return int(cursor.rowcount)


class Addition(_Statement):
    """An insert of rows that have these columns.

    `identity`: the column that the database gives a number, for `add`. `as_text`: `Json` columns whose values are given
    as JSON text.
    """

    def __init__(
        self, table: Table, *columns: str, identity: Column[int] | None = None, as_text: Collection[str] = ()
    ) -> None:
        super().__init__(insert(table).values({name: bindparam(name, type_=table.c[name].type) for name in columns}))
        self._columns, self._identity, self._as_text = columns, identity, frozenset(as_text)

    def _statement_for(self, dialect: Dialect) -> Executable:
        driver = drivers.get(dialect.name)
        if self._identity is None or (driver is not None and driver.new_number is not None):
            return self._statement
        return cast(Insert, self._statement).returning(self._identity)

    def _bound(self, name: str, type: TypeEngine[Any], dialect: Dialect) -> Process | None:
        return None if name in self._as_text else super()._bound(name, type, dialect)

    def run(self, connection: Connection, **values: Any) -> None:
        """Insert one row. TypeError for columns that are missing or unknown, RowConflict."""
        self._execute(connection, values)

    def add(self, connection: Connection, **values: Any) -> int:
        """Insert one row; the number that it got. Errors as of `run`."""
        cursor, _ = self._execute(connection, values)
        new_number = drivers[connection.dialect.name].new_number
        return int(cursor.fetchone()[0]) if new_number is None else new_number(cursor)

    def many(self, connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows whose values stand in the order of the columns."""
        dialect = connection.dialect
        prepared = self._by_dialect.get(dialect.name) or self.prepare(dialect)
        processes = [(self._columns.index(name), process) for name, process in prepared.processes.items()]
        if processes:
            rows = [_row_of(tuple, processes)(row) for row in rows]
        given: Any = rows
        if not prepared.positional:
            given = [dict(zip(self._columns, row, strict=True)) for row in rows]
        elif prepared.order != self._columns:
            places = [self._columns.index(name) for name in prepared.order]
            given = [[row[place] for place in places] for row in rows]
        try:
            cast(Any, connection.connection.dbapi_connection).cursor().executemany(prepared.sql, given)
        except cast(Any, dialect).loaded_dbapi.IntegrityError as error:
            raise RowConflict(str(error)) from error


def upsert(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Insert the row, or change the one that has the key: to `values`, or as `changes` say. RowConflict."""
    statement = drivers[connection.dialect.name].insert(table).values({**key, **values})
    try:
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(key), set_=dict(values if changes is None else changes))
        )
    except IntegrityError as error:
        raise RowConflict(str(error.orig)) from error
