"""The scrub: every layer is read once in a while, slowly, so that damage is known before somebody needs the bytes.

It goes through the layers in the order of their digests and remembers how far it came, so that a restart goes on there.
One process does it at a time (`household.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from ecrsim.core.clock import iso
from ecrsim.core.durations import SECOND
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.layers import soundness
from ecrsim.ecr.layers.tables import layers_by_name

_STATE = "scrub"
#: Layers in one question, and bytes after which the place is written down at the latest.
_PAGE, _STRIDE = 100, 256 * 1024 * 1024


class State(NamedTuple):
    """How far the scrub is. Times are epoch milliseconds of the real time, 0 where there was none."""

    finished_at: int = 0
    #: Of the pass under way: everything up to this digest was read.
    cursor: str = ""
    layers: int = 0
    bytes: int = 0


class ScrubStopped(Exception):
    """ecrsim is told to stop in the middle of a pass."""


def state(connection: Connection) -> State:
    text = get_property(connection, _STATE)
    return State() if text is None else State(**orjson.loads(text))


def _keep(connection: Connection, found: State) -> None:
    set_property(connection, _STATE, orjson.dumps(found._asdict()).decode())


def scrub(runtime: Runtime) -> int | None:
    """Go on with the pass, or begin one when it is time. Returns how many faults it found; None when it is not time."""
    with runtime.database.read() as connection:
        found = state(connection)
    due = found.finished_at + runtime.config.scrub_interval * SECOND
    if not found.cursor and found.finished_at and runtime.clock.unturned() < due:
        return None
    return _pass(runtime, found)


def _pass(runtime: Runtime, found: State) -> int:
    rate, wrong = runtime.config.scrub_rate, 0

    def pace(size: int) -> None:
        if runtime.stopping.wait(size / rate):
            raise ScrubStopped

    while True:
        page = layers_by_name(found.cursor).limit(_PAGE)
        with runtime.database.read() as connection:
            rows = connection.execute(page).all()
        read, sound = 0, []
        for digest, _, size in rows:
            problem = soundness.examine(runtime, digest, pace, aside=True)
            if problem is None:
                sound.append(digest)
            elif problem != "locked":
                wrong += 1
            read += size
            found = found._replace(cursor=digest, layers=found.layers + 1, bytes=found.bytes + size)
            if read >= _STRIDE:
                break
        with runtime.database.write() as connection:
            soundness.forget(connection, sound)
            if not rows:
                found = State(runtime.clock.unturned())
            _keep(connection, found)
        if not rows:
            return wrong


def report(runtime: Runtime) -> dict[str, Any]:
    """The layers in `GET /_ecrsim/health`: how many are known to be wrong, and when all were read last."""
    with runtime.database.read() as connection:
        found = state(connection)
    problems = [fault.problem for fault in soundness.faults(runtime)]
    missing = problems.count("missing")
    return {
        "checkedAt": iso(found.finished_at) if found.finished_at else None,
        "missing": missing,
        "damaged": len(problems) - missing,
    }
