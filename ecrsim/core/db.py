"""The database as everything above it sees it: readers that never wait, writers whose changes are whole or none.

`Database(url)` is one of the engine that the URL names (`core/engines/`); nothing outside of the engines asks which.
SQLAlchemy Core throughout; importing its ORM costs 115 ms and 6 MB at start and no call here needs it.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

from sqlalchemy import Column, Connection, Engine, String, Table, Text, create_mock_engine, insert, select

from ecrsim.config import ConfigError
from ecrsim.core import migrations
from ecrsim.core.columns import metadata
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.sealing import KeyMismatch, Seal

properties = Table(
    "properties", metadata, Column("name", String, primary_key=True), Column("value", Text, nullable=False)
)


class MustWait(BaseException):
    """A write was begun in a thread that may not wait (`Database.never_wait_in`): the work is to be done in another.

    Not an Exception: nobody on the way answers for it. What the work did so far is undone.
    """

    #: Where it is to be done (`core/web.py: Runs`).
    runs: Literal["writer", "remote"] = "writer"


class MustAsk(MustWait):
    """What is asked for is behind a network, and the thread may not wait for that."""

    runs = "remote"


class SchemaMismatch(Exception):
    """The database cannot be read: of another version, of another program, or sealed with a key that is not here."""


class RowConflict(Exception):
    """A row cannot be: another one has its key, or what it refers to is gone."""


class Driver(NamedTuple):
    """What statements have to know of an engine's driver, beside its dialect."""

    #: An insert that can say what is done where the row is there already.
    insert: Callable[[Table], Any]
    #: The number of the row that was just inserted, where the driver knows it without being asked by RETURNING.
    new_number: Callable[[Any], int] | None = None


#: By the name of the dialect; an engine that is loaded adds its own.
drivers: dict[str, Driver] = {}


class Held(Protocol):
    """A right that is held until `release`, or until the connection is lost that it hangs on."""

    def is_held(self) -> bool:
        """Whether nobody else can have had it since it was taken. Ask before what two must not do."""
        ...

    def release(self) -> None: ...


