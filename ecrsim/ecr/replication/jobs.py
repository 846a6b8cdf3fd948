"""Jobs of replication: a copy, a deletion that follows, and the steps of a backfill."""

from __future__ import annotations

from ecrsim.core.facts import record
from ecrsim.core.jobs import Job, finish, is_pending, job
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import image_by_digest, image_by_id, image_by_tag
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.replication import backfills, service
from ecrsim.ecr.replication.copying import CopyResult, copy
from ecrsim.ecr.replication.deleting import delete_copy, what_is_back
from ecrsim.ecr.replication.events import ImageReplicated
from ecrsim.ecr.replication.rules import Verdict
from ecrsim.ecr.replication.sending import SendingStopped, delete, send
from ecrsim.ecr.replication.sites import endpoint_of
from ecrsim.ecr.repositories.service import find_repository_by_id
from ecrsim.ecr.repositories.tables import Repository


def _give_up(call: Call, job: Job) -> None:
    """Tell of a copy that failed too often, as of any other failure."""
    destination = Registry(*job.payload["destination"])
    image = image_by_id(call, job.payload["image_id"])
    repository = find_repository_by_id(call, job.payload["repository_id"])
    found = service.find(call, job.payload["image_id"], destination)
    if image is not None and repository is not None and found is not None:
        place = destination, repository.repository_name, image.image_digest
        service.settle(call, image.id, destination, "InternalError")
        record(call, ImageReplicated(*place, tuple(found.image_tags), repository.registry, "InternalError"))


@job(service.REPLICATE, is_long=True, given_up=_give_up)
def replicate_image(call: Call, job: Job) -> None:
    """Copy an image to a destination. One that was deleted meanwhile, or whose repository was, needs no copy."""
    destination = Registry(*job.payload["destination"])
    if endpoint_of(call.runtime, destination) is not None:
        _send_image(call, job, destination)
        return
    with call.writing():
        image, repository, found = _wanted(call, job, destination)
        if finish(call, job) and image is not None and repository is not None and found is not None:
            outcome = copy(call, repository, image.image_digest, destination, found.image_tags)
            service.settle(call, image.id, destination, outcome.failure_code)


def _wanted(
    call: Call, job: Job, destination: Registry
) -> tuple[Image | None, Repository | None, service.Replication | None]:
    image_id = job.payload["image_id"]
    repository = find_repository_by_id(call, job.payload["repository_id"])
    return image_by_id(call, image_id), repository, service.find(call, image_id, destination)


def _send_image(call: Call, job: Job, destination: Registry) -> None:
    """Send the image to another site, with no transaction open. Another job sends tags that are set meanwhile."""
    with call.reading():
        if not is_pending(call, job):
            return
        image, repository, found = _wanted(call, job, destination)
    outcome = CopyResult("ImageNotFound")
    tags: list[str] = []
    if image is not None and repository is not None and found is not None:
        try:
            outcome, tags = send(call, job, repository, image.image_digest, destination, found.image_tags)
        except SendingStopped:
            return
    with call.writing():
        image, repository, now = _wanted(call, job, destination)
        if not finish(call, job) or image is None or repository is None or found is None or now is None:
            return
        place = destination, repository.repository_name, image.image_digest
        record(call, ImageReplicated(*place, tuple(tags), repository.registry, outcome.failure_code))
        service.settle(call, image.id, destination, outcome.failure_code)
        later = [tag for tag in now.image_tags if tag not in found.image_tags]
        if later:
            service.begin(call, repository, image.id, image.image_digest, later)


@job(service.FOLLOW_DELETION, is_long=True)
def replicate_deletion(call: Call, job: Job) -> None:
    """Delete at the destination what was deleted here: a tag, or an image with all its tags."""
    payload, destination = job.payload, Registry(*job.payload["destination"])
    name, digest, tags = payload["repository_name"], payload["image_digest"], payload["image_tags"]
    if endpoint_of(call.runtime, destination) is None:
        with call.writing():
            if finish(call, job):
                delete_copy(call, job.registry, name, digest, tags, destination, whole=payload["whole"])
        return
    with call.reading():
        if not is_pending(call, job):
            return
        is_back, lost = what_is_back(call, job.registry, name, digest, tags)
    # Of another site only what it was sent goes: it says itself what becomes of an image without tags.
    references = [digest] if payload["whole"] and not is_back else lost
    delete(call, job.registry, name, references, destination)
    with call.writing():
        finish(call, job)


# --- backfills --------------------------------------------------------------------------------------------------------

#: Units in one transaction, after which others have their turn.
BATCH = 50
#: Units that are sent to another site at once, with no transaction open.
SENT = 10
#: Rows of a preparation in one transaction, and seconds between two of them.
_ROWS, _PAUSE = 1_000, 0.002


def _end_in_failure(call: Call, job: Job) -> None:
    backfill = backfills.find(call, int(job.key))
    if backfill is not None and backfill.ended_at is None:
        backfills.end(call, backfill, Verdict("FAILED", "InternalError"))


