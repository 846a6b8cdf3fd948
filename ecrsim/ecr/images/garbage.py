"""Garbage collection: layers that no image uses, bytes that no layer names, uploads that expired.

A layer stays for a grace period after the last moment at which an image or a push needed it. Looking and deleting share
a write transaction, as do the rename of an upload and its row; a push and a collection therefore never cross.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import delete, exists, select

from ecrsim.blobs.base import UploadBusy
from ecrsim.core.clock import SECOND
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.images.tables import image_layers
from ecrsim.ecr.layers.tables import layer_uploads, layers

#: Rows or files per transaction: a collection never holds writers up for long.
BATCH = 500


class Collected(NamedTuple):
    """What went: layers taken from repositories, blobs and their bytes, upload sessions."""

    layers: int
    blobs: int
    bytes: int
    uploads: int


def collect(runtime: Runtime, grace: int | None = None) -> Collected:
    """`grace` in seconds; by default the setting `gc_grace`."""
    seconds = runtime.config.gc_grace if grace is None else grace
    runtime.batch.flush()
    now = runtime.clock.now()
    before = now - seconds * SECOND
    uploads = _expire_uploads(runtime, now)
    gone = _unused_layers(runtime, before)
    blobs, size = _unnamed_blobs(runtime)
    return Collected(gone, blobs, size, uploads)


def _expire_uploads(runtime: Runtime, now: int) -> int:
    files = [upload_id for upload_id, _, _ in runtime.blobs.uploads()]
    # In this order: a session's file is made inside the transaction of its row, so a file that is listed now and has no
    # row once no writer is under way belongs to nobody.
    with runtime.database.write() as connection:
        sessions = connection.execute(select(layer_uploads.c.upload_id, layer_uploads.c.expires_at))
        expires = {row.upload_id: row.expires_at for row in sessions}
        expired = [upload_id for upload_id, moment in expires.items() if moment <= now]
        gone = [upload_id for upload_id in expired if _discard(runtime, upload_id)]
        connection.execute(delete(layer_uploads).where(layer_uploads.c.upload_id.in_(gone)))
    return len(gone) + sum(_discard(runtime, upload_id) for upload_id in files if upload_id not in expires)


def _discard(runtime: Runtime, upload_id: str) -> bool:
    """False when a request is at work on the session: that one is not stale, whatever its age."""
    try:
        runtime.blobs.discard(upload_id)
    except UploadBusy:
        return False
    return True


def _unused_layers(runtime: Runtime, before: int) -> int:
    used = exists().where(
        image_layers.c.repository_id == layers.c.repository_id, image_layers.c.layer_digest == layers.c.layer_digest
    )
    query = (
        select(layers.c.repository_id, layers.c.layer_digest).where(~used, layers.c.needed_at <= before).limit(BATCH)
    )
    total = 0
    while True:
        with runtime.database.write() as connection:
            found = list(connection.execute(query))
            for repository_id, digest in found:
                connection.execute(
                    delete(layers).where(layers.c.repository_id == repository_id, layers.c.layer_digest == digest)
                )
        total += len(found)
        if len(found) < BATCH:
            return total


def _unnamed_blobs(runtime: Runtime) -> tuple[int, int]:
    count = freed = 0
    for digest, size, _ in list(runtime.blobs.blobs()):
        named = select(layers.c.layer_digest).where(layers.c.layer_digest == digest).limit(1)
        with runtime.database.read() as connection:
            if connection.execute(named).scalar() is not None:
                continue
        # Once more, with no writer under way: a push may have named it in between.
        with runtime.database.write() as connection:
            if connection.execute(named).scalar() is None and runtime.blobs.delete(digest):
                count, freed = count + 1, freed + size
    return count, freed