class Database:
    """Connections to one database. `durability` "power" makes each commit wait for the disk, "process" does not."""

    #: How many reads of one worker may wait for the database at once; 0 where a read waits for nobody, and so is done
    #: on the loop itself.
    readers: ClassVar[int] = 0
    #: How many writes of one worker may be under way at once.
    writers: ClassVar[int] = 1
    #: Whether processes of several machines can have it.
    is_shared: ClassVar[bool] = False
    #: Connections that are kept when nobody needs them.
    spare: ClassVar[int] = 16

    _engine: Engine

    def __new__(cls, url: str, *_: Any, **__: Any) -> Self:
        """An instance of the engine of the URL. ConfigError when its driver is not installed."""
        if cls is not Database:
            return object.__new__(cls)
        name = "sqlite" if url.startswith("sqlite:") else "postgresql"
        # Loaded for the URL that is there: the driver of the other one would be a tenth of a worker's start.
        try:
            engine: type[Self] = importlib.import_module(f"ecrsim.core.engines.{name}").ENGINE
        except ModuleNotFoundError as error:
            raise ConfigError(f"{error.name} is not installed: pip install 'ecrsim[{name}]'") from error
        return object.__new__(engine)

    def __init__(self, url: str, durability: str = "process", seal: Seal | None = None) -> None:
        self._seal = seal
        self._idle: deque[Connection] = deque()
        self._hasty = 0
        self._is_closed = False

    # --- opening ------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Where it is, without secrets: the path of a file, or a URL."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The URL that names it, without secrets."""
        return self.name

    def exists(self) -> bool:
        """Whether it was ever opened. Nothing is made by the question. ServiceUnavailableException."""
        raise NotImplementedError

    def schema_version(self) -> int | None:
        """The version of one that was not opened yet; None of an empty one, whose first opening was cut off.

        Nothing is changed. SchemaMismatch where it cannot be opened.
        """
        with self.read() as connection:
            self._check_owner(connection)
            return schema_version(connection) if self._tables(connection) else None

    def last_numbers(self, connection: Connection) -> dict[str, int]:
        """The last number that each table gave to a row, by its name: of tables that never give a number again."""
        raise NotImplementedError

    def go_on_from(self, connection: Connection, numbers: Mapping[str, int]) -> None:
        """Let these tables give higher numbers than these from now on, in the open write transaction."""
        raise NotImplementedError

    def elsewhere(self, name: str, property: str) -> str | None:
        """A property of another database of this engine, by its name.

        None when it has none, is this one, is gone, is none of ecrsim's, or cannot be seen from here. Nothing is
        changed.
        """
        return None

    def open(self, first: Callable[[], Mapping[str, str]] = dict) -> None:
        """Create or check the schema. SchemaMismatch; ServiceUnavailableException when it cannot be opened.

        `first` gives properties of a database that is made now, kept in the transaction that makes it. One that was
        closed can be opened again.
        """
        raise NotImplementedError

    def _prepare_schema(self, connection: Connection, first: Callable[[], Mapping[str, str]]) -> bool:
        """Whether what was there had to be migrated."""
        present = self._tables(connection)
        if not present:
            self._create(connection)
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

    def drop(self) -> None:
        """Forget all of it, files aside: an ephemeral one ends with its ecrsim."""

    def _tables(self, connection: Connection) -> set[str]:
        """The names of all tables that there are."""
        raise NotImplementedError

    def _create(self, connection: Connection) -> None:
        """Every table and index of an empty database: the text of SQLAlchemy, run in a tenth of the time it needs."""
        statements: list[Any] = []
        mock = create_mock_engine(f"{connection.dialect.name}://", lambda statement, *_: statements.append(statement))
        metadata.create_all(mock)
        self._do_all(connection, [str(statement.compile(dialect=connection.dialect)) for statement in statements])

    def empty(self, connection: Connection, tables: Iterable[Table]) -> None:
        """Delete all rows of these tables, in this order."""
        self._do_all(connection, [f"DELETE FROM {table.name}" for table in tables])  # noqa: S608 - names of ours

    def _do_all(self, connection: Connection, statements: list[str]) -> None:
        """Statements without parameters, in one exchange where the engine has a server."""
        for statement in statements:
            connection.exec_driver_sql(statement)

    def _check_owner(self, connection: Connection) -> None:
        """Another program's database is refused before anything in it is changed."""
        tables = self._tables(connection)
        if tables and properties.name not in tables:
            raise SchemaMismatch("the database is not one of ecrsim's")

    def faults(self, connection: Connection) -> Iterator[str]:
        """What is damaged in the database itself, each in a clause."""
        raise NotImplementedError

    # --- what all processes share -------------------------------------------------------------------------------------

    def word(self, name: str, value: int) -> Any:
        """Eight bytes of this name that all processes over the database share, set to `value` (`core/words.py`)."""
        raise NotImplementedError

    def hold(self, name: str, *, wait: bool = True) -> Held | None:
        """The right of this name, which one holder has among all processes over the database, until it is released.

        Without `wait`, None when somebody else has it.
        """
        raise NotImplementedError

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
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

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
        if len(self._idle) < self.spare and not self._is_closed:
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
        raise NotImplementedError

    def end(self, connection: Connection) -> None:
        """The transaction is over."""
        raise NotImplementedError

    def write(self, scope: str = "") -> contextlib.AbstractContextManager[Connection]:
        """A transaction that is committed when the block ends, and undone when it raises.

        `scope` names what alone it concerns, such as a repository (`core/registry.py: Registry.scope`): an engine may
        let it run beside those of other scopes. Without one it is alone.
        """
        raise NotImplementedError

    def also(self, connection: Connection, scope: str) -> None:
        """From now on the open write transaction concerns this as well: no other one does until it ends."""

    def never_wait_in(self, thread: int) -> None:
        """From now on this thread (its identifier) gets MustWait in place of a write."""
        self._hasty = thread

    def version(self) -> int | None:
        """A number that is another one after each commit, whoever made it. None in all threads that may wait.

        It takes a quarter of the time of a transaction that looks. What is read after it is of that version or later.
        """
        return None

    def may_wait(self) -> None:
        """MustWait where the current thread may not."""
        if threading.get_ident() == self._hasty:
            raise MustWait

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            meant = self.meaning(error)
            if meant is None:
                raise
            raise meant from error

    def meaning(self, error: Exception) -> Exception | None:
        """What an error of the driver means: RowConflict, SchemaMismatch, ServiceUnavailableException; None: itself."""
        raise NotImplementedError


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
