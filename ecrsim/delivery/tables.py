"""Tables of delivery: which targets there are, which rules choose for them, and how far each target is."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from ecrsim.core.columns import Json, metadata

targets = Table(
    "targets",
    metadata,
    Column("name", Text, primary_key=True),
    # Its place in the document.
    Column("position", Integer, nullable=False),
    Column("type", Text, nullable=False),
    # The members of its type; secrets and URLs are sealed (`core/sealing.py`).
    Column("settings", Json, nullable=False),
)

target_rules = Table(
    "target_rules",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("name", Text),
    Column("pattern", Json, nullable=False),
    # Names of targets.
    Column("targets", Json, nullable=False),
)

# One row for each target. It outlives a change of the target's settings, and goes with the target.
deliveries = Table(
    "deliveries",
    metadata,
    Column("target", Text, primary_key=True),
    # Another one when a target of that name is made anew, so that nobody moves the cursor of the one before.
    Column("incarnation", String(36), nullable=False),
    # Everything up to this sequence number is done with.
    Column("sequence", Integer, nullable=False),
    # Of the event that is next: how often it failed, and why the last time.
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Text),
    # Events that the target can never take, and the last of them.
    Column("left_out", Integer, nullable=False, default=0),
    Column("left_out_reason", Text),
    Column("delivered_at", BigInteger),
)
