"""Tables of repositories. Columns carry the wire names in snake case; times are epoch milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from ecrsim.core.db import Json, metadata

repositories = Table(
    "repositories",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(7), nullable=False),
    Column("registry_id", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("repository_name", String(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("image_tag_mutability", String, nullable=False),
    Column("image_tag_mutability_exclusion_filters", Json),
    Column("scan_on_push", Boolean, nullable=False),
    Column("encryption_type", String, nullable=False),
    Column("kms_key", Text),
    UniqueConstraint("kind", "registry_id", "region", "repository_name"),
    sqlite_autoincrement=True,
)

repository_tags = Table(
    "repository_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    UniqueConstraint("repository_id", "key"),
)
