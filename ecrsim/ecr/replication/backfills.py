"""Verbs on backfills: copies of what was there before the rules, or did not arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, delete, func, insert, select, update

from ecrsim.core.columns import Json
from ecrsim.core.durations import DAY, SECOND
from ecrsim.core.errors import (
    InvalidParameterException,
    LimitExceededException,
    ReplicationBackfillInProgressException,
    ReplicationBackfillInvalidStatusException,
    ReplicationBackfillNotFoundException,
)
from ecrsim.core.facts import record
from ecrsim.core.ids import new_uuid
from ecrsim.core.jobs import cancel, enqueue
from ecrsim.core.query import Addition, Change
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.replication import rules
from ecrsim.ecr.replication.events import BackfillEnded
from ecrsim.ecr.replication.service import rules_of
from ecrsim.ecr.replication.sites import lane_of
from ecrsim.ecr.replication.tables import replication_backfill_results, replication_backfills
from ecrsim.ecr.repositories.tables import OF_REGISTRY, repositories

#: Kinds of jobs, whose key is the number of the backfill.
PREPARE, GO_ON, FORGET = "prepare-backfill", "continue-backfill", "forget-backfill"
#: A backfill can be asked for so long after its end (documented).
KEPT = 90 * DAY
#: Statuses in which a backfill is under way.
_UNDER_WAY = ("PREPARING", "IN_PROGRESS", "STOPPING")


class Backfill(NamedTuple):
    """A row of `replication_backfills`. `total_replication_count` is None until it is prepared."""

    number: int
    replication_backfill_id: str
    registry_id: str
    region: str
    destination_registry_id: str
    destination_region: str
    status: str
    failure_code: str | None
    started_at: int
    ended_at: int | None
    total_replication_count: int | None
    completed_replication_count: int
    failed_replication_count: int
    failure_codes: list[str]

    @property
    def registry(self) -> Registry:
        return Registry(self.registry_id, self.region)

    @property
    def destination(self) -> Registry:
        return Registry(self.destination_registry_id, self.destination_region)

    @property
    def processed(self) -> int:
        """How many results there are, and so the position of the next one."""
        return self.completed_replication_count + self.failed_replication_count


class Unit(NamedTuple):
    """A row of `replication_backfill_results`: one image under one tag, or without any."""

    position: int
    repository_id: int
    repository_name: str
    image_digest: str
    image_tag: str | None
    status: str | None
    failure_code: str | None
    sub_image_failure_codes: list[str] | None


_backfills, _results = replication_backfills, replication_backfill_results
_COLUMNS = [_backfills.c[name] for name in Backfill._fields]
_UNIT = [_results.c[name] for name in Unit._fields]
_INSERT_UNIT = Addition(_results, "number", "position", "repository_id", "repository_name", "image_digest", "image_tag")
_SETTLE_UNIT = Change(
    update(_results)
    .where(_results.c.number == bindparam("backfill"), _results.c.position == bindparam("place"))
    .values(
        status=bindparam("outcome"),
        failure_code=bindparam("failure"),
        sub_image_failure_codes=bindparam("codes", type_=Json()),
    )
)
#: What is there to be copied: images that can be pulled, one row for each tag.
_COPYABLE = (
    select(repositories.c.id, repositories.c.repository_name, images.c.image_digest, image_tags.c.image_tag)
    .join(images, images.c.repository_id == repositories.c.id)
    .outerjoin(image_tags, image_tags.c.image_id == images.c.id)
    .where(OF_REGISTRY, images.c.image_status == "ACTIVE")
    .order_by(images.c.id, image_tags.c.id)
)


def _of(registry: Registry) -> Any:
    return (_backfills.c.registry_id == registry.account) & (_backfills.c.region == registry.region)


def find(call: Call, number: int) -> Backfill | None:
    row = call.connection.execute(select(*_COLUMNS).where(_backfills.c.number == number)).first()
    return Backfill._make(row) if row else None


def get(call: Call, registry: Registry, replication_backfill_id: str) -> Backfill:
    """ReplicationBackfillNotFoundException. The case of the id does not matter (documented: either is taken)."""
    wanted = _backfills.c.replication_backfill_id == replication_backfill_id.lower()
    row = call.connection.execute(select(*_COLUMNS).where(_of(registry), wanted)).first()
    if row is None:
        raise ReplicationBackfillNotFoundException(
            replication_backfill_id=replication_backfill_id, registry_id=registry.account
        )
    return Backfill._make(row)


def page_of_backfills(call: Call, registry: Registry, before: int, limit: int) -> list[Backfill]:
    """The newest first (inferred), those with a number below `before`; 0: all."""
    query = select(*_COLUMNS).where(_of(registry)).order_by(_backfills.c.number.desc()).limit(limit)
    query = query.where(_backfills.c.number < before) if before else query
    return [Backfill._make(row) for row in call.connection.execute(query)]


def page_of_results(call: Call, backfill: Backfill, status: str | None, after: int, limit: int) -> list[Unit]:
    """Results behind the position `after`; of this status alone, if one is given."""
    query = _units(backfill).where(_results.c.position > after, _results.c.position < backfill.processed)
    query = query.where(_results.c.status == status) if status else query
    return [Unit._make(row) for row in call.connection.execute(query.limit(limit))]


def next_units(call: Call, backfill: Backfill, limit: int) -> list[Unit]:
    """Units that were not tried yet, in their order."""
    query = _units(backfill).where(_results.c.position >= backfill.processed).limit(limit)
    return [Unit._make(row) for row in call.connection.execute(query)]


def _units(backfill: Backfill) -> Select[Any]:
    return select(*_UNIT).where(_results.c.number == backfill.number).order_by(_results.c.position)


# --- its life ---------------------------------------------------------------------------------------------------------


def start(call: Call, registry: Registry, destination: Registry) -> Backfill:
    """Start one, PREPARING. InvalidParameter-, ReplicationBackfillInProgress-, LimitExceededException."""
    if not rules.rules_to(rules_of(call, registry), destination):
        raise InvalidParameterException(
            member="destination", constraint="The destination is not in the replication configuration of the registry"
        )  # I
    under_way = _of(registry) & _backfills.c.status.in_(_UNDER_WAY)
    same = select(func.count()).where(under_way, _backfills.c.destination_region == destination.region)
    if call.connection.execute(same).scalar_one():
        raise ReplicationBackfillInProgressException(region=destination.region)
    if call.connection.execute(select(func.count()).where(under_way)).scalar_one() >= rules.MAX_BACKFILLS:
        raise LimitExceededException(
            "The maximum number of concurrent replication backfills "
            f"in the registry with id '{registry.account}' has been reached"  # I
        )
    values = {
        "replication_backfill_id": new_uuid(),
        "registry_id": registry.account,
        "region": registry.region,
        "destination_registry_id": destination.account,
        "destination_region": destination.region,
        "status": "PREPARING",
        "started_at": call.now,
        "completed_replication_count": 0,
        "failed_replication_count": 0,
        "failure_codes": [],
    }
    call.connection.execute(insert(_backfills).values(values))
    backfill = get(call, registry, str(values["replication_backfill_id"]))
    enqueue(call, PREPARE, call.now + _step(call), registry, str(backfill.number))
    return backfill


def _step(call: Call) -> int:
    """Milliseconds that a backfill takes for what it copies at once."""
    config = call.runtime.config
    return (rules.QUICKEST if config.aws_delays else config.replication_delay) * SECOND


def stop(call: Call, backfill: Backfill) -> str:
    """Stop a backfill; its new status. What is copied at that time still arrives (documented)."""
    status = rules.stopped(backfill.status)
    if status is None:
        raise ReplicationBackfillInvalidStatusException(
            replication_backfill_id=backfill.replication_backfill_id, status=backfill.status
        )
    if status == "STOPPED":
        cancel(call, PREPARE, str(backfill.number))
        end(call, backfill, rules.Verdict(status))
    else:
        _change(call, backfill, status=status)
    return status


def copyable(call: Call, backfill: Backfill) -> list[tuple[int, str, str, str | None]]:
    """What the present rules let be copied: (number of the repository, its name, digest, tag)."""
    wanted = rules.rules_to(rules_of(call, backfill.registry), backfill.destination)
    rows = call.connection.execute(_COPYABLE, backfill.registry._asdict())
    return [(*row,) for row in rows if any(rules.matches(rule, row[1]) for rule in wanted)]


def add_units(call: Call, backfill: Backfill, position: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write units down, the first at this position."""
    _INSERT_UNIT.many(call.connection, [(backfill.number, position + each, *row) for each, row in enumerate(rows)])


