"""Tables of replication. Columns carry the wire names in snake case; times are epoch milliseconds."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata

replication_configurations = Table(
    "replication_configurations",
    metadata,
    *registry_columns(),
    # As PutReplicationConfiguration was sent it.
    Column("rules", Json, nullable=False),
)

# The copies of an image: one row for each destination that was ever begun.
replications = Table(
    "replications",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    Column("region", String, nullable=False),
    Column("registry_id", String(12), nullable=False),
    Column("status", String(11), nullable=False),
    Column("failure_code", Text),
    # Tags that are still to be set there.
    Column("image_tags", Json, nullable=False),
    UniqueConstraint("image_id", "region", "registry_id"),
    sqlite_autoincrement=True,
)
