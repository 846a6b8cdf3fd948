"""Pull times: recorded at no cost to the pull, except for principals on the exclusion list."""

from __future__ import annotations

import re
from collections.abc import Hashable

from sqlalchemy import Connection, bindparam, select, update

from ecrsim.core.belonging import of_registry
from ecrsim.core.durations import DAY
from ecrsim.core.query import Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.images.tables import images, pull_time_update_exclusions

_EXCLUDED = Query(
    select(pull_time_update_exclusions.c.principal_arn).where(of_registry(pull_time_update_exclusions)), str
)
_SESSION = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")


def record_pull(call: Call, registry: Registry, image: Image) -> None:
    """Once in 24 hours is enough for ECR (documented); a setting makes it every time."""
    last = image.last_recorded_pull_time
    if last is not None and 0 <= call.now - last < DAY and not call.runtime.config.record_every_pull:
        return
    excluded = _EXCLUDED.all(call.connection, **registry._asdict())
    if excluded and any(is_same_principal(arn, call.caller.principal) for arn in excluded):
        return
    call.runtime.batch.note(_write_pulls, image.id, call.now)


def write_pulls(call: Call) -> None:
    """Write the pull times that are noted so far; the call sees them afterwards."""
    call.release()
    call.runtime.batch.flush(_write_pulls)


def is_same_principal(arn: str, principal: str) -> bool:
    """A session of a role counts as the role; its ARN has lost the role's path (inferred)."""
    session = _SESSION.fullmatch(principal)
    if session is None:
        return arn == principal
    partition, account, role = session.groups()
    return arn.startswith(f"arn:{partition}:iam::{account}:role/") and arn.endswith(f"/{role}")


def _write_pulls(connection: Connection, notes: dict[Hashable, int]) -> None:
    statement = update(images).where(images.c.id == bindparam("image")).values(last_recorded_pull_time=bindparam("at"))
    connection.execute(statement, [{"image": image, "at": at} for image, at in notes.items()])
