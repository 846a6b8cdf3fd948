"""Deleting: a tag, or an image with all of its tags."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from ecrsim.core.db import Prepared
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import events
from ecrsim.ecr.images.service import Image, tags_of, untag
from ecrsim.ecr.images.tables import image_layers, images
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.repositories.tables import Repository

_MINE = select(image_layers.c.layer_digest).where(image_layers.c.image_id == bindparam("image_id"))
_SPARE_LAYERS = Prepared(
    update(layers)
    .where(layers.c.repository_id == bindparam("repository_id"), layers.c.layer_digest.in_(_MINE))
    .values(needed_at=bindparam("now"))
)
_DELETE = Prepared(delete(images).where(images.c.id == bindparam("image_id")))


def delete_tag(call: Call, repository: Repository, image: Image, image_tag: str) -> None:
    """A tag that somebody wants gone. One that moves to another image is no deletion (`untag`)."""
    events.image_deleted(call, repository, image.id, [image_tag])
    untag(call, repository, image_tag)


def delete_image(call: Call, repository: Repository, image: Image) -> None:
    """The image, its manifest and tags. Its layers are kept for a grace period that begins now."""
    events.image_deleted(call, repository, image.id, tags_of(call, image))
    _SPARE_LAYERS.run(call.connection, repository_id=repository.id, image_id=image.id, now=call.now)
    _DELETE.run(call.connection, image_id=image.id)
