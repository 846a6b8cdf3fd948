"""Whether database and blob store belong together, which everything that deletes bytes has to know.

A database that has never heard of a blob is no reason to delete it: it may be a new one, an empty file, or the one of
another server. So both carry one id, made once: a property of the database, and a file in the store
(`blobs/identity.py`). It is compared when ecrsim starts and before anything is deleted.

A store without an id is one of a release that made none, or a new one. It is taken over without ceremony where nothing
can be lost by it (`_claimable`); else the user says so (`ecrsim store adopt`).
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, Select, select

from ecrsim.blobs.base import BlobStore
from ecrsim.blobs.identity import StoreHome, StoreIdentity, StoreMismatch
from ecrsim.blobs.names import digest_in
from ecrsim.core import ids
from ecrsim.core.db import Database
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.properties import get_property, set_property

_ID, _OPENED = "store:id", "store:opened"
#: Digests or ids in one question to the database.
_BATCH = 500


class Names:
    """The names that tables hold of a store: those of blobs, or ids of upload sessions.

    A capability whose rows name some adds its column: what is not told here is garbage to those who collect.
    """

    def __init__(self) -> None:
        self._columns: list[Column[Any]] = []
        self._named: dict[Column[Any], Select[Any]] = {}

    def add(self, column: Column[Any], names: Select[Any] | None = None) -> None:
        """A column of names; or one of digests, with a query for the names in the store of all its rows."""
        self._columns.append(column)
        if names is not None:
            self._named[column] = names

    def among(self, connection: Connection, names: Collection[str]) -> set[str]:
        """Those of the names that a row of any table has."""
        wanted, found = set(names), set[str]()
        for column in self._columns:
            query: Select[Any] = self._named.get(column, select(column))
            of_digests = {digest_in(name) for name in names}
            rows = connection.execute(query.where(column.in_(of_digests)).distinct()).scalars()
            found.update(name for name in rows if name in wanted)
        return found

    def pages(self, reading: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Sequence[str]]:
        """All of them, each page in a transaction of its own; what several tables have may come again."""
        for column in self._columns:
            query = select(column).distinct().order_by(column).limit(_BATCH)
            page: Sequence[str] = [""]
            while page:
                with reading() as connection:
                    page = connection.execute(query.where(column > page[-1])).scalars().all()
                yield page

    def any(self, connection: Connection) -> bool:
        """Whether the tables name anything at all."""
        return any(connection.execute(select(column).limit(1)).first() for column in self._columns)


blob_names = Names()
upload_names = Names()


def batches(names: Iterator[str]) -> Iterator[list[str]]:
    """The names in lists that fit into one question."""
    while batch := list(islice(names, _BATCH)):
        yield batch


class Ownership:
    """The bond between one database and one store, which keeps at its home whose it is."""

    def __init__(self, database: Database, blobs: BlobStore, home: StoreHome) -> None:
        self._database = database
        self._name = database.name
        self._blobs = blobs
        self._home, self._place = home, home.place
        self._id = ""

    def open(self, now: float) -> None:
        """Check that they belong together, or make it so where that is safe. `now` in epoch seconds. StoreMismatch."""
        self._home.begin()
        try:
            self._id = self._own_id()
            found = self._home.read() or self._claim(now)
            self._compare(found)
            self._note_opening(found, now)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._home.end()

    def is_in_use(self) -> bool:
        """Whether anybody, here or elsewhere, has the store open."""
        try:
            with self._home.alone():
                return False
        except StoreMismatch:
            return True

    def check(self) -> StoreIdentity:
        """StoreMismatch when the store is not, or not any more, this one's."""
        found = self._home.read()
        if found is None:
            raise StoreMismatch(f"the blob store {self._place} has lost its store.json")
        self._compare(found)
        return found

    def check_openings(self) -> None:
        """As `check`, and StoreMismatch when another copy of the database has opened the store since.

        To be called before bytes are deleted, with no transaction open.
        """
        found = self.check()
        with self._database.read() as connection:
            if found.opened <= _openings(connection):
                return
        # A worker that opens the store right now writes the file before it commits: only its end tells.
        with self._database.write() as connection:
            found = self.check()
            if found.opened <= _openings(connection):
                return
            # The count goes up once more, so that the copy notices too: while both are there, neither deletes anything.
            self._home.write(found._replace(opened=found.opened + 1), replace=True)
        raise StoreMismatch(
            f"the blob store {self._place} was opened with another copy of the database {self._name}, perhaps "
            f"on another machine. Nothing is deleted until it is opened with this one alone, or given to it for "
            f"good: {self._adopt()}"
        )

    def adopt(self, now: float) -> str | None:
        """Make the store this database's, whoever had it. Returns the path of the database that had it."""
        with self._home.alone():
            try:
                before = self._home.read()
            except StoreMismatch:
                before = None
            # A new id for both: whoever shared the one before, as a copy does, has it no more.
            identity = StoreIdentity(ids.new_uuid(), self._name, self._place, now)
            with self._database.write() as connection:
                set_property(connection, _ID, identity.id)
                self._home.write(identity, replace=True)
        return before.database if before is not None and before.database != self._name else None

    def _own_id(self) -> str:
        with self._database.read() as connection:
            found = get_property(connection, _ID)
        if found is None:
            with self._database.write() as connection:
                found = get_property(connection, _ID)
                if found is None:
                    found = ids.new_uuid()
                    set_property(connection, _ID, found)
        return found

    def _compare(self, found: StoreIdentity) -> None:
        if found.id != self._id:
            whose = f"belongs to the database {found.database}, not to {self._name}"
            if found.database == self._name:
                whose = f"belongs to another database than the one that {self._name} is now"
            raise StoreMismatch(
                f"the blob store {self._place} {whose}: use its own database, or another store. To give it to this one "
                f"for good, and let go what only the other one names: {self._adopt()}"
            )
        is_here = found.root == self._place and found.database != self._name
        if is_here and self._database.elsewhere(found.database, _ID) == self._id:
            raise StoreMismatch(
                f"the database {self._name} is a copy of {found.database}, whose blob store {self._place} is: use that "
                f"one, or a copy of the store; to give the store to this copy for good: {self._adopt()}"
            )

    def _note_opening(self, found: StoreIdentity, now: float) -> None:
        """Both may have been moved since; the next comparison is with where they are now.

        A database that the store was opened with more often than it knows was restored from a backup. What it does not
        name may be named by the one before, which its user may want back: it has its grace period from now on.
        """
        here = found._replace(database=self._name, root=self._place)
        # Where nothing can be written, reading goes on; what deletes has to write.
        with contextlib.suppress(ServiceUnavailableException, PermissionError), self._database.write() as connection:
            # Another worker may have come first.
            last = self._home.read() or found
            known = _openings(connection)
            since = now if last.opened > known else last.since
            here = here._replace(since=since, opened=max(last.opened, known) + 1)
            set_property(connection, _OPENED, str(here.opened))
            # Before the commit: who dies in between is taken for restored, which costs a grace period.
            self._home.write(here, replace=True)

    def _claim(self, now: float) -> StoreIdentity:
        """Give the id to a store that has none. StoreMismatch where that might not be right."""
        # The transaction keeps the workers of one start apart; another database is held off by the file itself.
        with self._database.write() as connection:
            found = self._home.read()
            if found is None:
                # Unnamed bytes in the store have their grace period from now on.
                since = now if self._claimable(connection) else 0
                identity = StoreIdentity(self._id, self._name, self._place, since)
                self._home.write(identity)
                # Somebody else's, when another database was quicker.
                found = self._home.read() or identity
        return found

    def _claimable(self, connection: Connection) -> bool:
        """Raise unless nothing can be lost when this database takes the store over. Whether it holds anything unnamed.

        A store whose blobs are all named here loses none. One with blobs besides is this database's garbage if the two
        lie in one data directory under their usual names and know each other by some blob. In all other cases somebody
        else may name the rest. A database whose layers are all elsewhere has been started with a wrong store.
        """
        known = unknown = 0
        for digests in batches(digest for digest, _, _ in self._blobs.blobs()):
            named = blob_names.among(connection, digests)
            known, unknown = known + len(named), unknown + len(digests) - len(named)
        for sessions in batches(session for session, _, _ in self._blobs.uploads()):
            unknown += len(sessions) - len(upload_names.among(connection, sessions))
        if not known and not unknown and blob_names.any(connection):
            raise StoreMismatch(
                f"the database {self._name} names layers, and the blob store {self._place} has none: is that the right "
                f"directory, and is its disk mounted? To begin with an empty store: {self._adopt()}"
            )
        at_home = self._name == f"{self._place}/ecrsim.db"
        if unknown and not (at_home and known):
            raise StoreMismatch(
                f"the blob store {self._place} holds {unknown} blobs and uploads that the database {self._name} does "
                f"not name; another database may. If they belong together: {self._adopt()}"
            )
        return unknown > 0

    def _adopt(self) -> str:
        if self._name == f"{self._place}/ecrsim.db":
            return f"ecrsim store adopt --data-dir {shlex.quote(self._place)}"
        url, store = shlex.quote(self._database.url), shlex.quote(self._place)
        return f"ecrsim store adopt --database-url {url} --blob-store {store}"


def _openings(connection: Connection) -> int:
    """How often the database knows the store to have been opened."""
    return int(get_property(connection, _OPENED) or 0)
