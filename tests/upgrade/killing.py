"""Opens a data directory of an earlier release and is killed over it, again and again: `python -m … DIRECTORY SEED`.

Run as a program of its own, because it forks. First it kills an opening before its first statement, then before its
second, and so on, until one comes to its end. Each of them finds what the one before left, which has to be either the
database as it was or the migrated one. `SEED` is that of random instants, over as many copies as `UPGRADE_CRASH_ROUNDS`
says. Prints how many were killed at a statement and at an instant.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from ecrsim.core.db import Database
from ecrsim.core.migrations import SCHEMA_VERSION
from ecrsim.core.sealing import Seal
from ecrsim.ecr import load_capabilities

ROUNDS = int(os.environ.get("UPGRADE_CRASH_ROUNDS") or 3)


def state_of(file: Path) -> tuple[int, str]:
    """The version of the database, and a digest of all of its tables and rows. It is sound, or this fails."""
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        [version] = database.execute("SELECT value FROM properties WHERE name = 'schema_version'").fetchone()
        return int(version), hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()


def open_database(directory: Path) -> None:
    database = Database(f"sqlite:///{directory / 'ecrsim.db'}", seal=Seal(directory / "secret.key"))
    database.open()
    database.close()


def opened_in_a_child(directory: Path, prepare: Callable[[], None], then: Callable[[int], None]) -> bool:
    """Whether the opening came to its end; `then` is given the child's number."""
    child = os.fork()
    if not child:
        prepare()
        open_database(directory)
        os._exit(0)
    then(child)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), f"the opening failed with {status}"
    return status == 0


def kill_at(statement: int) -> Callable[[], None]:
    """Let this process be killed before it runs the statement of that number."""
    ran = count(1)

    def look(_: str) -> None:
        if next(ran) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(connection: sqlite3.Connection, _: Any) -> None:
        connection.set_trace_callback(look)

    return lambda: event.listen(Engine, "connect", watch)


def kill_after(seconds: float) -> Callable[[int], None]:
    def wait(child: int) -> None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)

    return wait


def killed_over(directory: Path, ways: Callable[[int], tuple[Callable[[], None], Callable[[int], None]]]) -> int:
    """Open and kill until an opening ends by itself. The number of those that were killed."""
    file = directory / "ecrsim.db"
    before = state_of(file)
    for number in count(1):
        is_done = opened_in_a_child(directory, *ways(number))
        after = state_of(file)
        assert after == before or after[0] == SCHEMA_VERSION, f"killed the {number}th time, half of it was done"
        if is_done:
            assert after[0] == SCHEMA_VERSION
            return number - 1
    raise AssertionError


def main(directory: Path, seed: int) -> None:
    copies = [directory.with_name(f"copy-{number}") for number in range(ROUNDS)]
    for copy in copies:
        shutil.copytree(directory, copy)
    at_statements = killed_over(directory, lambda number: (kill_at(number), lambda _: None))
    instants, at_instants = random.Random(seed), 0  # noqa: S311
    for copy in copies:
        longest = 0.3

        def ways(_: int) -> tuple[Callable[[], None], Callable[[int], None]]:
            # Longer and longer: on a slow machine an opening would never come to its end otherwise.
            nonlocal longest
            longest *= 1.1
            return (lambda: None), kill_after(instants.random() * longest)

        at_instants += killed_over(copy, ways)
    sys.stdout.write(f"{at_statements} {at_instants}\n")


if __name__ == "__main__":
    load_capabilities()
    main(Path(sys.argv[1]), int(sys.argv[2]))
