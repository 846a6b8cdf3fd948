"""Deleting: a tag, or an image with all of its tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update

from ecrsim.core.facts import record
from ecrsim.core.query import Change
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import events, rows, rules
from ecrsim.ecr.images.lookup import image_by_digest, image_by_tag, tags_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.images.tables import image_layers, images
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.repositories.tables import Repository

_MINE = select(image_layers.c.layer_digest).where(image_layers.c.image_id == bindparam("image_id"))
_SPARE_LAYERS = Change(
    update(layers)
    .where(layers.c.repository_id == bindparam("repository_id"), layers.c.layer_digest.in_(_MINE))
    .values(needed_at=bindparam("now"))
)
_DELETE = Change(delete(images).where(images.c.id == bindparam("image_id")))


class Deletion(NamedTuple):
    """The result of one deletion: the tags that went, or the failure. `is_gone`: the image went with them."""

    tags: tuple[str, ...] = ()
    is_gone: bool = False
    failure: rules.Failure | None = None


def delete_by_id(
    call: Call, repository: Repository, image: Image, image_tag: str | None, indexes: Sequence[str]
) -> Deletion:
    """Delete a tag, and the image with its last one; without a tag, the image and all its tags.

    `indexes`: those that listed the image when the request came. They hold it, also where the request deletes them
    (recorded of BatchDeleteImage). What an earlier wish of the request took already is no failure.
    """
    tags = tags_of(call, image)
    if image_tag is not None and image_tag in tags and len(tags) > 1:
        delete_tag(call, repository, image, image_tag)
        return Deletion((image_tag,))
    if image_by_digest(call, repository, image.image_digest) is None or (
        image_tag is not None and image_tag not in tags
    ):
        return Deletion()
    if indexes:
        return Deletion(failure=rules.referenced_by(indexes))
    delete_image(call, repository, image)
    return Deletion(tuple(tags), is_gone=True)


def delete_tag(
    call: Call, repository: Repository, image: Image, image_tag: str, origin: events.Origin = "push"
) -> None:
    """A tag that somebody wants gone. One that moves to another image is no deletion (`untag`)."""
    record(call, events.TagDeleted(repository, image.id, events.describe(call, image.id), image_tag, origin))
    untag(call, repository, image_tag)


def delete_image(call: Call, repository: Repository, image: Image, origin: events.Origin = "push") -> None:
    """The image, its manifest and tags. Its layers are kept for a grace period that begins now."""
    tags = tuple(tags_of(call, image))
    record(call, events.ImageDeleted(repository, image.id, events.describe(call, image.id), tags, origin))
    _SPARE_LAYERS.run(call.connection, repository_id=repository.id, image_id=image.id, now=call.now)
    _DELETE.run(call.connection, image_id=image.id)


def untag(call: Call, repository: Repository, image_tag: str) -> None:
    """Take a tag away; an image that loses its last one stays, untagged."""
    image = image_by_tag(call, repository, image_tag)
    if image is None:
        return
    rows.DELETE_TAG.run(call.connection, repository_id=repository.id, image_tag=image_tag)
    if rows.COUNT_TAGS.one(call.connection, image_id=image.id) == 0:
        rows.SET_TAGGED.run(call.connection, image_id=image.id, tagged=False)
