"""Copies a data directory and is killed over it, again and again: `python -m … SOURCE DESTINATION`.

Run as a program of its own, because it forks. `COPY_CRASH_STEP` is how many statements lie between two kills. Prints
how many copies were killed until one came to its end.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from sqlalchemy import Engine, event

from ecrsim.config import load
from ecrsim.core.db import SchemaMismatch
from ecrsim.core.runtime import Runtime
from ecrsim.databases.copying import copy
from ecrsim.ecr import load_capabilities

STEP = int(os.environ.get("COPY_CRASH_STEP") or 8)


def runtime(directory: str) -> Runtime:
    return Runtime(load({"data_dir": directory}, {}))


def in_a_child(work: Callable[[], None]) -> int:
    """How the child ended."""
    child = os.fork()
    if not child:
        work()
        sys.stderr.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def copy_until(source: str, destination: str, statement: int) -> None:
    ran = count(1)

    def look(_: str) -> None:
        if next(ran) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(connection: sqlite3.Connection, _: Any) -> None:
        connection.set_trace_callback(look)

    event.listen(Engine, "connect", watch)
    copy(runtime(source), runtime(destination))


def is_served(destination: str) -> bool:
    """Whether a server would start on what was left."""
    found = runtime(destination)
    # Killed before the database was made: nothing, or an empty file that is nobody's yet.
    if not found.database.exists() or found.database.schema_version() is None:
        return False
    try:
        found.open()
    except SchemaMismatch:
        return False
    found.close()
    return True


def main(source: str, destination: str) -> None:
    for number in count():
        status = in_a_child(lambda at=1 + number * STEP: copy_until(source, destination, at))  # type: ignore[misc]
        assert status in (0, signal.SIGKILL), f"the copy failed with {status}"
        if status == 0:
            sys.stdout.write(f"{number}\n")
            return
        done = in_a_child(lambda: os._exit(is_served(destination)))
        # What is served has to be all of it: the copy was killed after its commit, and now only compares.
        assert not done or in_a_child(lambda: os._exit(not copy(runtime(source), runtime(destination)).was_done)) == 0


if __name__ == "__main__":
    load_capabilities()
    main(*sys.argv[1:])
