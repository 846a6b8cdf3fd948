"""The images of a repository as the engine wants them: one state of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import rows
from ecrsim.ecr.images.lookup import image_by_digest
from ecrsim.ecr.images.tables import image_references, image_tags, images
from ecrsim.ecr.lifecycle.engine import LifecycleImage
from ecrsim.ecr.repositories.tables import Repository

STORAGE_CLASSES = {"ACTIVE": "STANDARD", "ARCHIVED": "ARCHIVE"}


class _Row(NamedTuple):
    id: int
    image_digest: str
    image_pushed_at: int
    image_status: str
    image_size_in_bytes: int
    last_recorded_pull_time: int | None
    last_archived_at: int | None
    last_activated_at: int | None
    subject_manifest_digest: str | None


class _Tag(NamedTuple):
    image_id: int
    image_tag: str


class _Reference(NamedTuple):
    image_id: int
    image_digest: str


_OF_REPOSITORY = images.c.repository_id == bindparam("repository_id")
_IMAGES = Query(
    select(*(images.c[name] for name in _Row._fields))
    .where(_OF_REPOSITORY, images.c.id > bindparam("after"))
    .order_by(images.c.id)
    .limit(bindparam("limit")),
    _Row,
)
# By way of the images: the rows of a page, wherever in the tables they are, and none that must be sorted.
_OF_PAGE = (_OF_REPOSITORY, images.c.id > bindparam("after"), images.c.id <= bindparam("last"))
_TAGS = Query(
    select(image_tags.c.image_id, image_tags.c.image_tag)
    .join_from(images, image_tags, image_tags.c.image_id == images.c.id)
    .where(*_OF_PAGE)
    .order_by(images.c.id, image_tags.c.id),
    _Tag,
)
_REFERENCES = Query(
    select(image_references.c.image_id, image_references.c.image_digest)
    .join_from(images, image_references, image_references.c.image_id == images.c.id)
    .where(*_OF_PAGE)
    .order_by(images.c.id, image_references.c.image_digest),
    _Reference,
)
_EVERYTHING = 1 << 62


def images_of(
    connection: Connection, repository_id: int, after: int = 0, limit: int = _EVERYTHING
) -> list[LifecycleImage]:
    """The images of a repository after the number `after`, in the order of their pushes."""
    place = {"repository_id": repository_id, "after": after}
    rows = _IMAGES.all(connection, limit=limit, **place)
    if not rows:
        return []
    tags = _by_image(_TAGS.all(connection, last=rows[-1].id, **place))
    references = _by_image(_REFERENCES.all(connection, last=rows[-1].id, **place))
    return [
        LifecycleImage(
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


def _by_image(rows: Sequence[tuple[int, str]]) -> dict[int, tuple[str, ...]]:
    return {number: tuple(value for _, value in group) for number, group in groupby(rows, key=itemgetter(0))}


def follows_subject(call: Call, repository: Repository, image: rows.Image, action: str) -> bool:
    """Whether an image goes the way of its subject: EXPIRE needs it gone, TRANSITION archived or gone."""
    subject = rows.SUBJECT_OF.first(call.connection, image_id=image.id)
    found = image_by_digest(call, repository, subject) if subject is not None else None
    return found is None or (action == "TRANSITION" and found.image_status == "ARCHIVED")
