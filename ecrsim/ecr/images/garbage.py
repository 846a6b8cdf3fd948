"""Garbage collection: layers that no image uses, bytes that no layer names, uploads that expired.

A layer stays for a grace period after the last moment at which an image or a push needed it. Files are deleted with no
transaction open, so that a slow blob store holds no writer up; `ecr/layers/removals.py` keeps pushes and deletions of
the same bytes apart.

What this collection takes from its last repository goes at once: the database knew it, and its time is over. Bytes that
no row names are another matter, since they may be what a push is about to name, or what a database names that is not
this one. They stay for the grace period by their own age, in real time, as files have it; and before anything goes, the
store is asked whether it is still this database's (`core/ownership.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import NamedTuple

from sqlalchemy import delete, exists, select

from ecrsim.blobs.base import UploadBusy
from ecrsim.core.durations import SECOND
from ecrsim.core.ownership import batches, blob_names
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.images.tables import image_layers
from ecrsim.ecr.layers.removals import removal
from ecrsim.ecr.layers.tables import STORED_NAME, WITH_KEYS, layer_uploads, layers

#: Rows per transaction: a collection never holds writers up for long.
BATCH = 500
#: Blobs that are deleted at a time: a push of one of them waits for all.
_AT_ONCE = 50
#: Seconds: files have finer times than the clock.
_TICK = 0.001


class Collected(NamedTuple):
    """The result of a collection: layers taken from repositories, blobs and their bytes, upload sessions."""

    layers: int
    blobs: int
    bytes: int
    uploads: int


def collect(runtime: Runtime, grace: int | None = None) -> Collected:
    """`grace` in seconds; by default the setting `gc_grace`. StoreMismatch when the store is another database's."""
    seconds = runtime.config.gc_grace if grace is None else grace
    since = runtime.ownership.check().since
    runtime.batch.flush()
    now = runtime.clock.now()
    before = now - seconds * SECOND
    # A store that was adopted may hold what its user finds to be of the other database only now.
    oldest = runtime.clock.unturned() / SECOND - seconds + _TICK
    is_old = _Age(oldest, since <= oldest)
    uploads = _expire_uploads(runtime, now, is_old)
    gone = _unused_layers(runtime, before)
    blobs, size = _unnamed_blobs(runtime, gone, is_old)
    return Collected(len(gone), blobs, size, uploads)


class _Age(NamedTuple):
    """The rule by which the age of a file lets it go: `before` in epoch seconds."""

    before: float
    is_settled: bool

    def allows(self, modified_at: float) -> bool:
        return self.is_settled and modified_at <= self.before


def _expire_uploads(runtime: Runtime, now: int, is_old: _Age) -> int:
    files = [upload_id for upload_id, _, modified_at in runtime.blobs.uploads() if is_old.allows(modified_at)]
    # In this order: a session's file is made after its row, so a file that was listed before and has no row belongs to
    # nobody that this database knows.
    with runtime.database.read() as connection:
        sessions = connection.execute(select(layer_uploads.c.upload_id, layer_uploads.c.expires_at))
        expires = {row.upload_id: row.expires_at for row in sessions}
    runtime.ownership.check_openings()
    # The file goes before its row: a row without a file is no session for a client, and is found again.
    expired = [upload_id for upload_id, moment in expires.items() if moment <= now]
    gone = [upload_id for upload_id in expired if _discard(runtime, upload_id)]
    for upload_ids in batches(iter(gone)):
        with runtime.database.write() as connection:
            connection.execute(delete(layer_uploads).where(layer_uploads.c.upload_id.in_(upload_ids)))
    return len(gone) + sum(_discard(runtime, upload_id) for upload_id in files if upload_id not in expires)


def _discard(runtime: Runtime, upload_id: str) -> bool:
    """False when a request is at work on the session: that one is not stale, whatever its age."""
    try:
        runtime.blobs.discard(upload_id)
    except UploadBusy:
        return False
    return True


def _unused_layers(runtime: Runtime, before: int) -> list[str]:
    """The names in the store of the rows that went. A hundred bytes for each are held until their blobs are gone."""
    used = exists().where(
        image_layers.c.repository_id == layers.c.repository_id, image_layers.c.layer_digest == layers.c.layer_digest
    )
    query = (
        select(layers.c.repository_id, layers.c.layer_digest, STORED_NAME)
        .select_from(WITH_KEYS)
        .where(~used, layers.c.needed_at <= before)
        .limit(BATCH)
    )
    gone: list[str] = []
    while True:
        with runtime.database.write() as connection:
            found = list(connection.execute(query))
            for repository_id, digest, _ in found:
                connection.execute(
                    delete(layers).where(layers.c.repository_id == repository_id, layers.c.layer_digest == digest)
                )
        gone += [name for _, _, name in found]
        if len(found) < BATCH:
            return gone


def _unnamed_blobs(runtime: Runtime, let_go: Collection[str], is_old: _Age) -> tuple[int, int]:
    """Delete what no row names: of what was `let_go` just now all, of the rest what is old enough.

    In the grace period of a store that came to this database, another one may name what was let go here.
    """
    count = freed = 0
    known = set(let_go) if is_old.is_settled else set()
    sizes = {
        digest: size
        for digest, size, modified_at in runtime.blobs.blobs()
        if digest in known or is_old.allows(modified_at)
    }
    for digests in batches(iter(sizes)):
        with runtime.database.read() as connection:
            named = blob_names.among(connection, digests)
        unnamed = (digest for digest in digests if digest not in named)
        while some := list(islice(unnamed, _AT_ONCE)):
            runtime.ownership.check_openings()
            with removal(runtime, some) as leaving:
                for digest in leaving:
                    # A push may have renewed it since it was listed.
                    modified_at = runtime.blobs.modified_at(digest)
                    if modified_at is None or not (digest in known or is_old.allows(modified_at)):
                        continue
                    if runtime.blobs.delete(digest):
                        count, freed = count + 1, freed + sizes[digest]
    return count, freed
