"""Tables of images. Columns carry the wire names in snake case; times are epoch milliseconds.

The manifest's bytes stand in a table of their own, so that a page of images reads none of them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata, partial_index

images = Table(
    "images",
    metadata,
    # Ascending in the order of pushes, which is the order of every listing.
    Column("id", Integer, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("image_digest", String, nullable=False),
    Column("image_size_in_bytes", BigInteger, nullable=False),
    Column("image_pushed_at", BigInteger, nullable=False),
    Column("image_manifest_media_type", String, nullable=False),
    Column("artifact_media_type", Text),
    Column("last_recorded_pull_time", BigInteger),
    Column("subject_manifest_digest", String),
    Column("image_status", String(10), nullable=False),
    Column("last_archived_at", BigInteger),
    Column("last_activated_at", BigInteger),
    Column("is_tagged", Boolean, nullable=False),
    # Members of a referrer's descriptor.
    Column("manifest_size", Integer, nullable=False),
    Column("artifact_type", Text),
    Column("annotations", Json),
    UniqueConstraint("repository_id", "image_digest"),
    sqlite_autoincrement=True,
)
# Each index is a page more to write at each push, and writing pages is half of what a push costs.
Index("images_by_push", images.c.repository_id, images.c.id, images.c.image_status)
Index("images_by_tagging", images.c.repository_id, images.c.is_tagged, images.c.id)
partial_index(
    "images_by_subject",
    images.c.repository_id,
    images.c.subject_manifest_digest,
    images.c.id,
    where=images.c.subject_manifest_digest.is_not(None),
)

image_manifests = Table(
    "image_manifests",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("manifest", LargeBinary, nullable=False),
)

image_tags = Table(
    "image_tags",
    metadata,
    # Ascending in the order in which tags were attached.
    Column("id", Integer, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("image_tag", String(300), nullable=False),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    UniqueConstraint("repository_id", "image_tag"),
)
Index("image_tags_by_image", image_tags.c.image_id, image_tags.c.id)

# The layers and the config that an image manifest names, with the type that it gives them.
image_layers = Table(
    "image_layers",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("layer_digest", String, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("media_type", Text),
    sqlite_with_rowid=False,
)
Index("image_layers_by_digest", image_layers.c.repository_id, image_layers.c.layer_digest)

# The images that an index lists.
image_references = Table(
    "image_references",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("image_digest", String, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    sqlite_with_rowid=False,
)
Index("image_references_by_digest", image_references.c.repository_id, image_references.c.image_digest)

pull_time_update_exclusions = Table(
    "pull_time_update_exclusions",
    metadata,
    *registry_columns(),
    Column("principal_arn", String(200), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)
