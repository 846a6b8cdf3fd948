"""What an examination of an image is given: its layers, with what is remembered of them; and remembering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, or_, select

from ecrsim.blobs.base import BlobStore
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.query import Query, upsert
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.manifests import opened_manifest
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.lookup import image_by_id, manifest_of, tags_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.images.tables import image_manifests, images
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning.beginning import DOCUMENTS
from ecrsim.ecr.scanning.examination_messages import READER, ImageToExamine, LayerAsked, LayerRead
from ecrsim.ecr.scanning.tables import layer_contents

#: Documents that are attached to an image, of which so many are heeded.
_MOST = 20


class _Content(NamedTuple):
    content: bytes | None
    failure: str | None


class _Document(NamedTuple):
    image_digest: str
    manifest: bytes


_FIND = Query(
    select(layer_contents.c.content, layer_contents.c.failure).where(
        layer_contents.c.layer_digest == bindparam("digest"), layer_contents.c.reader == READER
    ),
    _Content,
)
_REFERRERS = Query(
    select(images.c.image_digest, image_manifests.c.manifest)
    .join(images, images.c.id == image_manifests.c.image_id)
    .where(
        images.c.repository_id == bindparam("repository_id"),
        images.c.subject_manifest_digest == bindparam("digest"),
        or_(*(images.c.artifact_type == each for each in DOCUMENTS)),
        images.c.image_status == "ACTIVE",
    )
    .order_by(images.c.id)
    .limit(_MOST),
    _Document,
)
_UNUSED = delete(layer_contents).where(
    ~select(layers.c.layer_digest).where(layers.c.layer_digest == layer_contents.c.layer_digest).exists()
)


class Plan(NamedTuple):
    """An image, and what is asked about it."""

    image: Image
    asked: ImageToExamine


def plan(call: Call, repository: Repository, image_id: int, scan_types: Sequence[str]) -> Plan | None:
    """None when the image is gone, or cannot be pulled."""
    image = image_by_id(call, image_id)
    if image is None or image.image_status != "ACTIVE":
        return None
    content = manifest_of(call, image)
    read = manifests.read(content, image.image_manifest_media_type)
    config, *blobs = read.blobs
    stored = blobs_of(call, repository)
    stored.learn([each.digest for each in read.blobs])
    asked = [_asked(call, stored, each.digest, each.media_type) for each in blobs]
    wanted = ImageToExamine(
        directory=str(call.runtime.data_dir),
        layers=asked,
        config=_file(stored, config.digest),
        scan_types=scan_types,
        repository=repository.repository_name,
        digest=image.image_digest,
        tags=tags_of(call, image),
        documents=_documents(call, repository, image),
        now=call.now / SECOND,
    )
    if call.runtime.config.scanner != "own":
        files = {each.digest: _file(stored, each.digest) or "" for each in read.blobs}
        wanted = wanted._replace(
            scanner=call.runtime.config.scanner,
            manifest=content.decode(),
            media_type=image.image_manifest_media_type,
            blobs=files,
        )
    return Plan(image, wanted)


def _documents(call: Call, repository: Repository, image: Image) -> list[str]:
    """Where the OpenVEX documents are that are attached to the image."""
    found = []
    stored = blobs_of(call, repository)
    for row in _REFERRERS.all(call.connection, repository_id=repository.id, digest=image.image_digest):
        try:
            blobs = manifests.read(opened_manifest(call, row.manifest, row.image_digest), None).blobs[1:]
        except InvalidParameterException:
            continue
        found += [_file(stored, each.digest) for each in blobs]
    return [path for path in found if path is not None]


def _asked(call: Call, stored: BlobStore, digest: str, media_type: str) -> LayerAsked:
    known = _FIND.first(call.connection, digest=digest)
    if known is not None:
        return LayerAsked(digest, media_type, None, *known)
    return LayerAsked(digest, media_type, _file(stored, digest))


def _file(stored: BlobStore, digest: str) -> str | None:
    """The place of a layer; its digest where the store has no files: the examiner has it brought (`bringing.py`)."""
    if not stored.waits:
        return stored.place(digest)
    return None if stored.stat(digest) is None else digest


def remember(call: Call, read: Sequence[LayerRead]) -> None:
    """What was read of layers, so that they are never read again."""
    for each in read:
        values = {"reader": READER, "content": each.content, "failure": each.failure}
        upsert(call.connection, layer_contents, {"layer_digest": each.digest}, values)


def forget_unused(call: Call) -> int:
    """Forget layers that no repository has any more. How many."""
    return call.connection.execute(_UNUSED).rowcount
