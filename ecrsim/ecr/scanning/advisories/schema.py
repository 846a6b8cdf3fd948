"""The file of advisories: its tables, and rows as the values that matching takes."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path
from typing import Any

import orjson

from ecrsim.ecr.scanning.advisory import Advisory, Affected, Range

#: Of another layout: such a file is not read.
VERSION = 1

#: A record's number is its source's and its place in it, so that the records of a source are one span of numbers.
SPAN = 1 << 32

_TABLES = """
CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, place TEXT NOT NULL,
  imported_at REAL NOT NULL, records INTEGER NOT NULL, refused INTEGER NOT NULL, newest REAL
);
CREATE TABLE records (number INTEGER PRIMARY KEY, source INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX records_by_id ON records (source, id);
CREATE TABLE affected (ecosystem TEXT NOT NULL, name TEXT NOT NULL, record INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE names (name TEXT NOT NULL, record INTEGER NOT NULL);
CREATE TABLE refused (source INTEGER NOT NULL, place TEXT NOT NULL, id TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE ignored (
  id TEXT NOT NULL, repository TEXT NOT NULL, until REAL, reason TEXT NOT NULL, since REAL NOT NULL,
  PRIMARY KEY (id, repository)
) WITHOUT ROWID;
CREATE TABLE statements (document TEXT NOT NULL, place INTEGER NOT NULL, body BLOB NOT NULL);
"""
#: Made once the rows are in, which costs a fraction of keeping them in order meanwhile.
INDEXES = {
    "affected_by_name": "CREATE INDEX affected_by_name ON affected (ecosystem, name)",
    "names_by_name": "CREATE INDEX names_by_name ON names (name)",
}
#: Bodies above this are compressed; zlib's first byte is no JSON's.
_SMALL = 200


def make_tables(connection: sqlite3.Connection) -> None:
    connection.executescript(_TABLES)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def drop_indexes(connection: sqlite3.Connection) -> None:
    for name in INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {name}")


def make_indexes(connection: sqlite3.Connection) -> None:
    for name, statement in INDEXES.items():
        connection.execute(f"DROP INDEX IF EXISTS {name}")
        connection.execute(statement)


def is_readable(connection: sqlite3.Connection) -> bool:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found == VERSION


def open_to_read(file: Path) -> sqlite3.Connection:
    """A file that is only ever replaced, never changed: no lock is needed."""
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def packed(body: Any) -> bytes:
    content = orjson.dumps(body)
    return content if len(content) <= _SMALL else zlib.compress(content, 3)


def unpacked(content: bytes) -> Any:
    return orjson.loads(content if content[:1] in (b"{", b"[") else zlib.decompress(content))


def affected_of(record: int, ecosystem: str, name: str, content: bytes) -> Affected:
    body = unpacked(content)
    return Affected(
        record=record,
        ecosystem=ecosystem,
        name=name,
        ranges=tuple(Range(kind, tuple((e, v) for e, v in events)) for kind, events in body.get("ranges", ())),
        versions=tuple(body.get("versions", ())),
        vendor_severity=body.get("vendor_severity", ""),
        vectors=tuple((kind, vector) for kind, vector in body.get("vectors", ())),
        binaries=tuple(body.get("binaries", ())),
    )


def advisory_of(number: int, source: str, identity: str, content: bytes) -> Advisory:
    body = unpacked(content)
    return Advisory(
        number=number,
        source=source,
        id=identity,
        summary=body.get("summary", ""),
        details=body.get("details", ""),
        aliases=tuple(body.get("aliases", ())),
        upstream=tuple(body.get("upstream", ())),
        related=tuple(body.get("related", ())),
        vendor_severity=body.get("vendor_severity", ""),
        vectors=tuple((kind, vector) for kind, vector in body.get("vectors", ())),
        references=tuple((kind, url) for kind, url in body.get("references", ())),
        published=body.get("published"),
        modified=body.get("modified"),
        withdrawn=body.get("withdrawn"),
    )
