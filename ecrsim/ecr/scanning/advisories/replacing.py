"""How the file of advisories changes: a copy is changed aside, and takes its place whole.

Whoever reads has the file that was there when they opened it. One process changes it at a time, under a lock that the
kernel frees when its holder is killed; what was left half done is made anew, or gone on with (`writing.resumable`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from ecrsim.blobs import private
from ecrsim.core import ids
from ecrsim.core.locks import hold
from ecrsim.ecr.scanning.advisories import schema
from ecrsim.ecr.scanning.advisories.shipping import load_shipped

#: Its names in the data directory.
FILE, LOCK, EDITED, IMPORTED = "advisories.sqlite", "advisories.lock", "advisories.edited", "advisories.imported"
#: Seconds between two tries to get the lock.
_PAUSE = 0.05


class AdvisoriesBusy(Exception):
    """Another process changes the advisories, and goes on for longer than was waited."""


class AdvisoriesDamaged(Exception):
    """The file is no file of advisories, or one of another release."""


@contextlib.contextmanager
def alone(directory: Path, patience: float) -> Iterator[None]:
    """The right to change the advisories. AdvisoriesBusy after `patience` seconds."""
    private.make_directory(directory)
    end = time.monotonic() + patience
    while (held := hold(directory / LOCK, wait=False)) is None:
        if time.monotonic() >= end:
            raise AdvisoriesBusy("another process is changing the advisories; try again when it is done")
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        held.release()


@contextlib.contextmanager
def changed(directory: Path, patience: float) -> Iterator[sqlite3.Connection]:
    """A copy to change in the block; it replaces the file afterwards, unless the block raises. AdvisoriesBusy."""
    with alone(directory, patience):
        copy = directory / EDITED
        copy_of_current(directory, copy)
        with contextlib.closing(open_to_write(copy)) as connection:
            try:
                with connection:
                    yield connection
            except BaseException:
                copy.unlink(missing_ok=True)
                raise
            seal(connection)
        replace(directory, copy)


def copy_of_current(directory: Path, copy: Path) -> None:
    """Make `copy` what the file is now; where there is none, what ships. AdvisoriesDamaged."""
    copy.unlink(missing_ok=True)
    current = directory / FILE
    os.close(private.open_file(copy))
    if current.exists():
        check(current)
        shutil.copyfile(current, copy)
        return
    with contextlib.closing(open_to_write(copy)) as connection, connection:
        schema.make_tables(connection)
        load_shipped(connection, "shipped")
        schema.make_indexes(connection)


def check(file: Path) -> None:
    """AdvisoriesDamaged when it is not a file of advisories that this release reads."""
    try:
        with contextlib.closing(schema.open_to_read(file)) as connection:
            if schema.is_readable(connection):
                return
    except sqlite3.DatabaseError:
        pass
    raise AdvisoriesDamaged(
        f"{file} is damaged, or of another release of ecrsim: move it away and import the advisories anew"
    )


def open_to_write(file: Path) -> sqlite3.Connection:
    """A file that nobody reads yet. What a power cut leaves of it is never used."""
    connection = sqlite3.connect(file)
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = FILE;")
    return connection


def seal(connection: sqlite3.Connection) -> None:
    """Give what was changed a revision of its own."""
    with connection:
        connection.execute("INSERT OR REPLACE INTO properties VALUES ('revision', ?)", (ids.new_uuid(),))


def replace(directory: Path, copy: Path) -> None:
    """Put the finished copy in place, on the disk first."""
    descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    copy.replace(directory / FILE)
