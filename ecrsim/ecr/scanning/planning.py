"""What an examination of an image is given: its layers, with what is remembered of them; and remembering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select

from ecrsim.core.query import Query, upsert
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.lookup import image_by_id, manifest_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.scanning.examination import READER, Asked, LayerAsked, LayerRead
from ecrsim.ecr.scanning.tables import layer_contents


class _Content(NamedTuple):
    content: bytes | None
    failure: str | None


_FIND = Query(
    select(layer_contents.c.content, layer_contents.c.failure).where(
        layer_contents.c.layer_digest == bindparam("digest"), layer_contents.c.reader == READER
    ),
    _Content,
)
_UNUSED = delete(layer_contents).where(
    ~select(layers.c.layer_digest).where(layers.c.layer_digest == layer_contents.c.layer_digest).exists()
)


class Plan(NamedTuple):
    """An image, and what is asked about it."""

    image: Image
    asked: Asked


def plan(call: Call, image_id: int, scan_types: Sequence[str]) -> Plan | None:
    """None when the image is gone, or cannot be pulled."""
    image = image_by_id(call, image_id)
    if image is None or image.image_status != "ACTIVE":
        return None
    read = manifests.read(manifest_of(call, image), image.image_manifest_media_type)
    config, *blobs = read.blobs
    asked = [_asked(call, each.digest, each.media_type) for each in blobs]
    directory, path = str(call.runtime.data_dir), call.runtime.blobs.path(config.digest)
    return Plan(image, Asked(directory, asked, path, scan_types))


def _asked(call: Call, digest: str, media_type: str) -> LayerAsked:
    known = _FIND.first(call.connection, digest=digest)
    if known is not None:
        return LayerAsked(digest, media_type, None, *known)
    return LayerAsked(digest, media_type, call.runtime.blobs.path(digest))


def remember(call: Call, read: Sequence[LayerRead]) -> None:
    """What was read of layers, so that they are never read again."""
    for each in read:
        values = {"reader": READER, "content": each.content, "failure": each.failure}
        upsert(call.connection, layer_contents, {"layer_digest": each.digest}, values)


def forget_unused(call: Call) -> int:
    """What is known of layers that no repository has any more. How many."""
    return call.connection.execute(_UNUSED).rowcount
