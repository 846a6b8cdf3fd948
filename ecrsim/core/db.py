"""The database: one engine, readers that never wait, writers one at a time.

SQLAlchemy Core throughout; importing its ORM costs 115 ms and 6 MB at start and no call here needs it. On SQLite a
writer takes a lock of this process and then one on a file beside the database, so that writers of several workers queue
in the kernel instead of polling SQLite's busy handler; readers see the last commit (WAL) and are never blocked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import (
    Column,
    Connection,
    String,
    Table,
    Text,
    create_engine,
    create_mock_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from ecrsim.blobs import private
from ecrsim.core import migrations
from ecrsim.core.columns import metadata
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.locks import Hold, hold
from ecrsim.core.sealing import KeyMismatch, Seal
from ecrsim.core.words import shared_word

#: SQLite's errors that are not the statement's fault.
_UNAVAILABLE = (
    "disk is full",
    "readonly database",
    "disk I/O error",
    "unable to open database",
    "database is locked",
)

properties = Table(
    "properties", metadata, Column("name", String, primary_key=True), Column("value", Text, nullable=False)
)


class MustWait(BaseException):
    """A write was begun in a thread that may not wait (`Database.never_wait_in`): the work is to be done in another.

    Not an Exception: nobody on the way answers for it. What the work did so far is undone.
    """

    #: Where it is to be done (`core/web.py: Runs`).
    runs: Literal["writer"] = "writer"


class SchemaMismatch(Exception):
    """The database cannot be read: of another version, of another program, or sealed with a key that is not here."""


class RowConflict(Exception):
    """A row cannot be: another one has its key, or what it refers to is gone."""


class Database:
    """Connections to one database. `durability` "power" makes each commit wait for the disk, "process" does not."""

    def __init__(self, url: str, durability: str = "process", seal: Seal | None = None) -> None:
        self._seal = seal
        self._idle: deque[Connection] = deque()
        self._writer = threading.Lock()
        self._hasty = 0
        self._watching: Connection | None = None
        self._synchronous = "FULL" if durability == "power" else "NORMAL"
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            connect_args={"isolation_level": None, "check_same_thread": False, "timeout": 30},
        )
        path = self._engine.url.database
        self._path = None if not path or path == ":memory:" else Path(path)
        self._lock_file: int | None = None
        self._is_closed = False
        event.listen(self._engine, "connect", self._on_connect)

    def _on_connect(self, connection: sqlite3.Connection, record: Any) -> None:
        record.info["seal"] = self._seal
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=30000")
        # Pages are served from the kernel's cache through the map: idle connections then hold little of their own.
        connection.execute("PRAGMA cache_size=-512")
        connection.execute("PRAGMA mmap_size=1073741824")
        # 32 MB of log between two checkpoints: with SQLite's 4 MB they were half the time of a push.
        connection.execute("PRAGMA wal_autocheckpoint=8000")

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self, first: Callable[[], Mapping[str, str]] = dict) -> None:
        """Create or check the schema. SchemaMismatch; ServiceUnavailableException when it cannot be opened.

        `first` gives properties of a database that is made now, kept in the transaction that makes it. One that was
        closed can be opened again.
        """
        self._is_closed = False
        if self._path is not None:
            private.make_directory(self._path.parent)
            # SQLite gives its other files the mode of this one.
            private.make_file(self._path)
            self._lock_file = private.open_file(Path(f"{self._path}-writer"))
        try:
            with self._translated(), self._exclusive():
                self._give(self._prepared(first))
        except BaseException:
            self.close()
            raise

    def _prepared(self, first: Callable[[], Mapping[str, str]]) -> Connection:
        connection = self._take()
        try:
            _check_owner(connection)
            # Once, at creation: on each connect it fails with "database is locked" while another holds a lock.
            if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal" and self._path is not None:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            # A table that is made anew is dropped first, which would take all rows with it that refer to its rows.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            is_migrated = self._prepare_schema(connection, first)
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
            if is_migrated:
                _rewrite(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare_schema(self, connection: Connection, first: Callable[[], Mapping[str, str]]) -> bool:
        """Whether what was there had to be migrated."""
        present = _tables(connection)
        if not present:
            _create(connection)
            for name, value in {"schema_version": str(migrations.SCHEMA_VERSION), **first()}.items():
                connection.execute(insert(properties).values(name=name, value=value))
            self._bind_seal(connection)
            return False
        version = schema_version(connection)
        self._bind_seal(connection)
        is_due = version != migrations.SCHEMA_VERSION
        if is_due:
            migrations.upgrade(connection, version)
        if metadata.tables.keys() - present:
            # New since then, or of a part of ecrsim that was not loaded by whoever made the database.
            metadata.create_all(connection)
        return is_due

    def _bind_seal(self, connection: Connection) -> None:
        if self._seal is not None:
            try:
                self._seal.bind(connection)
            except KeyMismatch as error:
                raise SchemaMismatch(str(error)) from error

    def file(self, name: str) -> Path:
        """A file of this name beside the database, for what its processes share without a query."""
        if self._path is None:
            raise ValueError("a database in memory has no files beside it")
        return self._path.with_name(f"{self._path.name}-{name}")

    def word(self, name: str, value: int) -> memoryview:
        """Eight bytes of this name that all processes over the database share, set to `value` (`core/words.py`)."""
        return shared_word(self.file(name), value)

    def hold(self, name: str, *, wait: bool = True) -> Hold | None:
        """The right of this name, which one holder has among all processes over the database, until it is released.

        Without `wait`, None when somebody else has it.
        """
        return hold(self.file(name), wait=wait)

    @contextlib.contextmanager
    def exclusive(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """The same for a block. Without `wait`, False when somebody else has it."""
        held = self.hold(name, wait=wait)
        try:
            yield held is not None
        finally:
            if held is not None:
                held.release()

    def close(self) -> None:
        """Who still asks is refused: a connection that it began would bring the files back that are being deleted."""
        self._is_closed = True
        if self._watching is not None:
            self._idle.append(self._watching)
            self._watching = None
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    # --- connections --------------------------------------------------------------------------------------------------

    def _take(self) -> Connection:
        if self._is_closed:
            raise ServiceUnavailableException("ecrsim has stopped. Nothing was stored.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._engine.connect()

    def _give(self, connection: Connection) -> None:
        connection.rollback()  # Core's own bookkeeping; the transaction proper was ended by statement
        if len(self._idle) < 16 and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose statements see one state of the database."""
        with self._translated():
            connection = self.begin()
            try:
                yield connection
            finally:
                self.end(connection)

    def begin(self) -> Connection:
        """The connection of a `read` that lasts until `end`: for each request a generator would be a loss of time."""
        try:
            connection = self._take()
            try:
                _raw(connection).execute("BEGIN")
            except BaseException:
                self._give(connection)
                raise
        except (DBAPIError, sqlite3.OperationalError):
            with self._translated():
                raise
        return connection

    def end(self, connection: Connection) -> None:
        """The transaction is over."""
        _end(connection, "ROLLBACK")
        self._give(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends, and undone when it raises."""
        with self._translated(), self._exclusive():
            connection = self._take()
            try:
                _raw(connection).execute("BEGIN IMMEDIATE")
                yield connection
                _raw(connection).execute("COMMIT")
            except BaseException:
                _end(connection, "ROLLBACK")
                raise
            finally:
                self._give(connection)

    def never_wait_in(self, thread: int) -> None:
        """From now on this thread (its identifier) gets MustWait in place of a write."""
        self._hasty = thread

    def version(self) -> int | None:
        """A number that is another one after each commit, whoever made it. None in all threads that may wait.

        It takes a quarter of the time of a transaction that looks. What is read after it is of that version or later.
        """
        if threading.get_ident() != self._hasty or self._path is None:
            return None
        with contextlib.suppress(sqlite3.OperationalError):
            # A connection that never writes: to its own changes this number is blind.
            self._watching = self._watching or self._take()
            return int(_raw(self._watching).execute("PRAGMA data_version").fetchone()[0])
        return None

    def may_wait(self) -> None:
        """MustWait where the current thread may not."""
        if threading.get_ident() == self._hasty:
            raise MustWait

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        self.may_wait()
        with self._writer:
            if self._lock_file is None:
                yield
                return
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise RowConflict(str(error.orig)) from error
        except DBAPIError as error:
            if "file is not a database" in str(error.orig):
                raise SchemaMismatch("the file is not a database") from error
            raise self._unavailable(error.orig or error) or error from error
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) or error from error

    def _unavailable(self, error: BaseException) -> ServiceUnavailableException | None:
        text = str(error)
        if not any(sign in text for sign in _UNAVAILABLE):
            return None
        if "disk I/O error" in text and self._is_disk_full():
            text = os.strerror(errno.ENOSPC)  # SQLite says this only of the database itself, not of its shared memory
        return ServiceUnavailableException(f"The database cannot be used: {text}. Nothing was stored.")

    def _is_disk_full(self) -> bool:
        if self._path is None:
            return False
        try:
            status = os.statvfs(self._path.parent)
        except OSError:
            return False
        return status.f_bavail * status.f_frsize < 1 << 16


def _tables(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='table'").scalars())


def schema_version(connection: Connection) -> int:
    """The version of a database of ecrsim's. SchemaMismatch when this release cannot make it its own."""
    found = connection.execute(select(properties.c.value).where(properties.c.name == "schema_version")).scalar() or "0"
    version = int(found) if found.isascii() and found.isdigit() else 0
    if not migrations.OLDEST_VERSION <= version <= migrations.SCHEMA_VERSION:
        raise SchemaMismatch(
            f"the database has schema version {found}, this release of ecrsim reads version "
            f"{migrations.SCHEMA_VERSION}: use the release that wrote it, or begin with an empty data directory"
        )
    return version


def _create(connection: Connection) -> None:
    """Every table and index of an empty database: the text of SQLAlchemy, run in a tenth of the time that it needs."""
    statements: list[Any] = []
    metadata.create_all(create_mock_engine("sqlite://", lambda statement, *_: statements.append(statement)))
    for statement in statements:
        connection.exec_driver_sql(str(statement.compile(dialect=connection.dialect)))


def _rewrite(connection: Connection) -> None:
    """Leave nothing of what a migration took out in free pages and in the log. A full disk may keep it from that."""
    with contextlib.suppress(DBAPIError):
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _check_owner(connection: Connection) -> None:
    """Another program's database is refused before anything in it is changed."""
    tables = _tables(connection)
    if tables and properties.name not in tables:
        raise SchemaMismatch("the database is not one of ecrsim's")


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _end(connection: Connection, statement: str) -> None:
    raw = _raw(connection)
    if raw.in_transaction:
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk has rolled it back already
            raw.execute(statement)
