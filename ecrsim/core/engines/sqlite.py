"""SQLite: one file, readers that never wait, writers one at a time.

A writer takes a lock of this process and then one on a file beside the database, so that writers of several workers
queue in the kernel instead of polling SQLite's busy handler; readers see the last commit (WAL) and are never blocked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from ecrsim.blobs import private
from ecrsim.core.columns import metadata
from ecrsim.core.db import Database, Driver, RowConflict, SchemaMismatch, drivers
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.locks import Hold, hold
from ecrsim.core.sealing import Seal
from ecrsim.core.words import shared_word

# Its driver knows the number without being asked, which costs a third less.
drivers["sqlite"] = Driver(insert, lambda cursor: int(cursor.lastrowid))

#: SQLite's errors that are not the statement's fault.
_UNAVAILABLE = (
    "disk is full",
    "readonly database",
    "disk I/O error",
    "unable to open database",
    "database is locked",
)


class SqliteDatabase(Database):
    """`sqlite:///PATH`."""

    def __init__(self, url: str, durability: str = "process", seal: Seal | None = None) -> None:
        super().__init__(url, durability, seal)
        self._writer = threading.Lock()
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

    @property
    def name(self) -> str:
        # With every link resolved: the same file by another name is the same database.
        return os.path.realpath(self._path) if self._path is not None else ":memory:"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.name}"

    def exists(self) -> bool:
        return self._path is not None and self._path.exists()

    def last_numbers(self, connection: Connection) -> dict[str, int]:
        rows = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence").all()
        return {str(name): int(number) for name, number in rows}

    def go_on_from(self, connection: Connection, numbers: Mapping[str, int]) -> None:
        for name, number in numbers.items():
            if not metadata.tables[name].dialect_options["sqlite"]["autoincrement"]:
                continue
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number))

    def elsewhere(self, name: str, property: str) -> str | None:
        file = Path(name)
        if not file.is_file() or (self._path is not None and self._path.exists() and file.samefile(self._path)):
            return None
        try:
            with closing(sqlite3.connect(f"file:{quote(name)}?mode=ro", uri=True, timeout=5)) as database:
                row = database.execute("SELECT value FROM properties WHERE name = ?", (property,)).fetchone()
        except sqlite3.Error:
            return None
        return str(row[0]) if row else None

    def open(self, first: Callable[[], Mapping[str, str]] = dict) -> None:
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
            self._check_owner(connection)
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

    def _tables(self, connection: Connection) -> set[str]:
        return set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='table'").scalars())

    def faults(self, connection: Connection) -> Iterator[str]:
        for text in connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars():
            if text != "ok":
                yield str(text)
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check").all()[:20]:
            yield f"a row of {row[0]} belongs to a row of {row[2]} that is gone"

    def _file(self, name: str) -> Path:
        """A file of this name beside the database."""
        if self._path is None:
            raise ValueError("a database in memory has no files beside it")
        return self._path.with_name(f"{self._path.name}-{name}")

    def word(self, name: str, value: int) -> memoryview:
        return shared_word(self._file(name), value)

    def hold(self, name: str, *, wait: bool = True) -> Hold | None:
        return hold(self._file(name), wait=wait)

    def close(self) -> None:
        if self._watching is not None:
            self._idle.append(self._watching)
            self._watching = None
        super().close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def begin(self) -> Connection:
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
        _end(connection, "ROLLBACK")
        self._give(connection)

    @contextlib.contextmanager
    def write(self, scope: str = "") -> Iterator[Connection]:
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

    def version(self) -> int | None:
        if threading.get_ident() != self._hasty or self._path is None:
            return None
        with contextlib.suppress(sqlite3.OperationalError):
            # A connection that never writes: to its own changes this number is blind.
            self._watching = self._watching or self._take()
            return int(_raw(self._watching).execute("PRAGMA data_version").fetchone()[0])
        return None

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

    def meaning(self, error: Exception) -> Exception | None:
        if isinstance(error, IntegrityError):
            return RowConflict(str(error.orig))
        if isinstance(error, DBAPIError):
            if "file is not a database" in str(error.orig):
                return SchemaMismatch("the file is not a database")
            return self._unavailable(error.orig or error)
        return self._unavailable(error) if isinstance(error, sqlite3.OperationalError) else None

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


def _rewrite(connection: Connection) -> None:
    """Leave nothing of what a migration took out in free pages and in the log. A full disk may keep it from that."""
    with contextlib.suppress(DBAPIError):
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _end(connection: Connection, statement: str) -> None:
    raw = _raw(connection)
    if raw.in_transaction:
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk has rolled it back already
            raw.execute(statement)


ENGINE = SqliteDatabase
