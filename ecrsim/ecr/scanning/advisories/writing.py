"""Rows of the file of advisories: records of one source, written and removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from ecrsim.ecr.scanning.advisories.records import Record, RecordRefused, read_record
from ecrsim.ecr.scanning.advisories.schema import SPAN, packed

#: Everything about the records of a span of numbers.
_REMOVE = (
    "DELETE FROM affected WHERE record >= ? AND record < ?",
    "DELETE FROM names WHERE record >= ? AND record < ?",
    "DELETE FROM records WHERE number >= ? AND number < ?",
)


class RecordInFile(NamedTuple):
    """One record as it was found: `place` is the file it stands in. `joins`: what is there of that id is added to."""

    place: str
    #: A document in the OSV schema, or a RecordRefused that says why there is none.
    document: Any
    joins: bool = False


class Writer:
    """Writes the records of one source, and counts them."""

    def __init__(self, connection: sqlite3.Connection, source: int) -> None:
        self._connection = connection
        self.source = source
        query = "SELECT records, refused, newest FROM sources WHERE number = ?"
        self.records, self.refused, newest = connection.execute(query, (source,)).fetchone()
        self.newest: float | None = newest
        self._next = self._first_free()

    def _first_free(self) -> int:
        start = self.source * SPAN
        query = "SELECT max(number) FROM records WHERE number >= ? AND number < ?"
        found: int | None = self._connection.execute(query, (start, start + SPAN)).fetchone()[0]
        return start if found is None else found + 1

    def write(self, entry: RecordInFile) -> RecordRefused | None:
        """Take one record, or note why it is refused, and return that."""
        document = entry.document
        try:
            if isinstance(document, RecordRefused):
                raise document
            record = read_record(document)
            self._insert(record, joins=entry.joins)
        except (RecordRefused, UnicodeEncodeError, orjson.JSONEncodeError) as error:
            # Half of a surrogate pair is a character for Python's own reader of JSON, and for nobody else.
            reason = error if isinstance(error, RecordRefused) else RecordRefused("it holds characters that are none")
            identity = document.get("id") if isinstance(document, dict) else ""
            identity = identity[:255] if isinstance(identity, str) else ""
            identity = identity.encode(errors="replace").decode()
            row = (self.source, entry.place, identity, str(reason).encode(errors="replace").decode())
            self._connection.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", row)
            self.refused += 1
            return reason
        modified = record.body.get("modified")
        if modified is not None and (self.newest is None or modified > self.newest):
            self.newest = modified
        return None

    def _insert(self, record: Record, *, joins: bool) -> None:
        execute = self._connection.execute
        # All of it is made before any of it is written.
        body = packed(record.body)
        about = [(each.ecosystem, each.name, packed(each.body)) for each in record.about]
        for text in (*record.names, *(text for each in about for text in each[:2])):
            text.encode()
        number = self._next
        try:
            execute("INSERT INTO records VALUES (?, ?, ?, ?)", (number, self.source, record.id, body))
        except sqlite3.IntegrityError:
            if not joins:
                raise RecordRefused("a record of the same id came before") from None
            query = "SELECT number FROM records WHERE source = ? AND id = ?"
            number = execute(query, (self.source, record.id)).fetchone()[0]
        else:
            self._next += 1
            self.records += 1
            rows = [(name, number) for name in record.names]
            self._connection.executemany("INSERT INTO names VALUES (?, ?)", rows)
        found = [(ecosystem, name, number, content) for ecosystem, name, content in about]
        self._connection.executemany("INSERT INTO affected VALUES (?, ?, ?, ?)", found)

    def forget(self, entry: RecordInFile) -> int:
        """Remove the record of the entry's id, which is about to be written anew. Returns how many there were."""
        identity = entry.document.get("id") if isinstance(entry.document, dict) else None
        query = "SELECT number FROM records WHERE source = ? AND id = ?"
        found = (
            self._connection.execute(query, (self.source, identity)).fetchone() if isinstance(identity, str) else None
        )
        if found is None:
            return 0
        for statement in _REMOVE:
            self._connection.execute(statement, (found[0], found[0] + 1))
        self.records -= 1
        return 1

    def finish(self) -> None:
        """Write the counts down."""
        self._connection.execute(
            "UPDATE sources SET records = ?, refused = ?, newest = ? WHERE number = ?",
            (self.records, self.refused, self.newest, self.source),
        )


def add_source(connection: sqlite3.Connection, name: str, kind: str, place: str, now: float) -> int:
    """A source without records. Returns its number."""
    row = (name, kind, place, now)
    connection.execute("INSERT INTO sources VALUES (NULL, ?, ?, ?, ?, 0, 0, NULL)", row)
    found: int = connection.execute("SELECT number FROM sources WHERE name = ?", (name,)).fetchone()[0]
    return found


def remove_source(connection: sqlite3.Connection, name: str) -> bool:
    """Remove a source and all that it said. False when there is none of that name."""
    found = connection.execute("SELECT number FROM sources WHERE name = ?", (name,)).fetchone()
    if found is None:
        return False
    span = (found[0] * SPAN, (found[0] + 1) * SPAN)
    for statement in _REMOVE:
        connection.execute(statement, span)
    connection.execute("DELETE FROM refused WHERE source = ?", (found[0],))
    connection.execute("DELETE FROM sources WHERE number = ?", (found[0],))
    return True


def drop_default(connection: sqlite3.Connection) -> None:
    """Remove the shipped set, which is there for want of anything else, unless it was imported by name."""
    if connection.execute("SELECT 1 FROM sources WHERE name = 'shipped' AND kind = 'shipped'").fetchone():
        remove_source(connection, "shipped")


def write_all(writer: Writer, entries: Iterable[RecordInFile]) -> Iterator[RecordRefused]:
    """Write every entry; those that are refused are given."""
    for entry in entries:
        reason = writer.write(entry)
        if reason is not None:
            yield reason
    writer.finish()