def drop_units(call: Call, backfill: Backfill) -> None:
    """Delete the units of a preparation that was cut off."""
    call.connection.execute(delete(_results).where(_results.c.number == backfill.number))


def begin(call: Call, backfill: Backfill, total: int) -> None:
    """Let the backfill be IN_PROGRESS: all that is to be copied is known."""
    _change(call, backfill, status="IN_PROGRESS", total_replication_count=total)
    _go_on(call, backfill)


def _go_on(call: Call, backfill: Backfill) -> None:
    lane = lane_of(call.runtime, backfill.destination)
    enqueue(call, GO_ON, call.now + _step(call), backfill.registry, str(backfill.number), lane=lane)


def settle(call: Call, backfill: Backfill, unit: Unit, failure_code: str | None, codes: Sequence[str]) -> None:
    """Note what came of a unit."""
    _SETTLE_UNIT.run(
        call.connection,
        backfill=backfill.number,
        place=unit.position,
        outcome="FAILED" if failure_code else "COMPLETE",
        failure=failure_code,
        codes=list(codes) or None,
    )


def count(call: Call, backfill: Backfill, failures: Sequence[str | None]) -> None:
    """Count what was tried, one failure code or None for each unit; then go on, or end."""
    failed = [code for code in failures if code is not None]
    now = backfill._replace(
        completed_replication_count=backfill.completed_replication_count + len(failures) - len(failed),
        failed_replication_count=backfill.failed_replication_count + len(failed),
        failure_codes=list(dict.fromkeys([*backfill.failure_codes, *failed])),
    )
    names = ("completed_replication_count", "failed_replication_count", "failure_codes")
    _change(call, backfill, **{name: getattr(now, name) for name in names})
    counts = now.completed_replication_count, now.failed_replication_count
    verdict = rules.verdict(now.status, now.total_replication_count or 0, *counts)
    if verdict is not None:
        end(call, now, verdict)
    else:
        _go_on(call, backfill)


def end(call: Call, backfill: Backfill, verdict: rules.Verdict) -> None:
    """Give the backfill a terminal status and tell of it; it is forgotten after 90 days."""
    _change(call, backfill, status=verdict.status, failure_code=verdict.failure_code, ended_at=call.now)
    enqueue(call, FORGET, call.now + KEPT, backfill.registry, str(backfill.number))
    place = backfill.registry, backfill.replication_backfill_id, backfill.destination
    record(call, BackfillEnded(*place, verdict.status, verdict.failure_code))


def forget(call: Call, number: int) -> None:
    call.connection.execute(delete(_backfills).where(_backfills.c.number == number))


def _change(call: Call, backfill: Backfill, **values: Any) -> None:
    call.connection.execute(update(_backfills).where(_backfills.c.number == backfill.number).values(values))
