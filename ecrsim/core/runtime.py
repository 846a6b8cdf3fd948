"""What one running ecrsim owns, and the unit of work that every request is."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, delete, inspect, select

from ecrsim.blobs import private
from ecrsim.blobs.base import BlobStore, KeyedStore, StoreUnwritable, UploadBusy
from ecrsim.blobs.identity import StoreMismatch
from ecrsim.config import Config
from ecrsim.core import ids
from ecrsim.core.admintoken import made_token
from ecrsim.core.batch import BatchingWriter
from ecrsim.core.clock import Clock
from ecrsim.core.clock_setting import configured, open_clock, turn
from ecrsim.core.columns import metadata
from ecrsim.core.db import Database, MustAsk, MustWait, SchemaMismatch, properties
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import ServiceError, ServiceUnavailableException
from ecrsim.core.ownership import Ownership, blob_names, upload_names
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.registry import Registry, root_arn
from ecrsim.core.sealing import NAME as SEAL_FILE
from ecrsim.core.sealing import Seal, SecretDamaged
from ecrsim.core.spaces import key_of_space
from ecrsim.core.stores import store_of
from ecrsim.core.upstream.registry import Upstreams
from ecrsim.core.upstream.wire import Settings

log = logging.getLogger("ecrsim")

#: Seconds that a job under way is given to come to a good place, when ecrsim stops.
_PATIENCE = 5
#: A property of the database: what is stored with it is encrypted.
_ENCRYPTED = "store:encrypted"
#: A property of the database: its data directory was somebody's before, and is not made private.
_SHARED = "data-dir:shared"
#: A property of the database: it is being copied into, from the one whose store has this id (`ecrsim db copy`).
COPYING = "copy:begun-of"


class Caller(NamedTuple):
    """The caller and the region: the account and principal of the access key or token, the region of the signature."""

    account: str
    region: str
    principal: str
    access_key: str = ""
    source_ip: str = "127.0.0.1"
    is_secure: bool = False
    #: api or registry, for the audit.
    plane: str = "api"
    #: ecr or ecr-public: which of the two was asked.
    service: str = "ecr"

    @property
    def registry(self) -> Registry:
        return Registry.of_service(self.service, self.account, self.region)


def is_encrypted(database: Database) -> bool:
    """Whether what is stored was begun with the setting `encrypt`. The database need not be open."""
    if not database.exists():
        return False
    with database.read() as connection:
        # One of another program is refused where it is opened.
        return inspect(connection).has_table("properties") and get_property(connection, _ENCRYPTED) is not None


def root_caller(account: str, region: str, access_key: str = "") -> Caller:
    return Caller(account, region, root_arn(account, region), access_key)


class Call:
    """One unit of work: the caller, a frozen `now`, and transactions that are as short as can be.

    `connection` opens a read transaction on first use. `writing()` ends it and opens a write transaction; bytes are
    moved while neither is open (`release()`).
    """

    __slots__ = (
        "_connection",
        "_is_reading",
        "caller",
        "decisions",
        "late_error",
        "lookups",
        "now",
        "origin",
        "request_id",
        "runtime",
    )

    def __init__(self, runtime: Runtime, caller: Caller, request_id: str, origin: str) -> None:
        self.runtime = runtime
        self.caller = caller
        self.request_id = request_id
        #: Decisions about the caller's rights so far, for the audit.
        self.decisions: list[Any] = []
        #: Values that are looked up once for the whole call, by capability.
        self.lookups: dict[str, Any] = {}
        #: The answer although the change is made, where something failed that undoes nothing.
        self.late_error: ServiceError | None = None
        #: Scheme and authority under which the caller reached ecrsim, for URLs in answers.
        self.origin = origin
        self.now = runtime.clock.now()
        self._connection: Connection | None = None
        self._is_reading = False

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self.runtime.database.begin()
            self._is_reading = True
        return self._connection

    @property
    def has_connection(self) -> bool:
        return self._connection is not None

    @property
    def is_writing(self) -> bool:
        """Whether a write transaction is open."""
        return self._connection is not None and not self._is_reading

    def release(self) -> None:
        """End the read transaction, if one is open."""
        if self._is_reading and self._connection is not None:
            connection, self._is_reading, self._connection = self._connection, False, None
            self.runtime.database.end(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """A read transaction that ends with the block, for work that goes on long after it has read."""
        try:
            _ = self.connection
            yield
        finally:
            self.release()

    @contextlib.contextmanager
    def writing(self, scope: str = "") -> Iterator[None]:
        """A write transaction around the block; inside an open one, part of it. `scope` as of `Database.write`."""
        if self._connection is not None and not self._is_reading:
            yield
            return
        self.release()
        with self.runtime.database.write(scope) as connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None


class _Calling:
    """A call for as long as its block lasts. A class, since each request has one and a generator takes longer."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> Call:
        return self._call

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._call.release()
        if error is not None:
            self._explain(error)

    def _explain(self, error: BaseException) -> None:
        if isinstance(error, StoreUnwritable):
            raise ServiceUnavailableException(f"The blob store cannot be used: {error}. Nothing was stored.") from error
        if isinstance(error, UploadBusy):
            raise ServiceUnavailableException("Another request is working on this upload. Try again.") from error
        if isinstance(error, Exception) and not isinstance(error, ServiceError):
            meant = self._call.runtime.database.meaning(error)
            if isinstance(meant, ServiceError):
                raise meant from error


