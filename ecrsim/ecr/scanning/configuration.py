"""Verbs on the scanning configuration of a registry, and what it makes of a repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select

from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.facts import record
from ecrsim.core.query import Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.repositories.tables import OF_REGISTRY, Repository, repositories
from ecrsim.ecr.scanning import rules
from ecrsim.ecr.scanning.events import ScanFrequencyChanged
from ecrsim.ecr.scanning.rules import Applied, Configuration
from ecrsim.ecr.scanning.tables import registry_scanning_configurations as configurations

_FIND = Query(
    select(configurations.c.scan_type, configurations.c.rules).where(of_registry(configurations)), Configuration
)


class _Flagged(NamedTuple):
    repository_name: str
    scan_on_push: bool


_REPOSITORIES = Query(
    select(repositories.c.repository_name, repositories.c.scan_on_push)
    .where(OF_REGISTRY)
    .order_by(repositories.c.repository_name),
    _Flagged,
)


def configuration_of(call: Call, registry: Registry) -> Configuration:
    """The configuration that was put, else that of a fresh registry."""
    return _FIND.first(call.connection, **registry._asdict()) or Configuration()


def put_configuration(call: Call, registry: Registry, configuration: Configuration) -> None:
    """Replace the configuration; every repository is scanned by it from now on. InvalidParameterException."""
    rules.check(configuration)
    before = configuration_of(call, registry)
    values: Mapping[str, Any] = {"scan_type": configuration.scan_type, "rules": list(configuration.rules)}
    upsert(call.connection, configurations, values_of(registry), values)
    if configuration.scan_type == "ENHANCED":
        changes = rules.changes(before, configuration, _REPOSITORIES.all(call.connection, **registry._asdict()))
        if changes:
            record(call, ScanFrequencyChanged(registry, tuple(changes)))


def applied_to(configuration: Configuration, repository: Repository) -> Applied:
    """The frequency at which a repository is scanned, and by which filter."""
    return rules.applied(configuration, repository.repository_name, scan_on_push=repository.scan_on_push)
