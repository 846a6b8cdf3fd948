"""The nodes over one database: each worker process says time and again that it is there.

Where the database is a file of this machine there is one node, and nothing is written.
"""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, bindparam, delete, select

from ecrsim import __version__
from ecrsim.config import Config
from ecrsim.core.clock import iso
from ecrsim.core.columns import metadata
from ecrsim.core.durations import MINUTE, SECOND
from ecrsim.core.errors import ServiceError
from ecrsim.core.household import Stop, at_start, every
from ecrsim.core.query import Change, Query, upsert
from ecrsim.core.runtime import Runtime

nodes = Table(
    "nodes",
    metadata,
    Column("name", String, primary_key=True),
    #: The process, by its number on that machine.
    Column("worker", Integer, primary_key=True),
    Column("version", String, nullable=False),
    #: By the clock of the machine, which no test turns.
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("is_draining", Boolean, nullable=False),
)

#: Seconds between two signs of life of a process.
BEAT = 5
#: Milliseconds without a sign after which a process is taken for lost, and after which it is forgotten.
LOST, FORGOTTEN = 15 * SECOND, 60 * MINUTE


class Worker(NamedTuple):
    """One process of a node; times are in milliseconds."""

    name: str
    worker: int
    version: str
    started_at: int
    seen_at: int
    is_draining: bool


_ALL = Query(select(*(nodes.c[name] for name in Worker._fields)).order_by(nodes.c.name, nodes.c.worker), Worker)
_LEAVE = Change(delete(nodes).where(nodes.c.name == bindparam("name"), nodes.c.worker == bindparam("worker")))
_FORGET = Change(delete(nodes).where(nodes.c.seen_at < bindparam("before")))


def node_name(config: Config) -> str:
    """The name of this node: the setting `node`, or host name and port."""
    return config.node or f"{socket.gethostname()}:{config.port}"


@at_start
def join(runtime: Runtime) -> Stop | None:
    """Be one of the nodes until ecrsim stops."""
    if not runtime.database.is_shared:
        return None
    _say(runtime, is_new=True)
    return lambda: _leave(runtime)


@every(lambda _: BEAT, alone=False)
def say(runtime: Runtime) -> None:
    """Say that this process is there, and forget those that have long been lost. ServiceUnavailableException."""
    if runtime.database.is_shared:
        _say(runtime, is_new=False)


def _say(runtime: Runtime, *, is_new: bool) -> None:
    """`is_new`: one of its number that was killed, as the first of each container is, began at another time."""
    now = runtime.clock.unturned()
    said = {"version": __version__, "seen_at": now, "is_draining": runtime.is_draining()}
    with runtime.database.write("nodes") as connection:
        upsert(
            connection,
            nodes,
            {"name": node_name(runtime.config), "worker": os.getpid()},
            {**said, "started_at": now},
            changes={**said, "started_at": now} if is_new else said,
        )
        _FORGET.run(connection, before=now - FORGOTTEN)


def _leave(runtime: Runtime) -> None:
    try:
        with runtime.database.write("nodes") as connection:
            _LEAVE.run(connection, name=node_name(runtime.config), worker=os.getpid())
    except ServiceError:
        return  # it is taken for lost in a while


def known(runtime: Runtime) -> list[dict[str, Any]]:
    """The nodes, for `GET /_ecrsim/health`. ServiceUnavailableException.

    Each has `name`, `version`, `workers`, `startedAt` and `seenAt` (ISO 8601) and `status`: up, draining, or lost when
    nothing was heard of it for 15 seconds. Where the database is this machine's there is one, without times.
    """
    if not runtime.database.is_shared:
        status = "draining" if runtime.is_draining() else "up"
        return [
            {
                "name": node_name(runtime.config),
                "version": __version__,
                "workers": runtime.config.workers,
                "status": status,
            }
        ]
    with runtime.database.read() as connection:
        rows = _ALL.all(connection)
    return group(rows, runtime.clock.unturned())


def group(rows: list[Worker], now: int) -> list[dict[str, Any]]:
    """Nodes of their processes: of a node that has some that are up, those that are lost do not count."""
    found = []
    for name in dict.fromkeys(row.name for row in rows):
        workers = [row for row in rows if row.name == name]
        here = [row for row in workers if now - row.seen_at <= LOST]
        shown = here or workers
        draining = any(row.is_draining for row in here)
        found.append(
            {
                "name": name,
                "version": shown[-1].version,
                "workers": len(here),
                "startedAt": iso(min(row.started_at for row in shown)),
                "seenAt": iso(max(row.seen_at for row in shown)),
                "status": "lost" if not here else "draining" if draining else "up",
            }
        )
    return found


def obstacle(runtime: Runtime) -> str | None:
    """Why a balancer should send nothing to this node; None when it should.

    A store that takes no bytes is no reason: nodes share it, and pulls go on.
    """
    if runtime.is_draining():
        return "ecrsim was told to stop."
    try:
        with runtime.database.read() as connection:
            connection.execute(select(1))
    except ServiceError as error:
        return error.message
    return None
