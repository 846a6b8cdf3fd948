"""The registry that a request acts on, and its settings."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from ecrsim.core.belonging import of_registry
from ecrsim.core.query import Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.registries import rules
from ecrsim.ecr.registries.tables import account_settings

_SETTING = Query(
    select(account_settings.c.value).where(of_registry(account_settings), account_settings.c.name == bindparam("name")),
    str,
)


def registry_of(call: Call, registry_id: str | None = None) -> Registry:
    """The registry named by `registryId`, in the region of the request; the caller's own when none is named.

    Of the service that was asked: ECR's, or ECR Public's.
    """
    registry = call.caller.registry
    return registry._replace(account=registry_id) if registry_id else registry


def account_setting(call: Call, registry: Registry, name: str) -> str:
    """The value that holds: what was put, else the default."""
    value = _SETTING.first(call.connection, **registry._asdict(), name=name)
    return value if value is not None else rules.default_setting(name, call.runtime.config.blob_mounting)
