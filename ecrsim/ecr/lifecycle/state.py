"""The images of a repository as the engine wants them: one state of all of them."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, bindparam, select

from ecrsim.core.db import Prepared
from ecrsim.ecr.images.tables import image_references, image_tags, images
from ecrsim.ecr.lifecycle.engine import Image

STORAGE_CLASSES = {"ACTIVE": "STANDARD", "ARCHIVED": "ARCHIVE"}

_OF_REPOSITORY = images.c.repository_id == bindparam("repository_id")
_IMAGES = Prepared(
    select(
        images.c.id,
        images.c.image_digest,
        images.c.image_pushed_at,
        images.c.image_status,
        images.c.image_size_in_bytes,
        images.c.last_recorded_pull_time,
        images.c.last_archived_at,
        images.c.last_activated_at,
        images.c.subject_manifest_digest,
    )
    .where(_OF_REPOSITORY, images.c.id > bindparam("after"))
    .order_by(images.c.id)
    .limit(bindparam("limit"))
)
# By way of the images: the rows of a page, wherever in the tables they are, and none that must be sorted.
_OF_PAGE = (_OF_REPOSITORY, images.c.id > bindparam("after"), images.c.id <= bindparam("last"))
_TAGS = Prepared(
    select(image_tags.c.image_id, image_tags.c.image_tag)
    .join_from(images, image_tags, image_tags.c.image_id == images.c.id)
    .where(*_OF_PAGE)
    .order_by(images.c.id, image_tags.c.id)
)
_REFERENCES = Prepared(
    select(image_references.c.image_id, image_references.c.image_digest)
    .join_from(images, image_references, image_references.c.image_id == images.c.id)
    .where(*_OF_PAGE)
    .order_by(images.c.id, image_references.c.image_digest)
)
_EVERYTHING = 1 << 62


def images_of(connection: Connection, repository_id: int, after: int = 0, limit: int = _EVERYTHING) -> list[Image]:
    """The images of a repository after the number `after`, in the order of their pushes."""
    place = {"repository_id": repository_id, "after": after}
    rows = _IMAGES.all(connection, limit=limit, **place)
    if not rows:
        return []
    tags = _by_image(_TAGS.all(connection, last=rows[-1][0], **place))
    references = _by_image(_REFERENCES.all(connection, last=rows[-1][0], **place))
    return [
        Image(
            id=number,
            image_digest=digest,
            image_tags=tags.get(number, ()),
            image_pushed_at=pushed,
            storage_class=STORAGE_CLASSES.get(status),
            image_size_in_bytes=size,
            last_recorded_pull_time=pulled,
            last_archived_at=archived,
            last_activated_at=activated,
            subject=subject,
            references=references.get(number, ()),
        )
        for number, digest, pushed, status, size, pulled, archived, activated, subject in rows
    ]


def _by_image(rows: list[tuple[int, str]]) -> dict[int, tuple[str, ...]]:
    return {number: tuple(value for _, value in group) for number, group in groupby(rows, key=itemgetter(0))}
