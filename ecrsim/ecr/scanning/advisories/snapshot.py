"""The advisories as they were at one moment: reading alone, each look-up by an index."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from ecrsim.ecr.scanning.advisories.schema import advisory_of, affected_of, unpacked
from ecrsim.ecr.scanning.advisory import Advisory, Affected
from ecrsim.ecr.scanning.vex import VexStatement

_DOCUMENTS = "SELECT document, count(*) FROM statements GROUP BY document ORDER BY document"


class AdvisorySource(NamedTuple):
    """Where records came from. `kind`: imported, added (by a test) or shipped. Times are seconds since 1970."""

    name: str
    kind: str
    place: str
    imported_at: float
    records: int
    refused: int
    #: When the newest of its records was changed.
    newest: float | None


class Refusal(NamedTuple):
    """A record that was not taken. `place` is the file it stood in, `id` as it says itself, "" where it does not."""

    source: str
    place: str
    id: str
    reason: str


class Ignored(NamedTuple):
    """A vulnerability that nobody is to hear of: in one repository or, with "", in all; `until` in seconds, or ever."""

    id: str
    repository: str
    until: float | None
    reason: str
    since: float

    def holds(self, names: Iterable[str], repository: str, now: float) -> bool:
        """Whether it is about one of these names, in that repository, at that time in seconds."""
        is_here = self.repository in ("", repository) and (self.until is None or now < self.until)
        return is_here and self.id in names


class Snapshot:
    """One file, or the shipped set in memory. Threads may share it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        # Who still scans with it holds it; the file it reads may be gone by then.
        weakref.finalize(self, connection.close)
        self.revision = str(dict(self._rows("SELECT name, value FROM properties"))["revision"])
        self._sources = {
            int(row[0]): AdvisorySource(*row[1:]) for row in self._rows("SELECT * FROM sources ORDER BY number")
        }

    def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, parameters).fetchall()

    def snapshot(self) -> Self:
        return self

    @property
    def updated_at(self) -> float:
        """When advisories came in last, in seconds since 1970; 0 when there are none."""
        return max((source.imported_at for source in self._sources.values()), default=0.0)

    def sources(self) -> list[AdvisorySource]:
        """By their order of import."""
        return list(self._sources.values())

    def refused(self, source: str | None = None) -> list[Refusal]:
        """The records that were not taken, with the reason of each."""
        rows = self._rows(
            "SELECT sources.name, place, id, reason FROM (SELECT rowid AS n, * FROM refused) AS refused "
            "JOIN (SELECT number, name FROM sources) AS sources ON refused.source = sources.number ORDER BY n"
        )
        return [Refusal(*row) for row in rows if source is None or row[0] == source]

    def about(self, ecosystem: str, name: str) -> list[Affected]:
        """All that is said of the package; the arguments as `ecosystems.keys_of` gives them."""
        rows = self._rows("SELECT record, body FROM affected WHERE ecosystem = ? AND name = ?", ecosystem, name)
        return [affected_of(number, ecosystem, name, content) for number, content in rows]

    def record(self, number: int) -> Advisory:
        """The advisory of that number in this snapshot. KeyError."""
        rows = self._rows("SELECT number, source, id, body FROM records WHERE number = ?", number)
        if not rows:
            raise KeyError(number)
        return self._advisory(rows[0])

    def find(self, name: str) -> list[Advisory]:
        """The advisories whose id, alias or upstream this is."""
        rows = self._rows(
            "SELECT records.number, records.source, records.id, records.body FROM names "
            "JOIN records ON records.number = names.record WHERE names.name = ? ORDER BY records.number",
            name,
        )
        return [self._advisory(row) for row in rows]

    def packages_of(self, number: int) -> list[Affected]:
        """The packages that a record is about: for a reader, not for scans, since it reads the whole table."""
        rows = self._rows("SELECT record, ecosystem, name, body FROM affected WHERE record = ? ORDER BY rowid", number)
        return [affected_of(*row) for row in rows]

    def ignored(self) -> list[Ignored]:
        """What is ignored, whether its time is over or not."""
        return [Ignored(*row) for row in self._rows("SELECT * FROM ignored ORDER BY id, repository")]

    def statements(self) -> list[VexStatement]:
        """What the OpenVEX documents say that were imported."""
        rows = self._rows("SELECT body FROM statements ORDER BY document, place")
        return [VexStatement.from_json(unpacked(row[0])) for row in rows]

    def documents(self) -> list[tuple[str, int]]:
        """Their names, and how many statements each has."""
        return [(name, count) for name, count in self._rows(_DOCUMENTS)]

    def _advisory(self, row: Any) -> Advisory:
        number, source, identity, content = row
        return advisory_of(number, self._sources[source].name, identity, content)
