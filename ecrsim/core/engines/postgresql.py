"""PostgreSQL: a server that many processes and machines share.

`postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?schema=NAME&…]`; all other parameters are libpq's. Reads see one
state (REPEATABLE READ, READ ONLY). Each statement of a write sees what was committed before it (READ COMMITTED), and
writers hold advisory locks, of all or of one repository, so that nothing that concerns them changes meanwhile
(`docs/architecture.md`, "Writers side by side").

Connections are in autocommit, and transactions are begun and ended by statements: libpq's own call for it costs a
fifth of psycopg's. psycopg prepares each statement on the server when it is first run on a connection.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, cast

import psycopg
from psycopg.adapt import Loader
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from ecrsim.config import ConfigError
from ecrsim.core.db import Database, Driver, RowConflict, SchemaMismatch, drivers
from ecrsim.core.engines.postgresql_dialect import DRIVER
from ecrsim.core.engines.postgresql_rights import Right, Rights, Word, Words, key_of
from ecrsim.core.errors import InvalidParameterException, ServiceUnavailableException
from ecrsim.core.sealing import Seal

drivers["postgresql"] = Driver(insert)

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
#: The first release of PostgreSQL that has all that is used.
_OLDEST = 130_000
_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#: Who writes anything is alone; who writes one scope waits for him, and for others of the scope.
_ALONE = "BEGIN; SELECT pg_advisory_xact_lock({})"
_BESIDE = "BEGIN; SELECT pg_advisory_xact_lock_shared({}); "
#: Milliseconds that a write waits for others, as SQLite's does; and for which one that holds them up may do nothing: a
#: process that was stopped, or whose machine is gone.
_PATIENCE, _IDLE = 30_000, 60_000
#: Classes of SQLSTATE that are not the statement's fault: connections, resources, the operator, the system; what was
#: undone for the sake of others; a server that only reads, as one does that is about to be promoted.
_UNAVAILABLE = ("08", "40", "53", "57", "58", "XX", "25006", "25P03", "55P03")
#: Of them those that pass: undone for others' sake, or the server is coming back.
_AGAIN = ("08", "40", "57P")
#: No schema, no table: what is left of an ephemeral one for whoever had begun before.
_DROPPED = ("3F000", "42P01")

#: The sequences of the schema, with the table and the column that each gives numbers to, and the last one.
_SEQUENCES = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(s.relname) AS sequence, t.relname AS table, a.attname AS column,
        pg_sequence_last_value(s.oid) AS last
    FROM pg_class AS s JOIN pg_namespace AS n ON n.oid = s.relnamespace
    JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'a'
    JOIN pg_class AS t ON t.oid = d.refobjid
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE s.relkind = 'S' AND n.nspname = current_schema()
"""


