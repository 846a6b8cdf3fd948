"""Pull-time update exclusions: principals whose pulls do not count, per account and region."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, select

from ecrsim.core.arn import Registry
from ecrsim.core.errors import (
    ExclusionAlreadyExistsException,
    ExclusionNotFoundException,
    LimitExceededException,
)
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import pull_time_update_exclusions as exclusions


def _of(registry: Registry) -> Any:
    return (exclusions.c.registry_id == registry.account) & (exclusions.c.region == registry.region)


def register(call: Call, registry: Registry, principal_arn: str) -> None:
    count = select(func.count()).select_from(exclusions).where(_of(registry))
    present = select(exclusions.c.created_at).where(_of(registry), exclusions.c.principal_arn == principal_arn)
    if call.connection.execute(present).first() is not None:
        raise ExclusionAlreadyExistsException(principal_arn=principal_arn, registry_id=registry.account)
    if call.connection.execute(count).scalar_one() >= call.runtime.config.quota_pull_time_exclusions:
        raise LimitExceededException(
            "The maximum number of pull time update exclusions "
            f"in the registry with id '{registry.account}' has been reached"  # I
        )
    call.connection.execute(
        insert(exclusions).values(
            registry_id=registry.account, region=registry.region, principal_arn=principal_arn, created_at=call.now
        )
    )


def deregister(call: Call, registry: Registry, principal_arn: str) -> None:
    gone = call.connection.execute(delete(exclusions).where(_of(registry), exclusions.c.principal_arn == principal_arn))
    if gone.rowcount == 0:
        raise ExclusionNotFoundException(principal_arn=principal_arn, registry_id=registry.account)


def page(call: Call, registry: Registry, after: str, limit: int) -> list[str]:
    """ARNs in their own order, after the ARN `after`."""
    query = select(exclusions.c.principal_arn).where(_of(registry), exclusions.c.principal_arn > after)
    return list(call.connection.execute(query.order_by(exclusions.c.principal_arn).limit(limit)).scalars())
