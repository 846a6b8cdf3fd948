"""Tables of lifecycle policies: the policies, the previews with their results, and the run that is under way."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from ecrsim.core.columns import Json, metadata

lifecycle_policies = Table(
    "lifecycle_policies",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    # As it was sent, to the last blank.
    Column("lifecycle_policy_text", Text, nullable=False),
    Column("policy_id", String(36), nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("last_evaluated_at", BigInteger),
)

lifecycle_previews = Table(
    "lifecycle_previews",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("lifecycle_policy_text", Text, nullable=False),
    Column("status", String(11), nullable=False),
    # Tells the results of this preview from those of the one before.
    Column("preview_id", String(36), nullable=False),
    # The policy as the preview's events tell it; set, like the counts, when all results are written.
    Column("policy", Json),
    Column("expiring_image_total_count", Integer, nullable=False),
    Column("transitioning_image_total_count", Integer, nullable=False),
    # Results up to this position are in events.
    Column("last_reported", Integer, nullable=False),
)

# Rows of a preview whose status is not COMPLETE may be partial, or of the preview before.
lifecycle_preview_results = Table(
    "lifecycle_preview_results",
    metadata,
    Column("repository_id", ForeignKey("lifecycle_previews.repository_id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("image_digest", String, nullable=False),
    Column("image_tags", Json, nullable=False),
    Column("is_tagged", Boolean, nullable=False),
    Column("image_pushed_at", BigInteger, nullable=False),
    Column("storage_class", String(8), nullable=False),
    Column("action", String(10), nullable=False),
    Column("applied_rule_priority", Integer, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "lifecycle_preview_results_by_digest",
    lifecycle_preview_results.c.repository_id,
    lifecycle_preview_results.c.image_digest,
)

# A run is planned once and then carried out in batches: what is left of it is here, whatever dies in between.
lifecycle_runs = Table(
    "lifecycle_runs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("policy_version", Integer, nullable=False),
    # The instant at which it was planned.
    Column("planned_at", BigInteger, nullable=False),
)

lifecycle_actions = Table(
    "lifecycle_actions",
    metadata,
    Column("repository_id", ForeignKey("lifecycle_runs.repository_id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    # No reference: the image may be gone by the time its turn comes.
    Column("image_id", Integer, nullable=False),
    Column("image_pushed_at", BigInteger, nullable=False),
    # As the plan saw it: an image that has other tags by then, or another class, is left to the next run.
    Column("image_tags", Json, nullable=False),
    Column("storage_class", String(8)),
    Column("action", String(10), nullable=False),
    # None for what follows its subject.
    Column("rule_priority", Integer),
    sqlite_with_rowid=False,
)
