"""Jobs: what is to be done at an instant, as rows; and the one who does it.

Whoever runs jobs, in whichever process, holds a lock on a file of the data directory while it does. The kernel frees
the lock of a process that was killed, so a job is never run twice at once and none waits for one who is gone. A job is
marked as done in the last transaction of its own work: what it did is done once, whatever dies in between. A job that
is put off or forgotten between being found and being run is another row, or none, and so is not run.

What goes on for long without the database, such as sending to another site, is in a lane of its own: the jobs of a lane
run one after the other, beside those of the other lanes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)

from ecrsim.core.columns import Json, metadata, partial_index
from ecrsim.core.durations import HOUR, MINUTE, SECOND
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.misses import Fetched, persistently
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime, root_caller

log = logging.getLogger("ecrsim.jobs")

#: After so many failures a job is FAILED, and stays to be seen.
ATTEMPTS = 5
#: Done jobs that are kept to be seen.
KEPT = 1_000
#: Seconds for which jobs are run that become due meanwhile.
TURN = 1

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    # The subject of the job: one pending job for each kind and key.
    Column("key", String, nullable=False),
    Column("registry_id", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("payload", Json, nullable=False),
    Column("state", String(7), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("ran_at", BigInteger),
    # When it was to run, before it failed and was put off.
    Column("due_at", BigInteger, nullable=False),
    Column("registry_kind", String(7), nullable=False, server_default="private"),
    # Empty for the one in which most jobs are.
    Column("lane", String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
#: Written out, since SQLite uses an index of some rows only where it sees that a statement asks for these.
_IS_PENDING = jobs.c.state == literal_column("'PENDING'")
partial_index("jobs_by_lane", jobs.c.lane, jobs.c.run_at, jobs.c.id, where=_IS_PENDING)
partial_index("jobs_by_key", jobs.c.kind, jobs.c.key, unique=True, where=_IS_PENDING)


class Job(NamedTuple):
    """A row of `jobs`. States: PENDING, DONE, FAILED. Times are epoch milliseconds; `ran_at` of the last attempt."""

    id: int
    run_at: int
    kind: str
    key: str
    registry_id: str
    region: str
    payload: dict[str, Any]
    state: str
    attempts: int
    error: str | None
    ran_at: int | None
    due_at: int
    registry_kind: str = "private"
    lane: str = ""

    @property
    def registry(self) -> Registry:
        return Registry(self.registry_id, self.region, self.registry_kind)


class JobKind(NamedTuple):
    """`is_long`: the function makes its own transactions, can be begun again, and says `finish` in the last one."""

    function: Callable[[Call, Job], None]
    is_long: bool
    #: Called when a job of the kind is given up, in the transaction that makes it FAILED.
    given_up: Callable[[Call, Job], None] | None = None


_KINDS: dict[str, JobKind] = {}
_COUNTS = select(jobs.c.state, func.count().label("number")).group_by(jobs.c.state)
_NEXT = Query(
    select(jobs)
    .where(_IS_PENDING, jobs.c.lane == bindparam("lane"), jobs.c.run_at <= bindparam("until"))
    .order_by(jobs.c.run_at, jobs.c.id)
    .limit(1),
    Job,
)
# Not DISTINCT, which reads all that wait: each step is a look into the index.
_NEXT_LANE = Query(
    select(jobs.c.lane).where(_IS_PENDING, jobs.c.lane > bindparam("lane")).order_by(jobs.c.lane).limit(1), str
)
_INSERT = Addition(
    jobs,
    *("run_at", "due_at", "kind", "key", "registry_id", "region", "registry_kind"),
    *("lane", "payload", "attempts", "state"),
)
_CANCEL = Change(delete(jobs).where(jobs.c.kind == bindparam("kind"), jobs.c.key == bindparam("key"), _IS_PENDING))
_PENDING = Query(select(jobs).where(jobs.c.kind == bindparam("kind"), jobs.c.key == bindparam("key"), _IS_PENDING), Job)
_WAITS = Query(select(jobs.c.id).where(jobs.c.id == bindparam("number"), _IS_PENDING), int)
_FINISH = Change(
    update(jobs)
    .where(jobs.c.id == bindparam("number"), _IS_PENDING)
    .values(state="DONE", error=None, ran_at=bindparam("now"))
)


def job(
    kind: str, *, is_long: bool = False, given_up: Callable[[Call, Job], None] | None = None
) -> Callable[[Callable[[Call, Job], None]], Callable[[Call, Job], None]]:
    """Register what runs jobs of a kind: in one write transaction with their being done, unless `is_long`."""

    def register(function: Callable[[Call, Job], None]) -> Callable[[Call, Job], None]:
        _KINDS[kind] = JobKind(function, is_long, given_up)
        return function

    return register


# --- the table --------------------------------------------------------------------------------------------------------


def enqueue(
    call: Call,
    kind: str,
    run_at: int,
    registry: Registry,
    key: str,
    payload: dict[str, Any] | None = None,
    *,
    lane: str = "",
) -> None:
    """A job of this kind and key at `run_at`; one that is pending already is put off or brought forward to then.

    `lane`: letters, digits and `-`, as a part of a file's name; empty for what is done in a moment.
    """
    # A new row even if a job of this key is running: that one may have read its state before this request.
    cancel(call, kind, key)
    values = {"run_at": run_at, "due_at": run_at, "attempts": 0, "state": "PENDING"}
    place = {"registry_id": registry.account, "region": registry.region, "registry_kind": registry.kind}
    _INSERT.run(call.connection, payload=payload or {}, kind=kind, key=key, lane=lane, **values, **place)


def pending(call: Call, kind: str, key: str) -> int | None:
    """When the job will run; None when there is none."""
    found = find_pending(call, kind, key)
    return None if found is None else found.run_at


def find_pending(call: Call, kind: str, key: str) -> Job | None:
    """The job of this kind and key that waits."""
    return _PENDING.first(call.connection, kind=kind, key=key)


def cancel(call: Call, kind: str, key: str) -> None:
    """Forget the pending job, if there is one."""
    _CANCEL.run(call.connection, kind=kind, key=key)


def bring_forward(connection: Connection, milliseconds: int) -> None:
    """Let everything that waits be due so much earlier: the clock was set back."""
    earlier = {"run_at": jobs.c.run_at - milliseconds, "due_at": jobs.c.due_at - milliseconds}
    connection.execute(update(jobs).where(_IS_PENDING).values(earlier))


def is_pending(call: Call, job: Job) -> bool:
    """False when it was done, put off or forgotten since it was found."""
    return _WAITS.first(call.connection, number=job.id) is not None


def finish(call: Call, job: Job) -> bool:
    """Mark as done, in the open write transaction, before a next one of the same kind and key is enqueued.

    False when the job waits no more: it was put off or forgotten since it was found.
    """
    changed = _FINISH.run(call.connection, number=job.id, now=call.now)
    if job.id % 100 == 0:
        oldest = select(jobs.c.id).where(jobs.c.state == "DONE").order_by(jobs.c.id.desc()).offset(KEPT)
        call.connection.execute(delete(jobs).where(jobs.c.id.in_(oldest)))
    return changed > 0


def page(connection: Connection, after: int, limit: int, state: str | None = None) -> list[Job]:
    """Jobs after the number `after`."""
    query = select(jobs).where(jobs.c.id > after).order_by(jobs.c.id).limit(limit)
    if state is not None:
        query = query.where(jobs.c.state == state)
    return [Job._make(row) for row in connection.execute(query)]


# --- running ----------------------------------------------------------------------------------------------------------


class Ran(NamedTuple):
    """The result of one attempt: `error` is None when the job is done."""

    job: Job
    at: int
    error: str | None


def next_due(runtime: Runtime, until: int, lane: str = "") -> Job | None:
    """The first job of the lane that is due by then."""
    with runtime.database.read() as connection:
        return _NEXT.first(connection, lane=lane, until=until)


def first_due(runtime: Runtime, until: int) -> Job | None:
    """The first job of all lanes that is due by then."""
    with runtime.database.read() as connection:
        found = [_NEXT.first(connection, lane=lane, until=until) for lane in ("", *_lanes(connection))]
    return min((each for each in found if each is not None), key=lambda each: (each.run_at, each.id), default=None)


def lanes(runtime: Runtime) -> list[str]:
    """Those in which something waits, besides the one in which most jobs are."""
    with runtime.database.read() as connection:
        return _lanes(connection)


def _lanes(connection: Connection) -> list[str]:
    found: list[str] = []
    while (lane := _NEXT_LANE.first(connection, lane=found[-1] if found else "")) is not None:
        found.append(lane)
    return found


def run_due(runtime: Runtime, *, wait: bool = True, turn: float = TURN, gives_way: bool = False) -> list[Ran]:
    """Run what is due by now in all lanes, as `run_lane` does."""
    options: Any = {"wait": wait, "turn": turn, "gives_way": gives_way}
    return [ran for lane in ("", *lanes(runtime)) for ran in run_lane(runtime, lane, **options)]


def run_lane(runtime: Runtime, lane: str, *, wait: bool, turn: float = TURN, gives_way: bool = False) -> list[Ran]:
    """Run what is due in the lane, in order, each in its own call. Nobody else runs jobs of the lane meanwhile.

    After `turn` seconds what became due since the beginning is left for the next time, with `gives_way` all that is
    left is: there are always more jobs where enough clients write. ServiceUnavailableException when not even a failure
    can be written down.
    """
    ran: list[Ran] = []
    begun, end = runtime.clock.now(), time.monotonic() + turn
    if next_due(runtime, begun, lane) is None:
        return ran
    with runtime.exclusively(lane, wait=wait) as allowed:
        while allowed:
            is_over = time.monotonic() > end
            found = next_due(runtime, begun if is_over else runtime.clock.now(), lane)
            # A long job that is told to stop leaves the rest of its work for the next start.
            if found is None or (is_over and gives_way) or runtime.stopping.is_set():
                break
            ran += run(runtime, found, runtime.clock.now())
    return ran


def run(runtime: Runtime, found: Job, now: int) -> list[Ran]:
    """One attempt at one job, in a call of its own that takes place at `now`; none when it waits no more.

    ServiceUnavailableException when it failed and that cannot be written down: the job is then as it was, and due.
    """
    kind = _KINDS.get(found.kind)
    runtime.batch.flush()
    try:
        if kind is None:
            raise LookupError(f"nothing here runs jobs of the kind {found.kind}")
        if not persistently(None, partial(_attempt, runtime, kind, found, now)):
            return []
    except Exception as error:
        # The database takes no text that UTF-8 has no bytes for.
        text = f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()
        # A full disk or a locked database is no fault of the job's: it is tried for as long as that lasts.
        is_passing = isinstance(error, ServiceUnavailableException)
        log.warning("job %d (%s) failed: %s", found.id, found.kind, text, exc_info=not is_passing)
        _put_off(runtime, found, now, text, attempts=found.attempts + (not is_passing))
        return [Ran(found, now, text)]
    return [Ran(found, now, None)]


def _attempt(runtime: Runtime, kind: JobKind, found: Job, now: int, fetched: Fetched) -> bool:
    """False when the job waits no more."""
    with runtime.call(root_caller(found.registry_id, found.region)) as call:
        call.now = now
        call.lookups["fetched"] = fetched
        if kind.is_long:
            kind.function(call, found)
            return True
        with call.writing():
            if not finish(call, found):
                return False
            kind.function(call, found)
    return True


def _put_off(runtime: Runtime, found: Job, now: int, text: str, *, attempts: int) -> None:
    change: dict[str, Any] = {"attempts": attempts, "error": text, "ran_at": now}
    if attempts < ATTEMPTS:
        change["run_at"] = now + (min(SECOND * 10**attempts, HOUR) if attempts else MINUTE)
    else:
        change["state"] = "FAILED"
    kind = _KINDS.get(found.kind)
    with runtime.call(root_caller(found.registry_id, found.region)) as call:
        call.now = now
        with call.writing():
            query = update(jobs).where(jobs.c.id == found.id, _IS_PENDING).values(change)
            was_pending = call.connection.execute(query).rowcount > 0
            if was_pending and "state" in change and kind is not None and kind.given_up is not None:
                kind.given_up(call, found)


def run_again(runtime: Runtime, number: int) -> bool:
    """Make a job that FAILED or waits due now, as if it had never been tried. False when there is none.

    One that failed takes the place of one of its kind and key that has been waiting since.
    """
    with runtime.database.write() as connection:
        found = connection.execute(
            select(jobs.c.kind, jobs.c.key).where(jobs.c.id == number, jobs.c.state.in_(["PENDING", "FAILED"]))
        ).first()
        if found is None:
            return False
        same = (jobs.c.kind == found.kind, jobs.c.key == found.key, _IS_PENDING)
        connection.execute(delete(jobs).where(*same, jobs.c.id != number))
        change = {"state": "PENDING", "attempts": 0, "run_at": runtime.clock.now()}
        connection.execute(update(jobs).where(jobs.c.id == number).values(change))
    return True


def count_due(runtime: Runtime) -> int:
    """How many jobs wait that are due by now."""
    query = select(func.count()).where(_IS_PENDING, jobs.c.run_at <= runtime.clock.now())
    with runtime.database.read() as connection:
        return int(connection.execute(query).scalar_one())


def counts(connection: Connection) -> dict[str, int]:
    """How many jobs are in each state."""
    return {row.state: row.number for row in connection.execute(_COUNTS)}
