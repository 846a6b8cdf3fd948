"""The table of keys that encrypt what is stored. No key stands in it in the clear."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from ecrsim.core.columns import metadata

# One row for each repository that something was pushed to under the setting `encrypt`. `sharing`: equal for those that
# share stored bytes, and so have the same `space`. `space_key`: that of the space, under this repository's data key.
repository_keys = Table(
    "repository_keys",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("sharing", Text, nullable=False),
    Column("wrapped_key", Text, nullable=False),
    Column("space", String(32), nullable=False),
    Column("space_key", Text, nullable=False),
    sqlite_with_rowid=False,
)
Index("repository_keys_by_sharing", repository_keys.c.sharing)
Index("repository_keys_by_space", repository_keys.c.space)
