"""How many images a repository may hold, and how many tags an image."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from ecrsim.core.db import Prepared
from ecrsim.core.errors import LimitExceededException
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.repositories.tables import Repository

_NEWEST = Prepared(select(func.max(images.c.id)))
_COUNT_IMAGES = Prepared(
    select(func.count())
    .select_from(images)
    .where(images.c.repository_id == bindparam("repository_id"), images.c.image_status != "ARCHIVED")
)
_COUNT_TAGS = Prepared(
    select(func.count()).select_from(image_tags).where(image_tags.c.image_id == bindparam("image_id"))
)


def check_images(call: Call, repository: Repository) -> None:
    """Whether one more may be pushed; archived ones do not count. LimitExceededException."""
    limit = call.runtime.config.quota_images
    # Counting 100,000 rows at each push would be felt: the newest image's number bounds the count from above.
    if (_NEWEST.first(call.connection)[0] or 0) < limit:
        return
    if _COUNT_IMAGES.first(call.connection, repository_id=repository.id)[0] >= limit:
        raise LimitExceededException(
            f"The maximum number of images in the repository with name '{repository.repository_name}' "
            f"in the registry with id '{repository.registry_id}' has been reached"  # I
        )


def check_tags(call: Call, repository: Repository, image_id: int, added: int) -> None:
    """Whether the image may have so many tags more. LimitExceededException."""
    if not added:
        return
    count = _COUNT_TAGS.first(call.connection, image_id=image_id)[0]
    if count + added > call.runtime.config.quota_tags_per_image:
        raise LimitExceededException(
            f"The maximum number of tags of an image in the repository with name '{repository.repository_name}' "
            f"in the registry with id '{repository.registry_id}' has been reached"  # I
        )
