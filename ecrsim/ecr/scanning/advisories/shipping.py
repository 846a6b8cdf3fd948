"""The advisories that ship with ecrsim, so that a first scan shows something without network."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources
from typing import Any

import orjson

from ecrsim.core.clock import parse_iso
from ecrsim.core.durations import SECOND
from ecrsim.ecr.scanning.advisories import schema
from ecrsim.ecr.scanning.advisories.writing import RecordInFile, Writer, add_source, write_all

#: The name of the source.
SHIPPED = "shipped"


def shipped_entries() -> Iterator[RecordInFile]:
    """Every record of every file of the set, in the order of their names."""
    for name, document in _documents():
        for record in document["records"]:
            yield RecordInFile(name, record)


def shipped_at() -> float:
    """The day of the newest file of the set, in seconds since 1970."""
    return max((parse_iso(document["date"]) / SECOND for _, document in _documents()), default=0.0)


def load_shipped(connection: sqlite3.Connection, kind: str) -> None:
    """Write the set as the source `shipped`."""
    number = add_source(connection, SHIPPED, kind, "ecrsim", shipped_at())
    for reason in write_all(Writer(connection, number), shipped_entries()):
        raise AssertionError(f"a shipped record is refused: {reason}")


def shipped_in_memory() -> sqlite3.Connection:
    """The set alone, for an ecrsim into which nothing was imported."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    with connection:
        schema.make_tables(connection)
        load_shipped(connection, SHIPPED)
        schema.make_indexes(connection)
        connection.execute("INSERT INTO properties VALUES ('revision', ?)", (f"shipped-{shipped_at():.0f}",))
    return connection


def _documents() -> list[tuple[str, dict[str, Any]]]:
    folder = resources.files("ecrsim.ecr.scanning.advisories") / "shipped"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".json")), key=lambda each: each.name)
    return [(each.name, orjson.loads(each.read_bytes())) for each in files]
