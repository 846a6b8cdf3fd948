"""Pull-time update exclusions: principals whose pulls do not count, per account and region."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select

from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.errors import (
    ExclusionAlreadyExistsException,
    ExclusionNotFoundException,
    LimitExceededException,
)
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import pull_time_update_exclusions as exclusions

_HERE = of_registry(exclusions)


def register(call: Call, registry: Registry, principal_arn: str) -> None:
    place = registry._asdict()
    count = select(func.count()).select_from(exclusions).where(_HERE)
    present = select(exclusions.c.created_at).where(_HERE, exclusions.c.principal_arn == principal_arn)
    if call.connection.execute(present, place).first() is not None:
        raise ExclusionAlreadyExistsException(principal_arn=principal_arn, registry_id=registry.account)
    if call.connection.execute(count, place).scalar_one() >= call.runtime.config.quota_pull_time_exclusions:
        raise LimitExceededException(
            "The maximum number of pull time update exclusions "
            f"in the registry with id '{registry.account}' has been reached"  # I
        )
    call.connection.execute(
        insert(exclusions).values(**values_of(registry), principal_arn=principal_arn, created_at=call.now)
    )


def deregister(call: Call, registry: Registry, principal_arn: str) -> None:
    one = delete(exclusions).where(_HERE, exclusions.c.principal_arn == principal_arn)
    if call.connection.execute(one, registry._asdict()).rowcount == 0:
        raise ExclusionNotFoundException(principal_arn=principal_arn, registry_id=registry.account)


def page_of_arns(call: Call, registry: Registry, after: str, limit: int) -> list[str]:
    """ARNs in their own order, after the ARN `after`."""
    query = select(exclusions.c.principal_arn).where(_HERE, exclusions.c.principal_arn > after)
    query = query.order_by(exclusions.c.principal_arn).limit(limit)
    return list(call.connection.execute(query, registry._asdict()).scalars())
