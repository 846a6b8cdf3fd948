"""Tags of images as ECR Public describes them: one by one, and since when each is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, select

from ecrsim.core.entries import is_among
from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr_public.tables import image_tag_times


class ImageTag(NamedTuple):
    """A tag, and the image that has it. `created_at` and `image_pushed_at` in epoch milliseconds."""

    id: int
    image_tag: str
    created_at: int
    image_digest: str
    image_size_in_bytes: int
    image_pushed_at: int
    image_manifest_media_type: str
    artifact_media_type: str | None


_PAGE = Query(
    select(
        image_tags.c.id,
        image_tags.c.image_tag,
        func.coalesce(image_tag_times.c.created_at, images.c.image_pushed_at).label("created_at"),
        images.c.image_digest,
        images.c.image_size_in_bytes,
        images.c.image_pushed_at,
        images.c.image_manifest_media_type,
        images.c.artifact_media_type,
    )
    .join(images, images.c.id == image_tags.c.image_id)
    .outerjoin(image_tag_times, image_tag_times.c.image_tag_id == image_tags.c.id)
    .where(image_tags.c.repository_id == bindparam("repository_id"), image_tags.c.id > bindparam("after"))
    .order_by(image_tags.c.id)
    .limit(bindparam("limit")),
    ImageTag,
)


def page_of_image_tags(call: Call, repository: Repository, after: int, limit: int) -> list[ImageTag]:
    """Tags in the order in which they were attached, behind the one with the number `after`."""
    return _PAGE.all(call.connection, repository_id=repository.id, after=after, limit=limit)


def note_tags(call: Call, repository: Repository, tags: Sequence[str]) -> None:
    """Note that these tags were attached now. The notes go with the tags."""
    known = select(image_tag_times.c.image_tag_id)
    new = select(image_tags.c.id, bindparam("now", call.now)).where(
        image_tags.c.repository_id == repository.id,
        is_among(image_tags.c.image_tag, tags),
        image_tags.c.id.not_in(known),
    )
    call.connection.execute(insert(image_tag_times).from_select(["image_tag_id", "created_at"], new))
