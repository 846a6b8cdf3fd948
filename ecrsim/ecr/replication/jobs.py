"""Jobs of replication: a copy, and a deletion that follows."""

from __future__ import annotations

from ecrsim.core.arn import Registry
from ecrsim.core.facts import record
from ecrsim.core.jobs import Job, job
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import image_by_id
from ecrsim.ecr.replication import service
from ecrsim.ecr.replication.copying import copy
from ecrsim.ecr.replication.deleting import delete_copy
from ecrsim.ecr.replication.events import ImageReplicated
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
