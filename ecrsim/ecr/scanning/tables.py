"""Tables of scanning. Columns carry the wire names in snake case; times are epoch milliseconds.

`scan_type` is BASIC or ENHANCED: results of both are kept, so that a registry that is switched back shows what it had.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata

registry_scanning_configurations = Table(
    "registry_scanning_configurations",
    metadata,
    *registry_columns(),
    Column("scan_type", String(8), nullable=False),
    # As PutRegistryScanningConfiguration was sent it.
    Column("rules", Json, nullable=False),
)

image_scans = Table(
    "image_scans",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("scan_type", String(8), primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    # Of the last scan; what is shown depends on the clock and the configuration as well (`rules.shown`).
    Column("status", String(24), nullable=False),
    Column("description", Text),
    # When the last scan was asked for: a basic one is allowed once in 24 hours.
    Column("requested_at", BigInteger, nullable=False),
    # The last push, from which on an image is monitored for some days.
    Column("pushed_at", BigInteger, nullable=False),
    # Of the last scan that came to an end.
    Column("image_scan_completed_at", BigInteger),
    Column("vulnerability_source_updated_at", BigInteger),
    # Which advisories it was compared with, so that a rescan knows what is done.
    Column("revision", Text),
    Column("architecture", Text),
    Column("author", Text),
    Column("platform", Text),
    sqlite_with_rowid=False,
)
Index("image_scans_by_request", image_scans.c.repository_id, image_scans.c.scan_type, image_scans.c.requested_at)

# What findings are made of, kept once for all images that have it: those on one base image share most of theirs.
scan_details = Table(
    "scan_details",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("detail", Text, nullable=False),
)

# A page is in the order of the key: the most severe first (`rank`), then by name.
scan_findings = Table(
    "scan_findings",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("scan_type", String(8), primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("name", String, primary_key=True),
    # Of a basic finding, which is about one package; an enhanced one is about all that the vulnerability is in.
    Column("package", String, primary_key=True),
    Column("severity", String(13), nullable=False),
    Column("detail_id", ForeignKey("scan_details.id"), nullable=False),
    Column("first_observed_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # Since when an enhanced one is no more; it is forgotten some days later, and takes up its first time if it is back.
    Column("closed_at", BigInteger),
    # Why it is not shown: somebody said that it is of no concern.
    Column("suppressed", Text),
    sqlite_with_rowid=False,
)
Index("scan_findings_by_detail", scan_findings.c.detail_id)

# Findings that a test set, as they are to be shown; every scan of the image then finds these.
set_findings = Table(
    "set_findings",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("scan_type", String(8), primary_key=True),
    Column("findings", Json, nullable=False),
    sqlite_with_rowid=False,
)

# What was read in a layer, whichever images use it. `content` is compressed JSON; none of a layer that cannot be read.
layer_contents = Table(
    "layer_contents",
    metadata,
    Column("layer_digest", String, primary_key=True),
    # Of the readers: what earlier ones read is read again.
    Column("reader", Integer, nullable=False),
    Column("content", LargeBinary),
    Column("failure", Text),
)

# Per registry: the advisories with which all monitored images have been compared, or are about to be.
scan_sweeps = Table(
    "scan_sweeps",
    metadata,
    *registry_columns(),
    Column("revision", Text, nullable=False),
)
