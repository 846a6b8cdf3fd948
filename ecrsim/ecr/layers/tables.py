"""Tables of layers.

A layer belongs to a repository; the bytes are kept once for all of them, in the blob store. A layer upload's bytes, and
how far they go, are known by the blob store; its row says only that it exists, and how its parts were cut.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from ecrsim.core.columns import metadata
from ecrsim.core.ownership import blob_names, upload_names

layers = Table(
    "layers",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("layer_digest", String, primary_key=True),
    Column("layer_size", BigInteger, nullable=False),
    # The last moment at which an image or a push needed it; garbage collection counts from here.
    Column("needed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("layers_by_digest", layers.c.layer_digest)

# Layers whose bytes were found missing or wrong, until they are pushed again. `found_at` is in real time.
layer_faults = Table(
    "layer_faults",
    metadata,
    Column("layer_digest", String, primary_key=True),
    Column("problem", String(10), nullable=False),
    Column("found_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
blob_names.add(layers.c.layer_digest)

layer_uploads = Table(
    "layer_uploads",
    metadata,
    Column("upload_id", String(36), primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("part_count", Integer, nullable=False),
    # A part below the minimum came in; if another follows it, the upload cannot be completed.
    Column("last_part_small", Boolean, nullable=False),
    Column("small_part_inside", Boolean, nullable=False),
)
upload_names.add(layer_uploads.c.upload_id)
