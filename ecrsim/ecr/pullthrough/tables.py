"""Tables of the cache: the rules of each registry, when upstreams were last asked, and what is on its way from them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

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

# Images on their way: what pullers are given while the layers come, and no image before all of them are there. `owner`:
# the process that brings them (`import_rows.py: Custody`); those of a process that was killed are begun anew.
image_imports = Table(
    "image_imports",
    metadata,
    Column("import_id", String(36), primary_key=True),
    Column("image_digest", String, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("image_tag", String(300)),
    Column("media_type", Text, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("owner", Integer, nullable=False),
)
Index("image_imports_by_repository", image_imports.c.repository_id)

# Layers on their way, each in the upload session that pullers read as it grows.
layer_imports = Table(
    "layer_imports",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("layer_digest", String, primary_key=True),
    Column("layer_size", BigInteger, nullable=False),
    Column("upload_id", String(36), nullable=False),
    Column("owner", Integer, nullable=False),
)
