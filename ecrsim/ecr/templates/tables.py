"""The table of repository creation templates, one set for each registry."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata

# The columns after the region stand in the order of `rules.Template`.
creation_templates = Table(
    "creation_templates",
    metadata,
    *registry_columns(),
    Column("prefix", String(256), primary_key=True),
    Column("applied_for", Json, nullable=False),
    Column("description", Text),
    Column("encryption_configuration", Json, nullable=False),
    Column("resource_tags", Json),
    Column("image_tag_mutability", String, nullable=False),
    Column("image_tag_mutability_exclusion_filters", Json),
    Column("repository_policy", Text),
    Column("lifecycle_policy", Text),
    Column("custom_role_arn", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
