"""Tables that ECR Public alone has: catalog data of repositories and registries, and since when tags are there.

Times are epoch milliseconds.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, LargeBinary, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata

repository_catalogs = Table(
    "repository_catalogs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("description", Text),
    Column("architectures", Json),
    Column("operating_systems", Json),
    Column("about_text", Text),
    Column("usage_text", Text),
    # In the URL of the logo; None where there is none. Another logo has another.
    Column("logo_id", String(36), unique=True),
)

# The bytes stand in a table of their own, so that a page of repositories reads none of them.
repository_logos = Table(
    "repository_logos",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("image", LargeBinary, nullable=False),
)

registry_catalogs = Table(
    "registry_catalogs",
    metadata,
    *registry_columns(),
    Column("display_name", Text),
    # A verified account has a badge in the gallery; AWS says who is.
    Column("is_verified", Boolean, nullable=False),
)

image_tag_times = Table(
    "image_tag_times",
    metadata,
    Column("image_tag_id", ForeignKey("image_tags.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

# What clients have asked for, where the setting `public_limits` bounds it: by account, or address, and action.
public_meters = Table(
    "public_meters",
    metadata,
    Column("subject", String, primary_key=True),
    Column("action", String, primary_key=True),
    # In microseconds: before it there is no room for another request at the action's rate.
    Column("next_at", BigInteger, nullable=False),
    Column("month", String(7), nullable=False),
    Column("bytes", BigInteger, nullable=False),
)
