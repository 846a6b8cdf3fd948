"""Tables of replication. Columns carry the wire names in snake case; times are epoch milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

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

replication_backfills = Table(
    "replication_backfills",
    metadata,
    # Ascending in the order in which they were started.
    Column("number", Integer, primary_key=True),
    Column("replication_backfill_id", String(36), nullable=False, unique=True),
    Column("registry_id", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("destination_registry_id", String(12), nullable=False),
    Column("destination_region", String, nullable=False),
    Column("status", String(11), nullable=False),
    Column("failure_code", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    # Empty until it is prepared.
    Column("total_replication_count", Integer),
    Column("completed_replication_count", Integer, nullable=False),
    Column("failed_replication_count", Integer, nullable=False),
    Column("failure_codes", Json, nullable=False),
    sqlite_autoincrement=True,
)
Index("replication_backfills_by_registry", replication_backfills.c.registry_id, replication_backfills.c.region)

# What a backfill copies, one row for each image and tag, from 0 on. `status` is empty until it was tried.
replication_backfill_results = Table(
    "replication_backfill_results",
    metadata,
    Column("number", ForeignKey("replication_backfills.number", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    # Not a key: a repository that is gone since is a failure, not one entry less.
    Column("repository_id", Integer, nullable=False),
    Column("repository_name", String(256), nullable=False),
    Column("image_digest", String, nullable=False),
    Column("image_tag", String(300)),
    Column("status", String(8)),
    Column("failure_code", Text),
    Column("sub_image_failure_codes", Json),
    sqlite_with_rowid=False,
)

# Uploads to another site that are under way: where the next chunk of a layer goes.
replication_uploads = Table(
    "replication_uploads",
    metadata,
    # Of the destination.
    Column("registry_id", String(12), primary_key=True),
    Column("region", String, primary_key=True),
    Column("repository_name", String(256), primary_key=True),
    Column("layer_digest", String, primary_key=True),
    Column("location", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
