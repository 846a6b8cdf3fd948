"""Tables of layers.

A layer belongs to a repository; the bytes are kept once for all of them, in the blob store. A layer upload's bytes, and
how far they go, are known by the blob store; its row says only that it exists, and how its parts were cut.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Select,
    String,
    Table,
    and_,
    func,
    select,
)

from ecrsim.blobs.names import digest_in
from ecrsim.core.columns import metadata
from ecrsim.core.ownership import blob_names, upload_names
from ecrsim.ecr.atrest.tables import repository_keys

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

# Layers whose bytes were found missing or wrong, until they are pushed again. `found_at` is in real time. They are told
# by their names in the store: encrypted with another key, the same layer is another file.
layer_faults = Table(
    "layer_faults",
    metadata,
    Column("layer_digest", String, primary_key=True),
    Column("problem", String(10), nullable=False),
    Column("found_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
#: The name of a layer's bytes in the store as a whole (`blobs/names.py`), and a query that has it.
STORED_NAME: ColumnElement[str] = layers.c.layer_digest + func.coalesce("@" + repository_keys.c.space, "")
WITH_KEYS = layers.outerjoin(repository_keys, repository_keys.c.repository_id == layers.c.repository_id)
blob_names.add(layers.c.layer_digest, select(STORED_NAME).select_from(WITH_KEYS))


def layers_by_name(after: str) -> Select[str, Any, Any]:
    """(name in the store, least size, largest size) of all layers behind this name, in the order of names."""
    return (
        select(STORED_NAME, func.min(layers.c.layer_size), func.max(layers.c.layer_size))
        .select_from(WITH_KEYS)
        .where(layers.c.layer_digest >= digest_in(after), STORED_NAME.__gt__(after))
        .group_by(layers.c.layer_digest, repository_keys.c.space)
        .order_by(layers.c.layer_digest, repository_keys.c.space)
    )


def rows_of_name(name: str) -> ColumnElement[bool]:
    """Rows of `layers` whose bytes have this name in the store."""
    among = select(layers.c.repository_id).select_from(WITH_KEYS)
    with_name = among.where(layers.c.layer_digest == digest_in(name), STORED_NAME.in_([name]))
    return and_(layers.c.layer_digest == digest_in(name), layers.c.repository_id.in_(with_name))


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
