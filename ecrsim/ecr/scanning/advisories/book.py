"""All advisories of one ecrsim: what is there now, and how it is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ecrsim.core.clock import SECOND, Clock
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning import vex
from ecrsim.ecr.scanning.advisories import schema
from ecrsim.ecr.scanning.advisories.replacing import FILE, changed, check
from ecrsim.ecr.scanning.advisories.shipping import SHIPPED, load_shipped, shipped_in_memory
from ecrsim.ecr.scanning.advisories.snapshot import Ignored, Refusal, Snapshot, Source
from ecrsim.ecr.scanning.advisories.writing import Entry, Writer, add_source, remove_source
from ecrsim.ecr.scanning.advisory import Advisory, Affected

#: The source of records that a test or program adds; a reset forgets it.
ADDED = "added"
#: Seconds that a change waits for another one.
_PATIENCE = 10.0
_NOTHING = (0, 0, 0)


class Imported(NamedTuple):
    """What became of records."""

    records: int
    refused: list[Refusal]


class Advisories:
    """The advisories in a data directory. Threads may share it; other processes may change them."""

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self.directory = directory
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

    def sources(self) -> list[Source]:
        return self.snapshot().sources()

    def refused(self, source: str | None = None) -> list[Refusal]:
        return self.snapshot().refused(source)

    def ignored(self) -> list[Ignored]:
        return self.snapshot().ignored()

    def statements(self) -> list[dict[str, Any]]:
        return self.snapshot().statements()

    # --- changing -----------------------------------------------------------------------------------------------------

    def import_records(self, source: str, records: Iterable[Any], *, place: str = "") -> Imported:
        """Make `records` all that a source says; documents in the OSV schema. AdvisoriesBusy.

        Those that are refused are in the result, with the reason of each; the others are there when it returns.
        """
        return self._write(source, "imported", place, [Entry(place or source, each) for each in records], anew=True)

    def add(self, records: Iterable[Any]) -> Imported:
        """Add records to those of the source `added`, which a reset forgets. One of the same id is replaced."""
        return self._write(ADDED, ADDED, "", [Entry(ADDED, each) for each in records], anew=False)

    def put(self, records: Iterable[Any]) -> Imported:
        """Make `records` all that was ever added."""
        return self._write(ADDED, ADDED, "", [Entry(ADDED, each) for each in records], anew=True)

    def _write(self, source: str, kind: str, place: str, entries: list[Entry], *, anew: bool) -> Imported:
        with changed(self.directory, _PATIENCE) as connection:
            if kind == "imported":
                _drop_default(connection)
            if anew:
                remove_source(connection, source)
            found = connection.execute("SELECT number FROM sources WHERE name = ?", (source,)).fetchone()
            number = add_source(connection, source, kind, place, self.now()) if found is None else found[0]
            connection.execute("UPDATE sources SET imported_at = ? WHERE number = ?", (self.now(), number))
            writer = Writer(connection, number)
            before, refused = writer.records, []
            for entry in entries:
                if not anew:
                    before -= writer.forget(entry)
                reason = writer.write(entry)
                if reason is not None:
                    refused.append(Refusal(source, entry.place, _id_of(entry.document), str(reason)))
            writer.finish()
            return Imported(writer.records - before, refused)

    def remove(self, source: str) -> bool:
        """Remove a source; False when there is none. With the last one the shipped set comes back. AdvisoriesBusy."""
        if all(each.name != source for each in self.sources()):
            return False
        with changed(self.directory, _PATIENCE) as connection:
            found = remove_source(connection, source)
            left = connection.execute("SELECT count(*) FROM sources").fetchone()[0]
            if not left and source != SHIPPED:
                load_shipped(connection, SHIPPED)
        return found

    def ignore(self, id: str, *, repository: str = "", until: float | None = None, reason: str = "") -> None:
        """Let nobody hear of a vulnerability, in one repository or in all, until a time in seconds. AdvisoriesBusy."""
        with changed(self.directory, _PATIENCE) as connection:
            row = (id, repository, until, reason, self.now())
            connection.execute("INSERT OR REPLACE INTO ignored VALUES (?, ?, ?, ?, ?)", row)

    def heed(self, id: str, *, repository: str = "") -> bool:
        """Ignore it no longer; False when it was not ignored. AdvisoriesBusy."""
        if all((each.id, each.repository) != (id, repository) for each in self.ignored()):
            return False
        with changed(self.directory, _PATIENCE) as connection:
            connection.execute("DELETE FROM ignored WHERE id = ? AND repository = ?", (id, repository))
        return True

    def put_document(self, name: str, document: Any) -> int:
        """Heed an OpenVEX document in place of the one of that name. Returns how many statements it has. VexError."""
        found = vex.statements(document)
        with changed(self.directory, _PATIENCE) as connection:
            connection.execute("DELETE FROM statements WHERE document = ?", (name,))
            rows = [(name, place, schema.packed(each.to_json())) for place, each in enumerate(found)]
            connection.executemany("INSERT INTO statements VALUES (?, ?, ?)", rows)
        return len(found)

    def forget(self) -> None:
        """What a reset forgets: what was added, and all suppressions. What was imported stays."""
        if not (self.directory / FILE).exists():
            return
        now = self.snapshot()
        if now.ignored() or now.statements() or any(each.kind == ADDED for each in now.sources()):
            with changed(self.directory, _PATIENCE) as connection:
                remove_source(connection, ADDED)
                connection.execute("DELETE FROM ignored")
                connection.execute("DELETE FROM statements")


def open_advisories(place: Runtime | Path) -> Advisories:
    """The advisories of a running ecrsim, one object for all its threads, or of a data directory."""
    if isinstance(place, Runtime):
        found = place.memory.get("advisories")
        if not isinstance(found, Advisories):
            clock = place.clock
            found = place.memory["advisories"] = Advisories(place.data_dir, lambda: clock.now() / SECOND)
        return found
    clock = Clock()
    return Advisories(place, lambda: clock.now() / SECOND)


def _drop_default(connection: Any) -> None:
    """The shipped set is there for want of anything else, unless it was imported by name."""
    if connection.execute("SELECT 1 FROM sources WHERE name = ? AND kind = ?", (SHIPPED, SHIPPED)).fetchone():
        remove_source(connection, SHIPPED)


def _id_of(document: Any) -> str:
    found = document.get("id") if isinstance(document, dict) else ""
    return found if isinstance(found, str) else ""
