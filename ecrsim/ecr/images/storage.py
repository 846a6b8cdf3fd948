"""The storage class of an image: archived at once, restored after a while (`jobs.py`) or by a push (`pushing.py`)."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update

from ecrsim.core.durations import SECOND
from ecrsim.core.facts import record
from ecrsim.core.jobs import cancel, enqueue
from ecrsim.core.query import Change, Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import events, rows
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.images.tables import image_references, images
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.records import tally

#: The kind of the job that completes a restore; its key is the image's number.
COMPLETE_RESTORE = "complete-restore"

_SET_STATUS = (
    update(images)
    .where(images.c.id == bindparam("image"), images.c.image_status == bindparam("before"))
    .values(image_status=bindparam("after"))
)
_ARCHIVE = Change(_SET_STATUS.values(last_archived_at=bindparam("now")))
_SIZE = Query(select(images.c.image_size_in_bytes).where(images.c.id == bindparam("image")), int)
_BEGIN_RESTORE = Change(_SET_STATUS)
_UNARCHIVED_INDEXES = Query(
    select(images.c.image_digest)
    .join(image_references, image_references.c.image_id == images.c.id)
    .where(
        image_references.c.repository_id == bindparam("repository_id"),
        image_references.c.image_digest == bindparam("image_digest"),
        images.c.image_status != "ARCHIVED",
    )
    .order_by(images.c.id),
    str,
)


def archive(call: Call, repository: Repository, image: Image) -> bool:
    """The whole image, under all its tags, cannot be pulled from now on. Runs inside a write transaction.

    False when it is not ACTIVE any more, and then nothing happens.
    """
    changed = _ARCHIVE.run(call.connection, image=image.id, before="ACTIVE", after="ARCHIVED", now=call.now)
    if changed == 0:
        return False
    record(call, events.ImageArchived(repository, image.id, events.describe(call, image.id)))
    return True


def begin_restore(call: Call, repository: Repository, image: Image) -> bool:
    """It will be ACTIVE when the setting `restore_delay` has passed. Runs inside a write transaction.

    False when it is not ARCHIVED any more, and then nothing happens.
    """
    changed = _BEGIN_RESTORE.run(call.connection, image=image.id, before="ARCHIVED", after="ACTIVATING")
    if changed == 0:
        return False
    place = repository.registry, repository.repository_name
    tally.record(call, *place, tally.RESTORE, size=_SIZE.one(call.connection, image=image.id))
    ready = call.now + call.runtime.config.restore_seconds * SECOND
    payload = {"repository_id": repository.id, "repository_name": repository.repository_name}
    enqueue(call, COMPLETE_RESTORE, ready, repository.registry, str(image.id), payload)
    return True


def activate(call: Call, repository: Repository, image_id: int, origin: events.Origin = "push") -> None:
    """From now on the image can be pulled again; its rules count its age from here (documented)."""
    rows.RESTORE.run(call.connection, image_id=image_id, now=call.now)
    cancel(call, COMPLETE_RESTORE, str(image_id))
    record(call, events.ImageRestored(repository, image_id, events.describe(call, image_id), call.now, origin))


def indexes_in_use(call: Call, repository: Repository, image_digest: str) -> list[str]:
    """Digests of the indexes that list the image and are not archived: it may not be archived before they are."""
    return _UNARCHIVED_INDEXES.all(call.connection, repository_id=repository.id, image_digest=image_digest)
