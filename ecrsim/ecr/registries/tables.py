"""Tables of registries. A registry itself has no row: every account has one in every region."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import metadata

account_settings = Table(
    "account_settings",
    metadata,
    *registry_columns(),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
