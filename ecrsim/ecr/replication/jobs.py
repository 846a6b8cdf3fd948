"""Jobs of replication: a copy, a deletion that follows, and the steps of a backfill."""

from __future__ import annotations

from ecrsim.core.arn import Registry
from ecrsim.core.facts import record
from ecrsim.core.jobs import Job, finish, job, waits
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import image_by_digest, image_by_id, image_by_tag
from ecrsim.ecr.replication import backfills, service
from ecrsim.ecr.replication.copying import Outcome, copy
from ecrsim.ecr.replication.deleting import delete_copy
from ecrsim.ecr.replication.events import ImageReplicated
from ecrsim.ecr.replication.rules import Verdict
from ecrsim.ecr.repositories.service import find_repository_by_id


def _give_up(call: Call, job: Job) -> None:
    """What was tried in vain is told as any other failure."""
    destination = Registry(*job.payload["destination"])
    image = image_by_id(call, job.payload["image_id"])
    repository = find_repository_by_id(call, job.payload["repository_id"])
    found = service.find(call, job.payload["image_id"], destination)
    if image is not None and repository is not None and found is not None:
        place = destination, repository.repository_name, image.image_digest
        service.settle(call, image.id, destination, "InternalError")
        record(call, ImageReplicated(*place, tuple(found.image_tags), repository.registry, "InternalError"))


@job(service.REPLICATE, given_up=_give_up)
def replicate_image(call: Call, job: Job) -> None:
    """One image, one destination. An image that was deleted meanwhile, with its repository perhaps, needs no copy."""
    destination = Registry(*job.payload["destination"])
    image = image_by_id(call, job.payload["image_id"])
    repository = find_repository_by_id(call, job.payload["repository_id"])
    found = service.find(call, job.payload["image_id"], destination)
    if image is None or repository is None or found is None:
        return
    outcome = copy(call, repository, image.image_digest, destination, found.image_tags)
    service.settle(call, image.id, destination, outcome.failure_code)


@job(service.FOLLOW_DELETION)
def replicate_deletion(call: Call, job: Job) -> None:
    """Of a tag, or of an image with all its tags."""
    payload = job.payload
    what = payload["repository_name"], payload["image_digest"], payload["image_tags"]
    delete_copy(call, job.registry, *what, Registry(*payload["destination"]), whole=payload["whole"])


# --- backfills --------------------------------------------------------------------------------------------------------

#: Units in one transaction, after which others have their turn.
BATCH = 50
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
            if backfill is None or backfill.status != "PREPARING" or not waits(call, job):
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


@job(backfills.GO_ON, given_up=_end_in_failure)
def continue_backfill(call: Call, job: Job) -> None:
    """The next batch. Told to stop, a backfill ends with the one that was under way (documented)."""
    backfill = backfills.find(call, int(job.key))
    if backfill is None or backfill.ended_at is not None:
        return
    failures = []
    for unit in backfills.next_units(call, backfill, BATCH):
        outcome = _copy_unit(call, backfill, unit)
        backfills.settle(call, backfill, unit, outcome.failure_code, outcome.sub_image_failure_codes)
        failures.append(outcome.failure_code)
    backfills.count(call, backfill, failures)


def _copy_unit(call: Call, backfill: backfills.Backfill, unit: backfills.Unit) -> Outcome:
    """The image under the tag, as far as both are there. A repository that is gone is a failure (documented)."""
    repository = find_repository_by_id(call, unit.repository_id)
    if repository is None:
        return Outcome("RepositoryNotFound")
    image = image_by_digest(call, repository, unit.image_digest)
    holder = image_by_tag(call, repository, unit.image_tag) if unit.image_tag else image
    if image is None or holder is None or holder.id != image.id:
        return Outcome("ImageNotFound")
    outcome = copy(
        call, repository, unit.image_digest, backfill.destination, [unit.image_tag] if unit.image_tag else []
    )
    known = service.find(call, image.id, backfill.destination)
    # One that is under way by itself says how it ended itself.
    if known is None or known.status != "IN_PROGRESS":
        service.mark(call, image.id, backfill.destination, ())
        service.settle(call, image.id, backfill.destination, outcome.failure_code)
    return outcome


@job(backfills.FORGET)
def forget_backfill(call: Call, job: Job) -> None:
    """With all its results."""
    backfills.forget(call, int(job.key))
