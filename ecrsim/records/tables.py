"""The tables of the audit and of the tally."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import metadata

# One row for each decision, of either plane.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("plane", String(8), nullable=False),
    Column("principal", Text, nullable=False),
    Column("account", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("is_allowed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", String(36), nullable=False),
    Column("source", Text, nullable=False),
    # The error that the call was answered with, null where there was none.
    Column("error", Text),
    Column("kind", String(7), nullable=False, server_default="private"),
    sqlite_autoincrement=True,
)

# What was done, by day: what a bill counts, and nothing else (`tally.py`).
tallies = Table(
    "tallies",
    metadata,
    *registry_columns(),
    # Days since the epoch, UTC.
    Column("day", Integer, primary_key=True),
    Column("repository_name", String(256), primary_key=True),
    Column("measure", String(20), primary_key=True),
    Column("destination", String(32), primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
