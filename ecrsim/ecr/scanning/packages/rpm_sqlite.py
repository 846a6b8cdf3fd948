"""rpm's database as SQLite has it. The file is an image's: nothing of its schema is trusted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from ecrsim.ecr.scanning.packages.limits import Limits, Unread

#: Steps of SQLite's machine, in thousands: ten for a header, so that a statement that never ends is ended.
_STEPS = 1000


def sqlite_headers(path: str, limits: Limits) -> Iterator[bytes]:
    """Every header of the database. Unread where it is broken, or a view where a table should be."""
    turns_left = [limits.packages]
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.rpm_header)
            connection.set_progress_handler(lambda: _one_less(turns_left), _STEPS)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cache_size = -1024")
            schema = connection.execute("SELECT type, sql FROM sqlite_master WHERE name = 'Packages'").fetchall()
            # A view, or a table that is computed, could run for ever or answer what it likes.
            if [kind for kind, _ in schema] != ["table"] or "virtual" in str(schema[0][1]).lower():
                raise Unread("no rpm database: it has no table of packages")
            for (header,) in connection.execute("SELECT blob FROM Packages"):
                if not isinstance(header, bytes):
                    raise Unread("a header of the rpm database is broken")
                yield header
    except sqlite3.Error as error:
        raise Unread(f"the rpm database is broken ({error})") from None


def _one_less(left: list[int]) -> bool:
    """Whether to end: none is left."""
    left[0] -= 1
    return left[0] < 0
