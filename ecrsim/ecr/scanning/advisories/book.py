"""All advisories of one ecrsim: what is there now, and how it is changed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ecrsim.core.clock import Clock
from ecrsim.core.durations import SECOND
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning import vex
from ecrsim.ecr.scanning.advisories import schema
from ecrsim.ecr.scanning.advisories.replacing import FILE, changed, check
from ecrsim.ecr.scanning.advisories.sharing import share
from ecrsim.ecr.scanning.advisories.shipping import SHIPPED, load_shipped, shipped_in_memory
from ecrsim.ecr.scanning.advisories.snapshot import AdvisorySource, Ignored, Refusal, Snapshot
from ecrsim.ecr.scanning.advisories.writing import RecordInFile, Writer, add_source, drop_default, remove_source
from ecrsim.ecr.scanning.advisory import Advisory, Affected

#: The source of records that a test or program adds; a reset forgets it.
ADDED = "added"
#: Seconds that a change waits for another one.
_PATIENCE = 10.0
_NOTHING = (0, 0, 0)


class RecordsRefused(ValueError):
    """Records that were to be added are not in the OSV schema; the text says which, and why."""


class Imported(NamedTuple):
    """What became of records."""

    records: int
    refused: list[Refusal]


#: Who is told when an ecrsim changes its own advisories.
_told: list[Callable[[Runtime], object]] = []


def when_changed(tell: Callable[[Runtime], object]) -> None:
    """Let `tell` be called after each change that a running ecrsim makes itself."""
    if tell not in _told:
        _told.append(tell)


class Advisories:
    """The advisories in a data directory. Threads may share it; other processes may change them."""

    def __init__(self, directory: Path, now: Callable[[], float], runtime: Runtime | None = None) -> None:
        self.directory = directory
        self._runtime = runtime
        self.now = now
        self._lock = threading.Lock()
        self._seen = _NOTHING
        self._snapshot: Snapshot | None = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What is there now, for as long as it is held. AdvisoriesDamaged."""
        file = self.directory / FILE
        with self._lock:
            try:
                found = file.stat()
                seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            except FileNotFoundError:
                seen = _NOTHING
            if self._snapshot is None or seen != self._seen:
                if seen == _NOTHING:
                    self._snapshot = Snapshot(shipped_in_memory())
                else:
                    check(file)
                    self._snapshot = Snapshot(schema.open_to_read(file))
                self._seen = seen
            return self._snapshot

    @property
    def revision(self) -> str:
        """Another one after each import, removal and suppression, whichever process did it; one `stat` if none."""
        return self.snapshot().revision

    @property
    def updated_at(self) -> float:
        """When advisories came in last, in seconds since 1970."""
        return self.snapshot().updated_at

    def about(self, ecosystem: str, name: str) -> list[Affected]:
        return self.snapshot().about(ecosystem, name)

    def record(self, number: int) -> Advisory:
        return self.snapshot().record(number)

    def find(self, name: str) -> list[Advisory]:
        """The advisories whose id, alias or upstream this is: `find("CVE-2024-3094")`."""
        return self.snapshot().find(name)

    def sources(self) -> list[AdvisorySource]:
        return self.snapshot().sources()

    def refused(self, source: str | None = None) -> list[Refusal]:
        return self.snapshot().refused(source)

    def ignored(self) -> list[Ignored]:
        return self.snapshot().ignored()

    def statements(self) -> list[vex.VexStatement]:
        """What OpenVEX documents say, each document's statements in their order."""
        return self.snapshot().statements()

    def documents(self) -> list[tuple[str, int]]:
        """The OpenVEX documents that are heeded, and how many statements each has."""
        return self.snapshot().documents()

    # --- changing -----------------------------------------------------------------------------------------------------

    def import_records(self, source: str, records: Iterable[Any], *, place: str = "") -> Imported:
        """Make `records` all that a source says; documents in the OSV schema. AdvisoriesBusy.

        Those that are refused are in the result, with the reason of each; the others are there when it returns.
        """
        refused = []
        with self._changed() as connection:
            drop_default(connection)
            remove_source(connection, source)
            writer = Writer(connection, add_source(connection, source, "imported", place, self.now()))
            for each in records:
                reason = writer.write(RecordInFile(place or source, each))
                if reason is not None:
                    refused.append(Refusal(source, place or source, _id_of(each), str(reason)))
            writer.finish()
        return Imported(writer.records, refused)

    def add(self, *records: Any) -> None:
        """Add records to those that were added; one of the same id is replaced. RecordsRefused, and nothing is changed.

        A reset forgets what was added. Records are dicts in the OSV schema.
        """
        with self._changed() as connection:
            self._take(connection, records)

    def replace_added(
        self, records: list[Any] | None, ignored: list[tuple[str, str, float | None, str]] | None, documents: Any = None
    ) -> None:
        """Make these all that was added: records, what is ignored (id, repository, until, reason), OpenVEX documents.

        None leaves a part as it is. RecordsRefused, VexError; then nothing is changed.
        """
        heeded = None if documents is None else [vex.statements(each) for each in documents]
        with self._changed() as connection:
            if records is not None:
                remove_source(connection, ADDED)
                self._take(connection, records)
            if ignored is not None:
                connection.execute("DELETE FROM ignored")
                rows = [(*each, self.now()) for each in ignored]
                connection.executemany("INSERT OR REPLACE INTO ignored VALUES (?, ?, ?, ?, ?)", rows)
            if heeded is not None:
                connection.execute("DELETE FROM statements")
                for place, found in enumerate(heeded):
                    _insert_statements(connection, f"document {place + 1}", found)

    @contextmanager
    def _changed(self) -> Iterator[sqlite3.Connection]:
        if self._runtime is not None:
            share(self._runtime)
        with changed(self.directory, _PATIENCE) as connection:
            yield connection
        if self._runtime is not None:
            share(self._runtime)
            for tell in _told:
                tell(self._runtime)

    def _take(self, connection: sqlite3.Connection, records: Iterable[Any]) -> None:
        found = connection.execute("SELECT number FROM sources WHERE name = ?", (ADDED,)).fetchone()
        number = add_source(connection, ADDED, ADDED, "", self.now()) if found is None else found[0]
        connection.execute("UPDATE sources SET imported_at = ? WHERE number = ?", (self.now(), number))
        writer = Writer(connection, number)
        refused = []
        for place, each in enumerate(records):
            entry = RecordInFile(f"record {place + 1}", each)
            writer.forget(entry)
            reason = writer.write(entry)
            if reason is not None:
                refused.append(f"{entry.place} ({_id_of(each) or 'no id'}): {reason}")
        writer.finish()
        if refused:
            raise RecordsRefused("; ".join(refused))

    def remove(self, source: str) -> bool:
        """Remove a source; False when there is none. With the last one the shipped set comes back. AdvisoriesBusy."""
        if all(each.name != source for each in self.sources()):
            return False
        with self._changed() as connection:
            found = remove_source(connection, source)
            left = connection.execute("SELECT count(*) FROM sources").fetchone()[0]
            if not left and source != SHIPPED:
                load_shipped(connection, SHIPPED)
        return found

    def ignore(self, id: str, *, repository: str = "", until: float | None = None, reason: str = "") -> None:
        """Let nobody hear of a vulnerability, in one repository or in all, until a time in seconds. AdvisoriesBusy."""
        with self._changed() as connection:
            row = (id, repository, until, reason, self.now())
            connection.execute("INSERT OR REPLACE INTO ignored VALUES (?, ?, ?, ?, ?)", row)

    def heed(self, id: str, *, repository: str = "") -> bool:
        """Ignore it no longer; False when it was not ignored. AdvisoriesBusy."""
        if all((each.id, each.repository) != (id, repository) for each in self.ignored()):
            return False
        with self._changed() as connection:
            connection.execute("DELETE FROM ignored WHERE id = ? AND repository = ?", (id, repository))
        return True

    def put_document(self, name: str, document: Any) -> int:
        """Heed an OpenVEX document in place of the one of that name. Returns how many statements it has. VexError."""
        found = vex.statements(document)
        with self._changed() as connection:
            connection.execute("DELETE FROM statements WHERE document = ?", (name,))
            _insert_statements(connection, name, found)
        return len(found)

    def forget(self) -> None:
        """What a reset forgets: what was added, and all suppressions. What was imported stays."""
        if not (self.directory / FILE).exists():
            return
        now = self.snapshot()
        if now.ignored() or now.statements() or any(each.kind == ADDED for each in now.sources()):
            with self._changed() as connection:
                remove_source(connection, ADDED)
                connection.execute("DELETE FROM ignored")
                connection.execute("DELETE FROM statements")


def open_advisories(place: Runtime | Path) -> Advisories:
    """The advisories of a running ecrsim, one object for all its threads, or of a data directory."""
    if isinstance(place, Runtime):
        found = place.memory.get("advisories")
        if not isinstance(found, Advisories):
            clock = place.clock
            found = place.memory["advisories"] = Advisories(place.data_dir, lambda: clock.now() / SECOND, place)
        return found
    clock = Clock()
    return Advisories(place, lambda: clock.now() / SECOND)


def _insert_statements(connection: sqlite3.Connection, name: str, found: list[vex.VexStatement]) -> None:
    rows = [(name, place, schema.packed(each.to_json())) for place, each in enumerate(found)]
    connection.executemany("INSERT INTO statements VALUES (?, ?, ?)", rows)


def _id_of(document: Any) -> str:
    found = document.get("id") if isinstance(document, dict) else ""
    return found if isinstance(found, str) else ""
