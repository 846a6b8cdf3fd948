"""Imports of any size: in pieces that stay when it is killed, and put in place whole at the end."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from ecrsim.ecr.scanning.advisories import places, schema
from ecrsim.ecr.scanning.advisories.book import Advisories
from ecrsim.ecr.scanning.advisories.replacing import IMPORTED, alone, copy_of_current, open_to_write, replace, seal
from ecrsim.ecr.scanning.advisories.shipping import SHIPPED, shipped_entries
from ecrsim.ecr.scanning.advisories.writing import Writer, add_source, drop_default, remove_source

#: Steps after which what was done stays done.
_PIECE = 2_000

#: Told how many steps are done, and how many there are, None where that is not known.
Progress = Callable[[int, int | None], None]


class Done(NamedTuple):
    """What an import has brought. `resumed`: steps that an earlier attempt had done."""

    source: str
    records: int
    refused: int
    resumed: int


def import_files(
    advisories: Advisories, source: str, path: Path, progress: Progress, *, patience: float = 0, shown: str = ""
) -> Done:
    """Make what a file or directory holds all that a source says. NoPlace, AdvisoriesBusy, AdvisoriesDamaged.

    `shown`: where the file was brought from, if not from `path`.
    """
    files = places.kinds_of(path)
    key = _key(source, places.fingerprint(files), advisories.revision)
    total = places.count(files)
    with alone(advisories.directory, patience):
        copy = advisories.directory / IMPORTED
        with _begun(advisories, copy, key, source, shown or str(path)) as connection:
            done = resumed = _position(connection)
            number = connection.execute("SELECT number FROM sources WHERE name = ?", (source,)).fetchone()[0]
            writer = Writer(connection, number)
            todo = itertools.islice(places.steps(files), done, None)
            for step in todo:
                for entry in step():
                    writer.write(entry)
                done += 1
                if done % _PIECE == 0:
                    _note(connection, writer, done)
                    progress(done, total)
            _note(connection, writer, done)
            progress(done, total)
            _finish(connection)
            result = Done(source, writer.records, writer.refused, resumed)
        replace(advisories.directory, copy)
    return result


def import_shipped(advisories: Advisories) -> Done:
    """The set that ships with ecrsim, beside what is imported."""
    found = advisories.import_records(SHIPPED, [entry.document for entry in shipped_entries()], place="ecrsim")
    return Done(SHIPPED, found.records, len(found.refused), 0)


def _key(source: str, fingerprint: str, revision: str) -> str:
    """An attempt is gone on with where this is the same: the same bytes, beside the same other sources."""
    return orjson.dumps([source, fingerprint, revision, schema.VERSION]).decode()


@contextlib.contextmanager
def _begun(advisories: Advisories, copy: Path, key: str, source: str, shown: str) -> Iterator[sqlite3.Connection]:
    """The copy of an attempt that was killed, else a new one from which the source has been removed."""
    if not _can_go_on(copy, key):
        _remove(copy)
        copy_of_current(advisories.directory, copy)
        with contextlib.closing(open_to_write(copy)) as connection, connection:
            drop_default(connection)
            remove_source(connection, source)
            add_source(connection, source, "imported", shown, advisories.now())
            schema.drop_indexes(connection)
            connection.execute("INSERT OR REPLACE INTO properties VALUES ('importing', ?)", (key,))
            connection.execute("INSERT OR REPLACE INTO properties VALUES ('position', '0')")
    with contextlib.closing(open_to_write(copy)) as connection:
        yield connection


def _can_go_on(copy: Path, key: str) -> bool:
    if not copy.exists():
        return False
    try:
        with contextlib.closing(open_to_write(copy)) as connection:
            found = connection.execute("SELECT value FROM properties WHERE name = 'importing'").fetchone()
            # A power cut may have left anything.
            return bool(found == (key,)) and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False


def _remove(copy: Path) -> None:
    for path in (copy, copy.with_name(f"{copy.name}-journal")):
        path.unlink(missing_ok=True)


def _position(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM properties WHERE name = 'position'").fetchone()[0])


def _note(connection: sqlite3.Connection, writer: Writer, done: int) -> None:
    writer.finish()
    connection.execute("UPDATE properties SET value = ? WHERE name = 'position'", (str(done),))
    connection.commit()


def _finish(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("DELETE FROM properties WHERE name IN ('importing', 'position')")
        schema.make_indexes(connection)
    seal(connection)