class Number(Loader):
    """A sum of whole numbers, which PostgreSQL gives as `numeric`."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text or not text.lstrip("-").isdigit() else int(text)


class PostgresqlDatabase(Database):
    """`postgresql://HOST/DATABASE`. `durability` "power": the server waits for its disk, whatever it is set to."""

    is_shared: ClassVar[bool] = True
    readers: ClassVar[int] = 8
    writers: ClassVar[int] = 8

    def __init__(self, url: str, durability: str = "process", seal: Seal | None = None) -> None:
        super().__init__(url, durability, seal)
        self._durability = durability
        try:
            given = make_url(url)
        except (ArgumentError, ValueError):
            # Not by the words of the error: they may have a part of the password.
            raise ConfigError(
                "the URL of the database cannot be read: it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and what "
                "is special in a password stands there as %XX"
            ) from None
        schema = given.query.get("schema", "")
        self._url = given.difference_update_query(["schema"]).set(drivername=DRIVER)
        if not isinstance(schema, str) or (schema and not _SCHEMA.fullmatch(schema)):
            raise ConfigError("the schema of a database URL has lower case letters, digits and _")
        options: dict[str, Any] = {"application_name": "ecrsim", "connect_timeout": 10, "keepalives_idle": 30}
        options = {name: value for name, value in options.items() if name not in given.query}
        if schema:
            options["options"] = f"-c search_path={schema}"
        self._schema = schema
        self._engine = create_engine(
            self._url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            use_native_hstore=False,
            connect_args=options,
        )
        event.listen(self._engine, "connect", self._on_connect)
        self._options = options
        # Rights have names of their own: who has the right "delivery" writes the scope "delivery".
        everything = key_of(schema, "scope")
        self._lock, self._beside = _ALONE.format(everything).encode(), _BESIDE.format(everything).encode()
        self._rights = Rights(schema, self._connect)
        self._words = Words(schema, self._connect)

    def _on_connect(self, connection: psycopg.Connection[Any], record: Any) -> None:
        record.info["seal"] = self._seal
        connection.prepare_threshold = 0
        connection.prepared_max = 1000
        # One type for all whole numbers: a statement is prepared for each combination of types.
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_loader("numeric", Number)
        settings = f"SET lock_timeout = {_PATIENCE}; SET idle_in_transaction_session_timeout = {_IDLE}"
        if self._durability == "power":
            settings += (
                "; SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.pgconn.exec_(settings.encode())

    def _connect(self) -> psycopg.Connection[Any]:
        """A connection for rights or words, besides those of transactions. psycopg.Error."""
        positional, named = self._engine.dialect.create_connect_args(self._url)
        return psycopg.connect(*positional, **{**named, **self._options}, autocommit=True)

    # --- opening ------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.url

    @property
    def url(self) -> str:
        shown = self._url.set(drivername="postgresql", password=None)
        if self._schema:
            shown = shown.update_query_dict({"schema": self._schema})
        return str(shown)

    def exists(self) -> bool:
        with self._translated():
            connection = self._take()
            try:
                return bool(self._tables(connection))
            finally:
                self._give(connection)

    def open(self, first: Callable[[], Mapping[str, str]] = dict) -> None:
        self._is_closed = False
        self._rights = Rights(self._schema, self._connect)
        self._words = Words(self._schema, self._connect)
        try:
            with self._translated():
                self._prepared(first)
        except BaseException:
            self.close()
            raise

    def _prepared(self, first: Callable[[], Mapping[str, str]]) -> None:
        connection = self._take()
        try:
            raw = _raw(connection)
            if raw.info.server_version < _OLDEST:
                release = raw.info.server_version // 10_000
                raise SchemaMismatch(f"the server is PostgreSQL {release}; 13 or later is needed")
            if raw.info.parameter_status("server_encoding") != "UTF8":
                raise SchemaMismatch("the encoding of the database is not UTF8")
            _do(raw, self._lock)
            try:
                if self._schema:
                    connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
                self._check_owner(connection)
                self._prepare_schema(connection, first)
                self._commit(connection)
            finally:
                _undo(connection)
        finally:
            self._give(connection)

    def drop(self) -> None:
        """Forget the schema with all that is in it: an ephemeral one ends with its ecrsim."""
        self.close()
        # Not one that others could take: who still asks is to be refused.
        with self._translated(), self._engine.connect() as connection:
            connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{self._schema}" CASCADE')

    def _tables(self, connection: Connection) -> set[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        return set(connection.exec_driver_sql(query).scalars())

    def _do_all(self, connection: Connection, statements: list[str]) -> None:
        _do(_raw(connection), "; ".join(statements).encode())

    def faults(self, connection: Connection) -> Iterator[str]:
        query = (
            "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = current_schema() AND NOT (i.indisvalid AND i.indisready)"
        )
        for index in connection.exec_driver_sql(query).scalars():
            yield f"the index {index} is not valid"

    def last_numbers(self, connection: Connection) -> dict[str, int]:
        return {each.table: each.last for each in connection.exec_driver_sql(_SEQUENCES) if each.last is not None}

    def go_on_from(self, connection: Connection, numbers: Mapping[str, int]) -> None:
        for each in connection.exec_driver_sql(_SEQUENCES).all():
            query = f'SELECT max("{each.column}") FROM "{each.table}"'  # noqa: S608 - names of ours
            # Where the other engine remembers no number, the highest that is there was the last.
            last = max(connection.exec_driver_sql(query).scalar() or 0, numbers.get(each.table, 0))
            if last:
                connection.exec_driver_sql("SELECT setval(%s::regclass, %s)", (each.sequence, last))

    # --- what all processes share -------------------------------------------------------------------------------------

    def word(self, name: str, value: int) -> Word:
        with self._translated():
            return self._words.word(name, value)

    def hold(self, name: str, *, wait: bool = True) -> Right | None:
        if wait:
            self.may_wait()
        with self._translated():
            return self._rights.hold(name, wait=wait)

    def close(self) -> None:
        self._words.close()
        self._rights.close()
        super().close()

    # --- connections --------------------------------------------------------------------------------------------------

    def _begun(self, statement: bytes) -> Connection:
        """A connection on which the statement was done. One that the server has ended meanwhile is replaced."""
        while True:
            is_kept = bool(self._idle)
            connection = self._take()
            try:
                _do(_raw(connection), statement)
            except BaseException as error:
                is_over = isinstance(error, psycopg.OperationalError) and _is_lost(connection)
                self._give(connection)
                if is_kept and is_over:
                    continue
                raise
            return connection

    def _give(self, connection: Connection) -> None:
        with contextlib.suppress(DBAPIError, psycopg.Error):
            connection.rollback()  # Core's own bookkeeping
            _undo(connection)
        if connection.closed or _is_lost(connection):
            connection.invalidate()
            connection.close()
        elif len(self._idle) < self.spare and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()

    def begin(self) -> Connection:
        with self._translated():
            return self._begun(_READ)

    def end(self, connection: Connection) -> None:
        _undo(connection)
        self._give(connection)

    @contextlib.contextmanager
    def write(self, scope: str = "") -> Iterator[Connection]:
        self.may_wait()
        with self._translated():
            connection = self._begun(self._beside + self._locks(scope) if scope else self._lock)
            connection.info["scopes"] = {scope} if scope else set()
            try:
                yield connection
                self._commit(connection)
            except (RowConflict, IntegrityError) as error:
                if not scope:
                    raise
                # Somebody beside this one has made a row that both found missing. The next time it is there.
                raise ServiceUnavailableException(
                    f"Another request has stored the same meanwhile: {error}. Nothing was stored.", is_undone=True
                ) from error
            finally:
                _undo(connection)
                self._give(connection)

    def also(self, connection: Connection, scope: str) -> None:
        taken = connection.info["scopes"]
        # Who is alone is so with everything.
        if taken and scope not in taken:
            _do(_raw(connection), self._locks(scope))
            taken.add(scope)

    def _locks(self, scope: str) -> bytes:
        return f"SELECT pg_advisory_xact_lock({key_of(self._schema, f'scope {scope}')})".encode()

    def _commit(self, connection: Connection) -> None:
        result = _raw(connection).pgconn.exec_(b"COMMIT")
        if result.status != ExecStatus.COMMAND_OK:
            if _is_lost(connection):
                raise ServiceUnavailableException(
                    "The database was lost while it stored this. It is not known whether it did: look, or try again."
                )
            _raise(_raw(connection), result)
        if result.command_status != b"COMMIT":
            raise RuntimeError("an error inside of the transaction was passed over, and so all of it was undone")

    # --- errors -------------------------------------------------------------------------------------------------------

    def meaning(self, error: Exception) -> Exception | None:
        if isinstance(error, IntegrityError):
            return RowConflict(str(error.orig))
        found = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(found, psycopg.IntegrityError):
            return RowConflict(str(found))
        if isinstance(found, psycopg.DataError) and "NUL" in str(found):
            return InvalidParameterException("A text holds the character U+0000, which cannot be stored.")
        if isinstance(found, psycopg.errors.ProgramLimitExceeded):
            # Of what an index has, a third of a page: 2,704 bytes.
            return InvalidParameterException("A text is too long to be found by.")
        if not isinstance(found, psycopg.Error):
            return None
        if self._is_closed and found.sqlstate in _DROPPED:
            return ServiceUnavailableException("ecrsim has stopped. Nothing was stored.")
        is_lost = isinstance(found, psycopg.OperationalError | psycopg.InterfaceError) and found.sqlstate is None
        if is_lost or (found.sqlstate or "").startswith(_UNAVAILABLE):
            text = " ".join(str(found).split())
            is_undone = is_lost or (found.sqlstate or "").startswith(_AGAIN)
            return ServiceUnavailableException(
                f"The database cannot be used: {text}. Nothing was stored.", is_undone=is_undone
            )
        return None


def _raw(connection: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)


def _is_lost(connection: Connection) -> bool:
    return connection.invalidated or _raw(connection).pgconn.status != ConnStatus.OK


def _do(raw: psycopg.Connection[Any], statement: bytes) -> None:
    result = raw.pgconn.exec_(statement)
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        _raise(raw, result)


def _raise(raw: psycopg.Connection[Any], result: Any) -> None:
    if raw.pgconn.status != ConnStatus.OK:
        raise psycopg.OperationalError(raw.pgconn.get_error_message(raw.info.encoding))
    raise psycopg.errors.error_from_result(result, raw.info.encoding)


def _undo(connection: Connection) -> None:
    """End the transaction, if one is open."""
    if connection.closed or connection.invalidated:
        return
    raw = _raw(connection)
    if raw.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        raw.pgconn.exec_(b"ROLLBACK")


ENGINE = PostgresqlDatabase
