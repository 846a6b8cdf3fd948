"""Columns of tables that belong to a registry, and the clause that selects the rows of one.

A row carries the account, the region and the kind of its registry, so that ECR and ECR Public live in the same tables.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, and_, bindparam

from ecrsim.core.registry import Registry


def registry_columns() -> tuple[Column[Any], ...]:
    """The first columns of a primary key that begins with the registry."""
    return (
        Column("kind", String(7), primary_key=True),
        Column("registry_id", String(12), primary_key=True),
        Column("region", String, primary_key=True),
    )


def of_registry(table: Table) -> ColumnElement[bool]:
    """The rows of the registry whose members are given as parameters: `**registry._asdict()`."""
    return and_(
        table.c.kind == bindparam("kind"),
        table.c.registry_id == bindparam("account"),
        table.c.region == bindparam("region"),
    )


def rows_of(table: Table, registry: Registry) -> ColumnElement[bool]:
    """The rows of this registry, for a statement that is made for it alone."""
    return and_(*(table.c[name] == value for name, value in values_of(registry).items()))


def values_of(registry: Registry) -> dict[str, str]:
    """The registry as columns of a new row."""
    return {"kind": registry.kind, "registry_id": registry.account, "region": registry.region}
