"""Continuous scans: which images of a registry are to be looked at now, and what is done about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, select

from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import KmsException
from ecrsim.core.jobs import run_due
from ecrsim.core.query import Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.ecr.images.lookup import image_by_id
from ecrsim.ecr.images.tables import images
from ecrsim.ecr.repositories.tables import OF_REGISTRY, Repository, repositories
from ecrsim.ecr.scanning import rules, scan_outcomes, scans
from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.ecr.scanning.beginning import is_sweep_left, sweep, unscannable
from ecrsim.ecr.scanning.configuration import applied_to, configuration_of
from ecrsim.ecr.scanning.examination_input import Plan, plan
from ecrsim.ecr.scanning.examination_messages import Examined
from ecrsim.ecr.scanning.rules import Configuration
from ecrsim.ecr.scanning.suppression import revision_at
from ecrsim.ecr.scanning.tables import registry_scanning_configurations as configurations
from ecrsim.ecr.scanning.tables import scan_sweeps

#: Images that are looked at in one job, after which others have their turn.
BATCH = 100


class _Candidate(NamedTuple):
    id: int
    repository_id: int
    image_pushed_at: int
    last_recorded_pull_time: int | None


_CANDIDATES = Query(
    select(images.c.id, images.c.repository_id, images.c.image_pushed_at, images.c.last_recorded_pull_time)
    .join(repositories, repositories.c.id == images.c.repository_id)
    .where(OF_REGISTRY, images.c.id > bindparam("after"), images.c.image_status == "ACTIVE")
    .order_by(images.c.id)
    .limit(bindparam("limit")),
    _Candidate,
)
_REPOSITORIES = Query(select(repositories).where(OF_REGISTRY), Repository)
_SWEPT = Query(select(scan_sweeps.c.revision).where(of_registry(scan_sweeps)), str)


class _Place(NamedTuple):
    kind: str
    registry_id: str
    region: str


_ENHANCED = Query(
    select(configurations.c.kind, configurations.c.registry_id, configurations.c.region).where(
        configurations.c.scan_type == "ENHANCED"
    ),
    _Place,
)


class Look(NamedTuple):
    """An image that is looked at: what is asked about it, None where nothing is, and whether it is to be let go."""

    repository: Repository
    image_id: int
    plan: Plan | None
    is_expired: bool = False


class Batch(NamedTuple):
    """Some images of a registry; the number to go on after, None when these are the last."""

    looks: Sequence[Look]
    last: int | None


def batch(call: Call, registry: Registry, configuration: Configuration, after: int) -> Batch:
    """The images behind the number `after` that enhanced scanning is to look at."""
    if configuration.scan_type != "ENHANCED":
        return Batch((), None)
    known = {each.id: each for each in _REPOSITORIES.all(call.connection, **registry._asdict())}
    found = _CANDIDATES.all(call.connection, after=after, limit=BATCH, **registry._asdict())
    kept = scans.scans_of(call, [each.id for each in found], "ENHANCED")
    revision = _revision(call)
    looks = []
    for each in found:
        look = _look(call, configuration, known[each.repository_id], each, kept.get(each.id), revision)
        if look is not None:
            looks.append(look)
    return Batch(looks, found[-1].id if len(found) == BATCH else None)


def _look(
    call: Call,
    configuration: Configuration,
    repository: Repository,
    candidate: _Candidate,
    scan: scans.Scan | None,
    revision: str,
) -> Look | None:
    frequency = applied_to(configuration, repository).frequency
    if frequency == "MANUAL":
        return None
    pushed_at = candidate.image_pushed_at if scan is None else scan.pushed_at
    pulled_at = None if scan is None else candidate.last_recorded_pull_time
    days = call.runtime.config.scan_duration
    if not rules.is_monitored(pushed_at, pulled_at, call.now, days):
        return None if scan is None else Look(repository, candidate.id, None, is_expired=True)
    if scan is None:
        image = image_by_id(call, candidate.id)
        if image is None or unscannable(call, image) is not None:
            return None
    elif scan.status in ("PENDING", "IMAGE_SIZE_EXCEEDED") or frequency != "CONTINUOUS_SCAN":
        return None
    elif scan.revision == revision:
        return Look(repository, candidate.id, None)
    try:
        planned = plan(call, repository, candidate.id, ("ENHANCED",))
    except KmsException:
        planned = None  # it is looked at again when its key can be used
    return Look(repository, candidate.id, planned)


def carry_out(call: Call, look: Look, examined: Examined | None) -> None:
    """In the write transaction: findings as they are now, or closed; or only that somebody looked."""
    image, scan = image_by_id(call, look.image_id), scans.find_scan(call, look.image_id, "ENHANCED")
    if image is None:
        return
    if look.is_expired:
        if scan is not None:
            scan_outcomes.expire(call, look.repository, image, scan)
    elif examined is not None:
        if scan is None:
            pushed_at = scans.fresh(call, image.id).image_pushed_at
            scans.begin(call, look.repository.id, image.id, "ENHANCED", "PENDING", pushed_at)
        scan_outcomes.settle(call, look.repository, image, "ENHANCED", examined)
    elif scan is not None and scan.status == "COMPLETE":
        scans.observe(call, image.id, "ENHANCED")


def notice_advisories(runtime: Runtime) -> None:
    """Where advisories are others than last time, let all monitored images be compared with them, and begin at once.

    Where requests settle jobs, all of them have been compared when this returns, however many there are.
    """
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
        with call.reading():
            behind = _behind(call)
        if behind:
            with call.writing():
                behind = _behind(call)
                for registry, revision in behind:
                    upsert(call.connection, scan_sweeps, values_of(registry), {"revision": revision})
                    sweep(call, registry, configuration_of(call, registry), call.now)
        since = call.now
    if runtime.config.jobs == "settle":
        _finish(runtime, [registry for registry, _ in behind], since)


def _finish(runtime: Runtime, registries: Sequence[Registry], since: int) -> None:
    """Run jobs until these registries have been looked at; one run of jobs leaves for the next what takes long."""
    while registries and not runtime.stopping.is_set():
        run_due(runtime)
        with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call, call.reading():
            registries = [each for each in registries if is_sweep_left(call, each, since)]


def _revision(call: Call) -> str:
    return revision_at(open_advisories(call.runtime).snapshot(), call.now / SECOND)


def _behind(call: Call) -> list[tuple[Registry, str]]:
    """Registries with enhanced scanning not compared with the advisories of now, and the revision of these."""
    # Without them nobody has to know of advisories, which takes some MB.
    places = _ENHANCED.all(call.connection)
    revision = _revision(call) if places else ""
    found = [Registry(each.registry_id, each.region, each.kind) for each in places]
    return [
        (registry, revision) for registry in found if _SWEPT.first(call.connection, **registry._asdict()) != revision
    ]