def _upstream_settings(config: Config) -> Settings:
    return Settings(config.upstream_ca, config.http_proxy, config.https_proxy, config.no_proxy)


class Runtime:
    """Config, clock, database and bytes of one ecrsim. Several live in one process without knowing of each other."""

    def __init__(self, config: Config, clock: Clock | None = None, *, stopping: threading.Event | None = None) -> None:
        self.config = config
        self.clock = clock or Clock()
        #: Set when ecrsim is told to stop, for answers that would go on for ever.
        self.stopping = stopping or threading.Event()
        #: Whether it serves on, but is to be asked no more: it was told to stop, and waits for balancers to see that.
        self.is_draining: Callable[[], bool] = self.stopping.is_set
        self._temporary = tempfile.TemporaryDirectory(prefix="ecrsim-") if config.ephemeral else None
        self.data_dir = Path(self._temporary.name) if self._temporary else Path(config.data_dir)
        self.seal = Seal(Path(config.secret_key_file) if config.secret_key_file else self.data_dir / SEAL_FILE)
        self.database = Database(config.database_url_in(self.data_dir), config.durability, self.seal)
        store, home = store_of(config, self.data_dir, self._may_ask, partial(key_of_space, self))
        self.blobs: BlobStore = store
        #: The same store where it is encrypted.
        self.keyed_blobs: KeyedStore | None = cast(KeyedStore, store) if config.encrypt else None
        self.ownership = Ownership(self.database, self.blobs, home)
        self.batch = BatchingWriter(self.database)
        #: The ports that are really listened on, known once the server is up.
        self.port = config.port
        self.tls_port = config.tls_port
        self._secrets: dict[str, bytes] = {}
        #: Other registries that this ecrsim asks.
        self.upstreams = Upstreams(_upstream_settings(config), self.stopping.wait)
        #: The memory of this runtime, by capability; lost at a reset.
        self.memory: dict[str, object] = {}
        # By lane, each held by the thread that runs its jobs (`exclusively`).
        self._running: dict[str, threading.Lock] = {}

    def _may_ask(self) -> None:
        """MustAsk in a thread that may not wait for a network."""
        try:
            self.database.may_wait()
        except MustWait:
            raise MustAsk from None

    def open(self, started: str = "") -> None:
        """Make or check the data directory. SchemaMismatch, StoreMismatch, ServiceUnavailableException, OSError.

        `started`: one name for all workers of one start, so that the setting `clock` is obeyed once.
        """
        private.make_directory(self.data_dir)
        is_new = not self.config.database_file_in(self.data_dir).exists()
        self.database.open(self._first)
        try:
            self._refuse_half()
            self._check_encryption()
            self.ownership.open(self.clock.unturned() / SECOND)
        except BaseException:
            self.database.close()
            raise
        # Only now it is known to be ecrsim's.
        self._mend(is_new)
        open_clock(self.clock, self.database, self.config.clock, started)

    def _refuse_half(self) -> None:
        with self.database.read() as connection:
            if get_property(connection, COPYING) is not None:
                raise SchemaMismatch(
                    f"the database {self.database.name} is half a copy: let `ecrsim db copy` come to its end first"
                )

    def _check_encryption(self) -> None:
        """StoreMismatch when the data was begun otherwise than the setting says: half of it would be clear."""
        was_encrypted = is_encrypted(self.database)
        with self.database.read() as connection:
            is_empty = not (blob_names.any(connection) or upload_names.any(connection))
            is_empty = is_empty and not any(
                connection.execute(select(table).limit(1)).first()
                for name, table in metadata.tables.items()
                if name == "images"
            )
        if was_encrypted == self.config.encrypt:
            return
        if not is_empty:
            raise StoreMismatch(
                f"what is stored in {self.data_dir} is encrypted: say so, by --encrypt"
                if was_encrypted
                else f"what is stored in {self.data_dir} is not encrypted: leave out --encrypt, or begin with an empty "
                "data directory and copy the images"
            )
        with self.database.write() as connection:
            connection.execute(delete(properties).where(properties.c.name == _ENCRYPTED))
            if self.config.encrypt:
                set_property(connection, _ENCRYPTED, "1")

    def _mend(self, is_new: bool) -> None:
        """Make a directory private that an earlier release, or its user, made for all to read."""
        database = self.config.database_file_in(self.data_dir)
        place = self.config.blob_store_in(self.data_dir)
        store = self.data_dir if self.blobs.waits else Path(place)
        count = private.mend(self.data_dir, store, database, is_shared=self._is_shared())
        if count and not is_new:
            log.warning(
                "others on this machine could read %s: %d files and directories in it are their owner's alone now "
                "(0700, 0600)",
                self.data_dir,
                count,
            )

    def _first(self) -> dict[str, str]:
        """Of a data directory that was somebody's when ecrsim came: a project's, say, by `--data-dir .`."""
        if not private.holds_others(self.data_dir, self.config.database_file_in(self.data_dir)):
            return {}
        log.warning(
            "the data directory %s holds other things as well, and stays as open to others as it is; what ecrsim makes "
            "in it is its owner's alone",
            self.data_dir,
        )
        return {_SHARED: "1"}

    def _is_shared(self) -> bool:
        with self.database.read() as connection:
            return get_property(connection, _SHARED) is not None

    def close(self) -> None:
        self.stopping.set()
        end = time.monotonic() + _PATIENCE
        for running in list(self._running.values()):
            if running.acquire(timeout=max(end - time.monotonic(), 0)):
                running.release()
        self.upstreams.close()
        # The thread of the loop closes it, after its last request: from now on it may wait for the notes to be written.
        self.database.never_wait_in(0)
        self.batch.close()
        self.ownership.close()
        self.blobs.close()
        self.database.close()
        if self._temporary is not None:
            self.database.drop()
            self._temporary.cleanup()

    @contextlib.contextmanager
    def exclusively(self, lane: str = "", *, wait: bool = True) -> Iterator[bool]:
        """The right to run the jobs of a lane, for the block.

        Without `wait`, False when somebody else has it, here or elsewhere.
        """
        running = self._running.setdefault(lane, threading.Lock())
        if not running.acquire(blocking=wait):
            yield False
            return
        try:
            with self.database.exclusive(f"jobs-{lane}" if lane else "jobs", wait=wait) as allowed:
                yield allowed
        finally:
            running.release()

    def call(
        self, caller: Caller, request_id: str | None = None, origin: str | None = None
    ) -> contextlib.AbstractContextManager[Call]:
        """A unit of work. StoreUnwritable and UploadBusy leave it as ServiceUnavailableException, HTTP 503."""
        return _Calling(Call(self, caller, request_id or ids.new_uuid(), origin or f"http://localhost:{self.port}"))

    @cached_property
    def admin_token(self) -> str:
        """What the admin surface asks for, where it asks."""
        return self.config.admin_token or made_token(self.data_dir)

    def secret(self, name: str) -> bytes:
        """A key that all workers share and that outlives a restart."""
        found = self._secrets.get(name)
        if found is None:
            # One of a release that kept them in the database is good for as long as that database is.
            with self.database.read() as connection:
                sealed = get_property(connection, f"secret:{name}")
            kept = None
            try:
                kept = (
                    None if sealed is None else bytes.fromhex(self.seal.opened(sealed, "properties", f"secret:{name}"))
                )
            except SecretDamaged as error:
                log.error("%s; another is used, so that tokens and URLs made with it are good no more", error)  # noqa: TRY400
            found = self._secrets[name] = kept or self.seal.derived(name)
        return found

    def reset(self) -> None:
        """Forget every registry. Keys stay, so that who has logged in stays logged in; bytes go with the next gc.

        A job that is running comes to its end first: what it still writes would be about nothing. Advancing the clock
        ends with it. One in a lane of its own is not waited for: in the end it sees that it waits no more.
        """
        turn(self.clock, self.database, configured(self.config.clock, self.clock.unturned()))
        with self.exclusively():
            self.batch.flush()
            with self.database.write() as connection:
                tables = [table for table in reversed(metadata.sorted_tables) if table is not properties]
                self.database.empty(connection, tables)
                # The memory of workers about deleted rows carries a generation.
                connection.execute(delete(properties).where(properties.c.name.like("%:generation")))
            self.memory.clear()
            turn(self.clock, self.database, configured(self.config.clock, self.clock.unturned()))
