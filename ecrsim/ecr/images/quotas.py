"""How many images a repository may hold, and how many tags an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

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
#: Those that are archived as well: they may come back.
_COUNT_ALL = Query(
    select(func.count()).select_from(images).where(images.c.repository_id == bindparam("repository_id")), int
)
_COUNT_TAGS = Query(
    select(func.count()).select_from(image_tags).where(image_tags.c.image_id == bindparam("image_id")), int
)


class _Counted(NamedTuple):
    """How many images a repository had when no image had a higher number than `newest`."""

    newest: int
    images: int


_NOTHING = _Counted(0, 0)


def check_images(call: Call, repository: Repository) -> None:
    """Whether one more may be pushed; archived ones do not count. LimitExceededException."""
    limit, newest = call.runtime.config.quota_images, _NEWEST.first(call.connection) or 0
    # Counting 100,000 rows at each push would be felt. Numbers are never given twice, so that a repository has got no
    # more images since it was counted last than there are new numbers; before that, no more than there are numbers.
    counts: dict[int, _Counted] = cast(Any, call.runtime.memory.setdefault("image-counts", {}))
    counted = counts.get(repository.id, _NOTHING)
    if counted.images + max(newest - counted.newest, 0) < limit:
        return
    counts[repository.id] = _Counted(newest, _COUNT_ALL.one(call.connection, repository_id=repository.id))
    if counts[repository.id].images < limit:
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
