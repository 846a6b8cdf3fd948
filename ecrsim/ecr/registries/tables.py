"""Tables of registries. A registry itself has no row: every account has one in every region."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import metadata

account_settings = Table(
    "account_settings",
    metadata,
    *registry_columns(),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

# Names of public registries, each of one account. Two registries never share one.
registry_aliases = Table(
    "registry_aliases",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("registry_id", String(12), nullable=False),
    # ACTIVE, PENDING or REJECTED
    Column("status", String(8), nullable=False),
    # The one that the URIs of the registry's repositories are made with.
    Column("is_primary", Boolean, nullable=False),
    # The one that came with the first repository.
    Column("is_default", Boolean, nullable=False),
)
Index("registry_aliases_by_registry", registry_aliases.c.registry_id)
