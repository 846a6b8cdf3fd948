"""The tally: how often something that AWS bills was done in a repository on a day, and how many bytes went.

A read notes it in the batch that writes pull times, so that it is no statement of the read's own; whoever has a write
transaction open writes it there. Days are those of ecrsim's clock. Rows are kept when the repository goes: what was
done is billed all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from ecrsim.core.batch import Sum
from ecrsim.core.durations import DAY
from ecrsim.core.query import Change, Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime
from ecrsim.records.tables import tallies

#: Measures. Bytes that a client took, with credentials or without; bytes of a copy that was sent to `destination`.
PULL, ANONYMOUS_PULL, REPLICATION = "pull", "anonymous-pull", "replication"
#: Bytes that came back from the archive.
RESTORE = "restore"
BASIC_SCAN, ENHANCED_SCAN, ENHANCED_RESCAN = "basic-scan", "enhanced-scan", "enhanced-rescan"
SIGNATURE = "signature"
#: A request that KMS was asked for a repository's sake: GenerateDataKey, Decrypt, DescribeKey.
KMS_REQUEST = "kms-request"


class TallyRow(NamedTuple):
    """A row of `tallies`; `day` in days since the epoch."""

    kind: str
    registry_id: str
    region: str
    day: int
    repository_name: str
    measure: str
    destination: str
    times: int
    size: int


_SINCE = Query(
    select(*(tallies.c[name] for name in TallyRow._fields)).where(tallies.c.day >= bindparam("first")), TallyRow
)
_FORGET = Change(delete(tallies).where(tallies.c.day < bindparam("first")))


def note(
    call: Call,
    registry: Registry,
    repository_name: str,
    measure: str,
    *,
    destination: str = "",
    times: int = 1,
    size: int = 0,
) -> None:
    """Count it a moment later, with others: for reads, and wherever no transaction is open."""
    note_at(call.runtime, call.now, registry, repository_name, measure, destination=destination, times=times, size=size)


def note_pull(call: Call, registry: Registry, repository_name: str, size: int) -> None:
    """Count bytes that the caller of a read takes, with credentials or without."""
    note(call, registry, repository_name, PULL if call.caller.account else ANONYMOUS_PULL, size=size)


def note_at(
    runtime: Runtime,
    now: int,
    registry: Registry,
    repository_name: str,
    measure: str,
    *,
    destination: str = "",
    times: int = 1,
    size: int = 0,
) -> None:
    """As `note`, for threads that have no call; `now` is of ecrsim's clock, in epoch milliseconds."""
    key = (*registry, now // DAY, repository_name, measure, destination)
    runtime.batch.add(_write, key, times, size)


def record(
    call: Call,
    registry: Registry,
    repository_name: str,
    measure: str,
    *,
    destination: str = "",
    times: int = 1,
    size: int = 0,
) -> None:
    """Count it inside the write transaction of the change that it belongs to."""
    key = (*registry, call.now // DAY, repository_name, measure, destination)
    _write(call.connection, {key: Sum(times, size)})


def write_notes(call: Call) -> None:
    """Write what this worker has noted; the call sees it afterwards."""
    call.release()
    call.runtime.batch.flush(_write)


def since(call: Call, moment: int) -> list[TallyRow]:
    """What was done from the day of that moment on."""
    return _SINCE.all(call.connection, first=moment // DAY)


def forget(call: Call, moment: int) -> None:
    """Forget what was done before that day. In a write transaction."""
    _FORGET.run(call.connection, first=moment // DAY)


def _write(connection: Connection, notes: Mapping[Any, Any]) -> None:
    for key, (times, size) in notes.items():
        account, region, kind, day, repository_name, measure, destination = key
        place = {
            "kind": kind,
            "registry_id": account,
            "region": region,
            "day": day,
            "repository_name": repository_name,
            "measure": measure,
            "destination": destination,
        }
        values = {"times": times, "size": size}
        more = {"times": tallies.c.times + times, "size": tallies.c.size + size}
        upsert(connection, tallies, place, values, more)
