"""Layers as images use them: their media type, and whether an image that can be pulled names them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, exists, select

from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_layers, images
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.repositories.tables import Repository


class _Use(NamedTuple):
    media_type: str | None
    image_status: str


class LayerToPull(NamedTuple):
    """A layer's size in bytes, and whether all images that name it are archived or being restored."""

    layer_size: int
    is_archived: bool


_FIRST_USE = Query(
    select(image_layers.c.media_type, images.c.image_status)
    .join(images, images.c.id == image_layers.c.image_id)
    .where(
        image_layers.c.repository_id == bindparam("repository_id"),
        image_layers.c.layer_digest == bindparam("layer_digest"),
    )
    .order_by(image_layers.c.image_id)
    .limit(1),
    _Use,
)
_ACTIVE = Query(
    select(images.c.id)
    .join(image_layers, images.c.id == image_layers.c.image_id)
    .where(
        image_layers.c.repository_id == bindparam("repository_id"),
        image_layers.c.layer_digest == bindparam("layer_digest"),
        images.c.image_status == bindparam("status"),
    )
    .limit(1),
    int,
)
# An image that is ACTIVE is looked for first, and found at once: base layers are used by thousands.
_USES = (
    select(image_layers.c.image_id)
    .where(
        image_layers.c.repository_id == bindparam("repository_id"),
        image_layers.c.layer_digest == bindparam("layer_digest"),
    )
    .correlate(None)
)
_TO_PULL = Query(
    select(
        layers.c.layer_size,
        (
            ~exists(_USES.join(images, images.c.id == image_layers.c.image_id).where(images.c.image_status == "ACTIVE"))
            & exists(_USES)
        ).label("is_archived"),
    ).where(layers.c.repository_id == bindparam("repository_id"), layers.c.layer_digest == bindparam("layer_digest")),
    LayerToPull,
)


class LayerUse(NamedTuple):
    """The use of one layer by the images that name it."""

    #: As the first of them declares it: a layer has no type of its own.
    media_type: str | None
    #: None of them can be pulled.
    is_archived: bool


def layer_use(call: Call, repository: Repository, layer_digest: str) -> LayerUse | None:
    """None while no image names the layer."""
    place = {"repository_id": repository.id, "layer_digest": layer_digest}
    row = _FIRST_USE.first(call.connection, **place)
    if row is None:
        return None
    is_active = row.image_status == "ACTIVE" or _ACTIVE.first(call.connection, status="ACTIVE", **place) is not None
    return LayerUse(row.media_type, not is_active)


def layer_to_pull(call: Call, repository: Repository, layer_digest: str) -> LayerToPull | None:
    """None when the repository has no such layer."""
    return _TO_PULL.first(call.connection, repository_id=repository.id, layer_digest=layer_digest)
