"""Verbs on the configuration of a registry, and on what is known of the copies of an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, update

from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.columns import Json
from ecrsim.core.durations import SECOND
from ecrsim.core.jobs import enqueue, pending
from ecrsim.core.query import Addition, Change, Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import image_by_id, tags_of
from ecrsim.ecr.replication import rules as decisions
from ecrsim.ecr.replication.sites import lane_of
from ecrsim.ecr.replication.tables import replication_configurations, replications
from ecrsim.ecr.repositories.tables import Repository

#: Kinds of jobs: a copy, whose key is the image and the destination, and a deletion that follows.
REPLICATE, FOLLOW_DELETION = "replicate-image", "replicate-deletion"

_RULES = Query(select(replication_configurations.c.rules).where(of_registry(replication_configurations)), list)
_ONE = (
    (replications.c.image_id == bindparam("image_id"))
    & (replications.c.region == bindparam("region"))
    & (replications.c.registry_id == bindparam("account"))
)


class Replication(NamedTuple):
    """A copy: where to, how it stands, and the tags that are still to be set there."""

    region: str
    registry_id: str
    status: str
    failure_code: str | None
    image_tags: list[str]


_COLUMNS = [replications.c[name] for name in Replication._fields]
_FIND = Query(select(*_COLUMNS).where(_ONE), Replication)
_OF_IMAGE = Query(
    select(*_COLUMNS).where(replications.c.image_id == bindparam("image_id")).order_by(replications.c.id), Replication
)
_INSERT = Addition(replications, "image_id", "region", "registry_id", "status", "image_tags")
_BEGIN = Change(
    update(replications)
    .where(_ONE)
    .values(status="IN_PROGRESS", failure_code=None, image_tags=bindparam("tags", type_=Json()))
)
_SETTLE = Change(
    update(replications)
    .where(_ONE)
    .values(status=bindparam("outcome"), failure_code=bindparam("failure"), image_tags=[])
)


# --- the configuration ------------------------------------------------------------------------------------------------


def rules_of(call: Call, registry: Registry) -> list[dict[str, Any]]:
    """The rules of a registry, [] where none were ever put."""
    return _RULES.first(call.connection, **registry._asdict()) or []


def put_rules(call: Call, registry: Registry, rules: Sequence[dict[str, Any]]) -> None:
    """Replace the rules of a registry. Copies that are under way come to their end (documented)."""
    upsert(call.connection, replication_configurations, values_of(registry), {"rules": list(rules)})


# --- the copies of an image -------------------------------------------------------------------------------------------


def key_of(image_id: int, destination: Registry) -> str:
    """The key of the job that makes a copy: one for each image and destination."""
    return f"{image_id}/{destination.account}/{destination.region}"


def due(call: Call, image_digest: str, destination: Registry) -> int:
    """When a copy that begins now arrives, in epoch milliseconds."""
    config = call.runtime.config
    wait = decisions.seconds(config.replication_delay, image_digest, destination, as_aws=config.aws_delays)
    return call.now + wait * SECOND


def find(call: Call, image_id: int, destination: Registry) -> Replication | None:
    place = {"account": destination.account, "region": destination.region}
    return _FIND.first(call.connection, image_id=image_id, **place)


def of_image(call: Call, image_id: int) -> list[Replication]:
    """The copies of an image, in the order in which they were first begun."""
    return _OF_IMAGE.all(call.connection, image_id=image_id)


def begin(call: Call, repository: Repository, image_id: int, image_digest: str, tags: Iterable[str]) -> None:
    """Let the image and these tags be copied to all destinations that the rules give it."""
    for destination in decisions.destinations(rules_of(call, repository.registry), repository.repository_name):
        mark(call, image_id, destination, tags)
        key = key_of(image_id, destination)
        # One that waits already takes the new tags along.
        if pending(call, REPLICATE, key) is None:
            payload = {"image_id": image_id, "repository_id": repository.id, "destination": destination[:2]}
            lane = lane_of(call.runtime, destination)
            enqueue(call, REPLICATE, due(call, image_digest, destination), repository.registry, key, payload, lane=lane)


def mark(call: Call, image_id: int, destination: Registry, tags: Iterable[str]) -> None:
    """Let the copy be IN_PROGRESS, with these tags besides those that are still to be set."""
    place = {"image_id": image_id, "region": destination.region}
    known = find(call, image_id, destination)
    wanted = list(dict.fromkeys([*(known.image_tags if known else ()), *tags]))
    if known is None:
        values = {"registry_id": destination.account, "status": "IN_PROGRESS", "image_tags": wanted}
        _INSERT.run(call.connection, **place, **values)
    else:
        _BEGIN.run(call.connection, **place, account=destination.account, tags=wanted)


def settle(call: Call, image_id: int, destination: Registry, failure_code: str | None) -> None:
    """Let the copy be COMPLETE, or FAILED with this code."""
    outcome = "FAILED" if failure_code else "COMPLETE"
    place = {"image_id": image_id, "region": destination.region, "account": destination.account}
    _SETTLE.run(call.connection, **place, outcome=outcome, failure=failure_code)


def tags_now(call: Call, image_id: int) -> list[str]:
    image = image_by_id(call, image_id)
    return tags_of(call, image) if image is not None else []


def follow_deletion(call: Call, repository: Repository, image_digest: str, tags: Sequence[str], *, whole: bool) -> None:
    """Let these tags, or the `whole` image with all its tags, be deleted where the rules say that deletions follow."""
    rules = rules_of(call, repository.registry)
    for destination in decisions.destinations(rules, repository.repository_name, of_deletions=True):
        payload = {
            "repository_name": repository.repository_name,
            "image_digest": image_digest,
            "image_tags": list(tags),
            "whole": whole,
            "destination": destination[:2],
        }
        what = "" if whole else tags[0]
        key = f"{repository.id}/{image_digest}/{what}/{destination.account}/{destination.region}"
        lane = lane_of(call.runtime, destination)
        due_at = due(call, image_digest, destination)
        enqueue(call, FOLLOW_DELETION, due_at, repository.registry, key, payload, lane=lane)
