"""How many images a repository may hold, and how many tags an image."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, func, select

from ecrsim.core.errors import LimitExceededException
from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.repositories.tables import Repository

_NEWEST = Query(select(func.max(images.c.id)), int)
_COUNT_IMAGES = Query(
    select(func.count())
    .select_from(images)
    .where(images.c.repository_id == bindparam("repository_id"), images.c.image_status != "ARCHIVED"),
    int,
)
_COUNT_TAGS = Query(
    select(func.count()).select_from(image_tags).where(image_tags.c.image_id == bindparam("image_id")), int
)


def check_images(call: Call, repository: Repository) -> None:
    """Whether one more may be pushed; archived ones do not count. LimitExceededException."""
    limit = call.runtime.config.quota_images
    # Counting 100,000 rows at each push would be felt: the newest image's number bounds the count from above.
    if (_NEWEST.first(call.connection) or 0) < limit:
        return
    if _COUNT_IMAGES.one(call.connection, repository_id=repository.id) >= limit:
        raise LimitExceededException(
            f"The repository with name '{repository.repository_name}' in registry with id '{repository.registry_id}' "
            f"already has the maximum allowed number of images which is '{limit}'"  # R
        )


def check_tags(call: Call, repository: Repository, image_id: int | None, added: Sequence[str]) -> None:
    """Whether the image, None for a new one, may have these tags more.

    LimitExceededException, which names the first that is too much.
    """
    if not added:
        return
    limit = call.runtime.config.quota_tags_per_image
    present = 0 if image_id is None else _COUNT_TAGS.one(call.connection, image_id=image_id)
    room = max(limit - present, 0)
    if len(added) > room:
        raise LimitExceededException(
            f"Adding tag '{added[room]}' to an image in the repository with name '{repository.repository_name}' "
            f"in registry with id '{repository.registry_id}' exceeds the maximum allowed number of tags per image "
            f"which is '{limit}'"  # R
        )
