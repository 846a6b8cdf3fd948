"""Tables of the cache: the rules of each registry, and when upstreams were last asked."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import metadata

# The columns after the registry stand in the order of `rules.Rule`.
pull_through_cache_rules = Table(
    "pull_through_cache_rules",
    metadata,
    *registry_columns(),
    Column("ecr_repository_prefix", String(30), primary_key=True),
    Column("upstream_registry_url", Text, nullable=False),
    Column("upstream_registry", Text, nullable=False),
    Column("upstream_repository_prefix", String(30), nullable=False),
    Column("credential_arn", Text),
    Column("custom_role_arn", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# When the upstream was asked what a tag names, or what refers to a digest. `asked`: the tag, or `referrers:<digest>`.
upstream_checks = Table(
    "upstream_checks",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("asked", Text, primary_key=True),
    Column("checked_at", BigInteger, nullable=False),
    Column("has_answered", Boolean, nullable=False),
)

# Where upstreams are, as `PUT /_ecrsim/upstreams` said last; entries of the settings have no row.
upstream_entries = Table(
    "upstream_entries", metadata, Column("name", Text, primary_key=True), Column("url", Text, nullable=False)
)
