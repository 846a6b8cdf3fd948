"""What leaves a storage class leaves a record, so that it is billed for the time that it was there."""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.events import ImageArchived, ImageDeleted, ImageRestored
from ecrsim.ecr.metering import service
from ecrsim.ecr.repositories.events import RepositoryDeleted


@on(ImageArchived)
def end_in_the_standard_class(call: Call, fact: ImageArchived) -> None:
    service.end_stay(call, fact.repository, fact.image_id, service.STANDARD, "archive")


@on(ImageRestored)
def end_in_the_archive(call: Call, fact: ImageRestored) -> None:
    service.end_stay(call, fact.repository, fact.image_id, service.ARCHIVE, "restore")


@on(ImageDeleted)
def end_of_an_image(call: Call, fact: ImageDeleted) -> None:
    if not fact.with_repository:
        service.end_stay(call, fact.repository, fact.image_id, service.class_of(call, fact.image_id), "delete")


@on(RepositoryDeleted)
def end_of_a_repository(call: Call, fact: RepositoryDeleted) -> None:
    service.end_all(call, fact.repository)