@job(backfills.PREPARE, is_long=True, given_up=_end_in_failure)
def prepare_backfill(call: Call, job: Job) -> None:
    """Write down what is to be copied, by the rules of now. One that was cut off begins anew."""
    with call.reading():
        backfill = backfills.find(call, int(job.key))
        rows = backfills.copyable(call, backfill) if backfill is not None else []
    position = 0
    while not call.runtime.stopping.wait(_PAUSE):
        with call.writing():
            backfill = backfills.find(call, int(job.key))
            if backfill is None or backfill.status != "PREPARING" or not is_pending(call, job):
                finish(call, job)
                return
            if position == 0:
                backfills.drop_units(call, backfill)
            backfills.add_units(call, backfill, position, rows[position : position + _ROWS])
            position += _ROWS
            if position >= len(rows):
                finish(call, job)
                backfills.begin(call, backfill, len(rows))
                return


@job(backfills.GO_ON, is_long=True, given_up=_end_in_failure)
def continue_backfill(call: Call, job: Job) -> None:
    """Copy the next batch. A backfill that is told to stop ends with the batch that was under way (documented)."""
    number = int(job.key)
    with call.reading():
        backfill = backfills.find(call, number) if is_pending(call, job) else None
        is_far = backfill is not None and endpoint_of(call.runtime, backfill.destination) is not None
        units = backfills.next_units(call, backfill, SENT) if backfill is not None and is_far else []
    try:
        sent = [_send_unit(call, job, backfill, unit) for unit in units] if backfill is not None else []
    except SendingStopped:
        return
    with call.writing():
        backfill = backfills.find(call, number)
        if not finish(call, job) or backfill is None or backfill.ended_at is not None:
            return
        if is_far:
            for unit, outcome in zip(units, sent, strict=True):
                _tell_of_unit(call, backfill, unit, outcome)
        else:
            units = backfills.next_units(call, backfill, BATCH)
            sent = [_copy_unit(call, backfill, unit) for unit in units]
        for unit, outcome in zip(units, sent, strict=True):
            backfills.settle(call, backfill, unit, outcome.failure_code, outcome.sub_image_failure_codes)
        backfills.count(call, backfill, [outcome.failure_code for outcome in sent])


def _send_unit(call: Call, job: Job, backfill: backfills.Backfill, unit: backfills.Unit) -> CopyResult:
    """Send one image and tag of a backfill to another site, with no transaction open."""
    with call.reading():
        repository = find_repository_by_id(call, unit.repository_id)
    if repository is None:
        return CopyResult("RepositoryNotFound")
    wanted = [unit.image_tag] if unit.image_tag else []
    outcome, tags = send(call, job, repository, unit.image_digest, backfill.destination, wanted)
    return CopyResult("ImageNotFound") if outcome.failure_code is None and tags != wanted else outcome


def _tell_of_unit(call: Call, backfill: backfills.Backfill, unit: backfills.Unit, outcome: CopyResult) -> None:
    """Tell what came of an image that was sent, if it is still there."""
    repository = find_repository_by_id(call, unit.repository_id)
    image = image_by_digest(call, repository, unit.image_digest) if repository is not None else None
    if repository is None or image is None or outcome.failure_code == "ImageNotFound":
        return
    place = backfill.destination, repository.repository_name, unit.image_digest
    tags = (unit.image_tag,) if unit.image_tag else ()
    record(call, ImageReplicated(*place, tags, repository.registry, outcome.failure_code))
    _note(call, image, backfill.destination, outcome)


def _copy_unit(call: Call, backfill: backfills.Backfill, unit: backfills.Unit) -> CopyResult:
    """Copy the image under the tag, as far as both are there. A repository that is gone is a failure (documented)."""
    repository = find_repository_by_id(call, unit.repository_id)
    if repository is None:
        return CopyResult("RepositoryNotFound")
    image = image_by_digest(call, repository, unit.image_digest)
    holder = image_by_tag(call, repository, unit.image_tag) if unit.image_tag else image
    if image is None or holder is None or holder.id != image.id:
        return CopyResult("ImageNotFound")
    outcome = copy(
        call, repository, unit.image_digest, backfill.destination, [unit.image_tag] if unit.image_tag else []
    )
    _note(call, image, backfill.destination, outcome)
    return outcome


def _note(call: Call, image: Image, destination: Registry, outcome: CopyResult) -> None:
    """Note the status of the copy, unless a job of its own is under way, which notes it itself."""
    known = service.find(call, image.id, destination)
    if image_by_id(call, image.id) is not None and (known is None or known.status != "IN_PROGRESS"):
        service.mark(call, image.id, destination, ())
        service.settle(call, image.id, destination, outcome.failure_code)


@job(backfills.FORGET)
def forget_backfill(call: Call, job: Job) -> None:
    """Forget a backfill and all its results."""
    backfills.forget(call, int(job.key))
