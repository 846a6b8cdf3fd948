"""Pages of images, of image ids and of referrers: keyset paging, at the same cost on every page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select

from ecrsim.core.entries import is_among
from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.repositories.tables import Repository

#: Characters of annotations and types that a page of referrers holds, but for its first: one manifest may have 4 MiB.
REFERRERS_BYTES = 4 * 1024 * 1024


class ImageDetail(NamedTuple):
    """The columns of an image that DescribeImages shows; tags are rows of their own. Times are epoch milliseconds."""

    id: int
    image_digest: str
    image_size_in_bytes: int
    image_pushed_at: int
    image_manifest_media_type: str
    artifact_media_type: str | None
    last_recorded_pull_time: int | None
    subject_manifest_digest: str | None
    image_status: str
    last_archived_at: int | None
    last_activated_at: int | None


class TaggedId(NamedTuple):
    """An entry of ListImages: the numbers of image and tag, which pages go on after, digest and tag.

    Of an untagged image the number of the tag is 0, and the tag None.
    """

    id: int
    tag_id: int
    image_digest: str
    image_tag: str | None


class _Tag(NamedTuple):
    image_id: int
    image_tag: str


_DETAIL = select(*(images.c[name] for name in ImageDetail._fields)).where(
    images.c.repository_id == bindparam("repository_id")
)
_MATCHES: dict[tuple[str, bool | None], tuple[Query[ImageDetail], Query[TaggedId]]] = {}

_ONE_DETAIL = Query(_DETAIL.where(images.c.id == bindparam("image_id")), ImageDetail)
_TAGS = Query(
    select(image_tags.c.image_id, image_tags.c.image_tag)
    .where(is_among(image_tags.c.image_id, "numbers"))
    .order_by(image_tags.c.image_id, image_tags.c.id),
    _Tag,
)
_TAG_PAGE = Query(
    select(image_tags.c.image_tag)
    .join(images, images.c.id == image_tags.c.image_id)
    .where(
        image_tags.c.repository_id == bindparam("repository_id"),
        image_tags.c.image_tag > bindparam("after"),
        images.c.image_status == "ACTIVE",
    )
    .order_by(image_tags.c.image_tag)
    .limit(bindparam("limit")),
    str,
)


def _statements(status: str, tagged: bool | None) -> tuple[Query[ImageDetail], Query[TaggedId]]:
    """Page of details and page of ids for one combination of filters; `status` ANY and `tagged` None do not filter."""
    found = _MATCHES.get((status, tagged))
    if found is None:
        conditions: list[ColumnElement[bool]] = []
        if status != "ANY":
            conditions.append(images.c.image_status == bindparam("status"))
        if tagged is not None:
            conditions.append(images.c.is_tagged == tagged)
        details = _DETAIL.where(images.c.id > bindparam("after"), *conditions).order_by(images.c.id)
        found = Query(details.limit(bindparam("limit")), ImageDetail), Query(_ids(conditions), TaggedId)
        _MATCHES[status, tagged] = found
    return found


def _ids(conditions: list[ColumnElement[bool]]) -> Select[Any]:
    tag_number = func.coalesce(image_tags.c.id, 0)
    return (
        select(images.c.id, tag_number.label("tag_id"), images.c.image_digest, image_tags.c.image_tag)
        .outerjoin(image_tags, image_tags.c.image_id == images.c.id)
        .where(
            images.c.repository_id == bindparam("repository_id"),
            images.c.id >= bindparam("after"),
            (images.c.id > bindparam("after")) | (tag_number > bindparam("after_tag")),
            *conditions,
        )
        .order_by(images.c.id, image_tags.c.id)
        .limit(bindparam("limit"))
    )


def page_of_details(
    call: Call, repository: Repository, status: str, tagged: bool | None, after: int, limit: int
) -> list[ImageDetail]:
    """By push order, after the image with the number `after`."""
    statement, _ = _statements(status, tagged)
    parameters = {} if status == "ANY" else {"status": status}
    return statement.all(call.connection, repository_id=repository.id, after=after, limit=limit, **parameters)


def detail(call: Call, repository: Repository, image_id: int) -> ImageDetail:
    return _ONE_DETAIL.one(call.connection, repository_id=repository.id, image_id=image_id)


def tags_by_image(call: Call, numbers: list[int]) -> dict[int, list[str]]:
    """The tags of the images with these numbers, each list in the order of attachment."""
    tags: dict[int, list[str]] = {}
    for image_id, tag in _TAGS.all(call.connection, numbers=orjson.dumps(numbers).decode()):
        tags.setdefault(image_id, []).append(tag)
    return tags


def page_of_ids(
    call: Call, repository: Repository, status: str, tagged: bool | None, after: tuple[int, int], limit: int
) -> list[TaggedId]:
    """One for each tag, one for an untagged image."""
    _, statement = _statements(status, tagged)
    parameters = {} if status == "ANY" else {"status": status}
    return statement.all(
        call.connection,
        repository_id=repository.id,
        after=after[0],
        after_tag=after[1],
        limit=limit,
        **parameters,
    )


def page_of_tags(call: Call, repository: Repository, after: str, limit: int) -> list[str]:
    """Tags of ACTIVE images in ASCII order, after the tag `after`, which need not exist."""
    return _TAG_PAGE.all(call.connection, repository_id=repository.id, after=after, limit=limit)


def page_of_referrers(
    call: Call,
    repository: Repository,
    subject: str,
    artifact_types: list[str] | None,
    status: str,
    after: int,
    limit: int,
    *,
    beginnings: Sequence[str] = (),
) -> tuple[list[Any], bool]:
    """Images whose manifest names `subject`, oldest first, and whether there are more of them.

    Of all artifact types unless `artifact_types` names some, or `beginnings` what they begin with.
    At most `limit`, and fewer where their annotations and types are long: a manifest may consist of them.
    """
    shown = func.coalesce(func.length(images.c.annotations), 0) + func.coalesce(func.length(images.c.artifact_type), 0)
    query = (
        select(
            images.c.id,
            images.c.image_digest,
            images.c.image_manifest_media_type,
            images.c.manifest_size,
            images.c.artifact_type,
            images.c.annotations,
            images.c.image_status,
            shown.label("shown"),
        )
        .where(
            images.c.repository_id == repository.id,
            images.c.subject_manifest_digest == subject,
            images.c.subject_manifest_digest.is_not(None),
            images.c.id > after,
        )
        .order_by(images.c.id)
        .limit(limit + 1)
    )
    if status != "ANY":
        query = query.where(images.c.image_status == status)
    if artifact_types:
        query = query.where(images.c.artifact_type.in_(artifact_types))
    if beginnings:
        query = query.where(or_(*(images.c.artifact_type.startswith(each, autoescape=True) for each in beginnings)))
    found: list[Any] = []
    size = 0
    with call.connection.execute(query) as rows:
        for row in rows:
            size += row.shown
            if found and (len(found) == limit or size > REFERRERS_BYTES):
                return found, True
            found.append(row)
    return found, False
