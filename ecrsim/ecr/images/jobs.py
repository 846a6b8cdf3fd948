"""Jobs of images: the end of a restore."""

from __future__ import annotations

from ecrsim.core.jobs import Job, job
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import rules
from ecrsim.ecr.images.lookup import image_by_id
from ecrsim.ecr.images.storage import COMPLETE_RESTORE, activate
from ecrsim.ecr.repositories.service import find_repository_by_id


@job(COMPLETE_RESTORE)
def complete_restore(call: Call, job: Job) -> None:
    """The image can be pulled again. One that was deleted meanwhile, with its repository perhaps, needs nothing."""
    image = image_by_id(call, int(job.key))
    repository = find_repository_by_id(call, job.payload["repository_id"])
    if image is not None and repository is not None and rules.storage_move(image.image_status, "RESTORED"):
        activate(call, repository, image.id)
