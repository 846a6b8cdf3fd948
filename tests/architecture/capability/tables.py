"""The table of scans."""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from ecrsim.core.columns import metadata

scans = Table(
    "example_scans",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("status", String(11), nullable=False),
    Column("completed_at", BigInteger),
)
