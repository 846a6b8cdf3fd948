"""Rows of images, and the statements that find and change them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, select, update

from ecrsim.core.query import Addition, Change, Query
from ecrsim.ecr.images.tables import image_layers, image_manifests, image_references, image_tags, images
from ecrsim.ecr.repositories.tables import NAMED, repositories


class Image(NamedTuple):
    """The columns of an image that most verbs need."""

    id: int
    image_digest: str
    image_status: str
    is_tagged: bool
    image_manifest_media_type: str
    last_recorded_pull_time: int | None


class PulledImage(NamedTuple):
    """The members of `Image`, the manifest's exact bytes, and what its repository is encrypted with."""

    id: int
    image_digest: str
    image_status: str
    is_tagged: bool
    image_manifest_media_type: str
    last_recorded_pull_time: int | None
    manifest: bytes
    repository_id: int
    encryption_type: str
    kms_key: str | None


IMAGE = tuple(images.c[name] for name in Image._fields)
OF_REPOSITORY = images.c.repository_id == bindparam("repository_id")
HAS_DIGEST = images.c.image_digest == bindparam("image_digest")
TAG_OF_REPOSITORY = image_tags.c.repository_id == bindparam("repository_id")
HAS_TAG = image_tags.c.image_tag == bindparam("image_tag")
BY_DIGEST = Query(select(*IMAGE).where(OF_REPOSITORY, HAS_DIGEST), Image)
BY_ID = Query(select(*IMAGE).where(images.c.id == bindparam("image_id")), Image)
BY_TAG = Query(
    select(*IMAGE).join(image_tags, image_tags.c.image_id == images.c.id).where(TAG_OF_REPOSITORY, HAS_TAG), Image
)
TAGS_OF = Query(
    select(image_tags.c.image_tag).where(image_tags.c.image_id == bindparam("image_id")).order_by(image_tags.c.id), str
)
SUBJECT_OF = Query(select(images.c.subject_manifest_digest).where(images.c.id == bindparam("image_id")), str)
MANIFEST = Query(select(image_manifests.c.manifest).where(image_manifests.c.image_id == bindparam("image_id")), bytes)
SIZE_OF = Query(select(images.c.image_size_in_bytes).where(OF_REPOSITORY, HAS_DIGEST), int)
ANY = Query(select(images.c.id).where(OF_REPOSITORY).limit(1), int)
COUNT_TAGS = Query(
    select(func.count()).select_from(image_tags).where(image_tags.c.image_id == bindparam("image_id")), int
)
INDEXES_OF = Query(
    select(images.c.image_digest)
    .join(image_references, image_references.c.image_id == images.c.id)
    .where(
        image_references.c.repository_id == bindparam("repository_id"),
        image_references.c.image_digest == bindparam("image_digest"),
    )
    .order_by(images.c.id),
    str,
)
PULL = (
    select(
        *(*IMAGE, image_manifests.c.manifest, images.c.repository_id),
        *(repositories.c.encryption_type, repositories.c.kms_key),
    )
    .join(image_manifests, image_manifests.c.image_id == images.c.id)
    .join(repositories, repositories.c.id == images.c.repository_id)
    .where(NAMED)
)
PULL_BY_DIGEST = Query(PULL.where(images.c.image_digest == bindparam("reference")), PulledImage)
PULL_BY_TAG = Query(
    PULL.join(image_tags, image_tags.c.image_id == images.c.id).where(
        image_tags.c.repository_id == repositories.c.id, image_tags.c.image_tag == bindparam("reference")
    ),
    PulledImage,
)
INSERT_IMAGE = Addition(
    images,
    "repository_id",
    "image_digest",
    "image_size_in_bytes",
    "image_pushed_at",
    "image_manifest_media_type",
    "artifact_media_type",
    "subject_manifest_digest",
    "image_status",
    "is_tagged",
    "manifest_size",
    "artifact_type",
    "annotations",
    identity=images.c.id,
)
INSERT_MANIFEST = Addition(image_manifests, "image_id", "manifest")
INSERT_LAYER = Addition(image_layers, "image_id", "layer_digest", "repository_id", "media_type")
INSERT_TAG = Addition(image_tags, "repository_id", "image_tag", "image_id")
DELETE_TAG = Change(delete(image_tags).where(TAG_OF_REPOSITORY, HAS_TAG))
RESTORE = Change(
    update(images)
    .where(images.c.id == bindparam("image_id"))
    .values(image_status="ACTIVE", last_activated_at=bindparam("now"))
)
SET_TAGGED = Change(update(images).where(images.c.id == bindparam("image_id")).values(is_tagged=bindparam("tagged")))
