"""The table of metering. Times are epoch milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from ecrsim.core.columns import metadata

# Bytes that were in a storage class of a repository from `since` until `until`, and are not there any more. The
# repository is named, and not a key: what it held is billed when it is gone.
storage_spans = Table(
    "storage_spans",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(7), nullable=False),
    Column("registry_id", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("repository_name", String(256), nullable=False),
    # STANDARD or ARCHIVE
    Column("storage_class", String(8), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    # delete, archive or restore; empty where the bytes went on being stored, for an image that came later.
    Column("ended_by", String(7), nullable=False),
)
Index("storage_spans_by_end", storage_spans.c.until)
