"""Verbs on images. `put_image` is the only way in for an image, whatever the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from ecrsim.core.arn import Registry
from ecrsim.core.digest import algorithm_of, digest_of
from ecrsim.core.errors import (
    ImageAlreadyExistsException,
    ImageDigestDoesNotMatchException,
    ImageTagAlreadyExistsException,
    LayersNotFoundException,
    ReferencedImagesNotFoundException,
)
from ecrsim.core.facts import record
from ecrsim.core.jobs import cancel
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import events, quotas, rules
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.tables import image_layers, image_manifests, image_references, image_tags, images
from ecrsim.ecr.layers.service import stored_size
from ecrsim.ecr.repositories.rules import is_immutable
from ecrsim.ecr.repositories.tables import NAMED, Repository, repositories

COMPLETE_RESTORE = "complete-restore"  # the kind of a job, whose key is the image's number


class Image(NamedTuple):
    """What most verbs need of an image."""

    id: int
    image_digest: str
    image_status: str
    is_tagged: bool
    image_manifest_media_type: str
    last_recorded_pull_time: int | None


class PulledImage(NamedTuple):
    """The members of `Image`, and the manifest's exact bytes."""

    id: int
    image_digest: str
    image_status: str
    is_tagged: bool
    image_manifest_media_type: str
    last_recorded_pull_time: int | None
    manifest: bytes


_IMAGE = tuple(images.c[name] for name in Image._fields)
_OF_REPOSITORY = images.c.repository_id == bindparam("repository_id")
_HAS_DIGEST = images.c.image_digest == bindparam("image_digest")
_TAG_OF_REPOSITORY = image_tags.c.repository_id == bindparam("repository_id")
_HAS_TAG = image_tags.c.image_tag == bindparam("image_tag")

_BY_DIGEST = Query(select(*_IMAGE).where(_OF_REPOSITORY, _HAS_DIGEST), Image)
_BY_ID = Query(select(*_IMAGE).where(images.c.id == bindparam("image_id")), Image)
_BY_TAG = Query(
    select(*_IMAGE).join(image_tags, image_tags.c.image_id == images.c.id).where(_TAG_OF_REPOSITORY, _HAS_TAG), Image
)
_TAGS_OF = Query(
    select(image_tags.c.image_tag).where(image_tags.c.image_id == bindparam("image_id")).order_by(image_tags.c.id), str
)
_SUBJECT_OF = Query(select(images.c.subject_manifest_digest).where(images.c.id == bindparam("image_id")), str)
_MANIFEST = Query(select(image_manifests.c.manifest).where(image_manifests.c.image_id == bindparam("image_id")), bytes)
_SIZE_OF = Query(select(images.c.image_size_in_bytes).where(_OF_REPOSITORY, _HAS_DIGEST), int)
_ANY = Query(select(images.c.id).where(_OF_REPOSITORY).limit(1), int)
_COUNT_TAGS = Query(
    select(func.count()).select_from(image_tags).where(image_tags.c.image_id == bindparam("image_id")), int
)
_INDEXES_OF = Query(
    select(images.c.image_digest)
    .join(image_references, image_references.c.image_id == images.c.id)
    .where(
        image_references.c.repository_id == bindparam("repository_id"),
        image_references.c.image_digest == bindparam("image_digest"),
    )
    .order_by(images.c.id),
    str,
)
_PULL = (
    select(*_IMAGE, image_manifests.c.manifest)
    .join(image_manifests, image_manifests.c.image_id == images.c.id)
    .join(repositories, repositories.c.id == images.c.repository_id)
    .where(NAMED)
)
_PULL_BY_DIGEST = Query(_PULL.where(images.c.image_digest == bindparam("reference")), PulledImage)
_PULL_BY_TAG = Query(
    _PULL.join(image_tags, image_tags.c.image_id == images.c.id).where(
        image_tags.c.repository_id == repositories.c.id, image_tags.c.image_tag == bindparam("reference")
    ),
    PulledImage,
)
_INSERT_IMAGE = Addition(
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
_INSERT_MANIFEST = Addition(image_manifests, "image_id", "manifest")
_INSERT_LAYER = Addition(image_layers, "image_id", "layer_digest", "repository_id", "media_type")
_INSERT_TAG = Addition(image_tags, "repository_id", "image_tag", "image_id")
_DELETE_TAG = Change(delete(image_tags).where(_TAG_OF_REPOSITORY, _HAS_TAG))
_RESTORE = Change(
    update(images)
    .where(images.c.id == bindparam("image_id"))
    .values(image_status="ACTIVE", last_activated_at=bindparam("now"))
)
_SET_TAGGED = Change(update(images).where(images.c.id == bindparam("image_id")).values(is_tagged=bindparam("tagged")))


def pull(call: Call, registry: Registry, repository_name: str, reference: str) -> tuple[Image, bytes] | None:
    """The image that a tag or digest names, with its manifest, in one query. None: no such repository or image."""
    statement = _PULL_BY_DIGEST if ":" in reference else _PULL_BY_TAG
    row = statement.first(call.connection, repository_name=repository_name, reference=reference, **registry._asdict())
    return (Image(*row[:-1]), row.manifest) if row else None


def image_by_digest(call: Call, repository: Repository, image_digest: str) -> Image | None:
    return _BY_DIGEST.first(call.connection, repository_id=repository.id, image_digest=image_digest)


def image_by_tag(call: Call, repository: Repository, image_tag: str) -> Image | None:
    return _BY_TAG.first(call.connection, repository_id=repository.id, image_tag=image_tag)


def image_by_id(call: Call, image_id: int) -> Image | None:
    return _BY_ID.first(call.connection, image_id=image_id)


def find_image(
    call: Call, repository: Repository, image_id: Mapping[str, str]
) -> tuple[Image | None, rules.Failure | None]:
    """The image that an id of a batch call names, or why there is none."""
    failure = rules.malformed(image_id)
    if failure is not None:
        return None, failure
    tag = image_id.get("imageTag")
    if tag is not None:
        image = image_by_tag(call, repository, tag)
    else:
        image = image_by_digest(call, repository, image_id["imageDigest"])
    failure = rules.unmatched(image_id, image.image_digest if image else None)
    return (None, failure) if failure else (image, None)


def follows(call: Call, repository: Repository, image: Image, action: str) -> bool:
    """Whether the image's subject is still gone, for EXPIRE, or still archived or gone since, for TRANSITION."""
    subject = _SUBJECT_OF.first(call.connection, image_id=image.id)
    found = image_by_digest(call, repository, subject) if subject is not None else None
    return found is None or (action == "TRANSITION" and found.image_status == "ARCHIVED")


def tags_of(call: Call, image: Image) -> list[str]:
    """In the order in which they were attached."""
    if not image.is_tagged:
        return []
    return _TAGS_OF.all(call.connection, image_id=image.id)


def manifest_of(call: Call, image: Image) -> bytes:
    return _MANIFEST.one(call.connection, image_id=image.id)


def has_images(call: Call, repository: Repository) -> bool:
    return _ANY.first(call.connection, repository_id=repository.id) is not None


def indexes_listing(call: Call, repository: Repository, image_digest: str) -> list[str]:
    """Digests of the stored indexes that list the image."""
    return _INDEXES_OF.all(call.connection, repository_id=repository.id, image_digest=image_digest)


# --- pushing ----------------------------------------------------------------------------------------------------------


class Pushed(NamedTuple):
    image_digest: str
    media_type: str
    subject: str | None


def put_image(
    call: Call,
    repository: Repository,
    manifest: bytes,
    media_type: str | None,
    tags: Sequence[str] = (),
    expected_digest: str | None = None,
    *,
    repeatable: bool = False,
    layers_required: bool = True,
    origin: events.Origin = "push",
) -> Pushed:
    """Store an image and point `tags` at it. Runs inside a write transaction.

    `repeatable`: pushing what is there already succeeds (docker pushes twice); the API's PutImage refuses it.
    `layers_required`: ECR takes no image without a layer; OCI allows it.
    """
    parsed = manifests.read(manifest, media_type, strict=call.runtime.config.strict_ecr)
    if layers_required and not parsed.has_layers:
        raise manifests.invalid("Image has to have at least 1 layer")
    if len(parsed.blobs) - 1 > call.runtime.config.quota_layers_per_image:
        raise manifests.invalid("Limit on number of layers per image exceeded")  # R
    image_digest = _digest(repository, manifest, expected_digest)
    image = image_by_digest(call, repository, image_digest)
    # Documented: pushing an archived image again restores it at once.
    is_restored = image is not None and image.image_status != "ACTIVE"
    repeatable = repeatable or is_restored
    moves = {tag: _move(call, repository, tag, image_digest, repeatable) for tag in dict.fromkeys(tags)}
    if image is not None and not tags and not repeatable:
        raise _already_exists(repository, image_digest, "null")
    if image is None:
        size = _check_content(call, repository, parsed)
        quotas.check_images(call, repository)
        image_id = _insert(call, repository, parsed, manifest, image_digest, size, is_tagged=bool(moves))
        is_tagged = True
    else:
        image_id, is_tagged = image.id, image.is_tagged
        if is_restored:
            activate(call, repository, image_id, origin)
    changed = [tag for tag, move in moves.items() if move is not rules.TagMove.SAME]
    quotas.check_tags(call, repository, image_id, changed)
    for tag in changed:
        if moves[tag] is rules.TagMove.MOVE:
            untag(call, repository, tag)
        _INSERT_TAG.run(call.connection, repository_id=repository.id, image_tag=tag, image_id=image_id)
    if changed and not is_tagged:
        _SET_TAGGED.run(call.connection, image_id=image_id, tagged=True)
    if image is None or changed or is_restored:
        kinds = parsed.media_type, parsed.artifact_media_type
        description = events.Description(image_digest, *kinds, is_referrer=parsed.subject is not None)
        told = tuple(moves) if is_restored else tuple(changed)
        record(call, events.ImagePushed(repository, image_id, description, told, origin))
    return Pushed(image_digest, parsed.media_type, parsed.subject)


def _digest(repository: Repository, manifest: bytes, expected_digest: str | None) -> str:
    """Of the exact bytes: sha256, or sha512 where the pusher named the image so."""
    sha512 = expected_digest is not None and algorithm_of(expected_digest) == "sha512"
    image_digest = digest_of(manifest, "sha512" if sha512 else "sha256")
    if expected_digest is not None and expected_digest != image_digest:
        raise ImageDigestDoesNotMatchException(
            image_digest=expected_digest,
            repository_name=repository.repository_name,
            registry_id=repository.registry_id,
        )
    return image_digest


def _move(call: Call, repository: Repository, tag: str, image_digest: str, repeatable: bool) -> rules.TagMove:
    current = image_by_tag(call, repository, tag)
    filters = repository.image_tag_mutability_exclusion_filters
    immutable = is_immutable(repository.image_tag_mutability, filters, tag)
    move = rules.tag_move(current.image_digest if current else None, image_digest, immutable)
    if move is rules.TagMove.FORBIDDEN:
        raise ImageTagAlreadyExistsException(image_tag=tag, repository_name=repository.repository_name)
    if move is rules.TagMove.SAME and not repeatable:
        raise _already_exists(repository, image_digest, tag)
    return move


def _already_exists(repository: Repository, image_digest: str, tag: str) -> ImageAlreadyExistsException:
    return ImageAlreadyExistsException(
        image_digest=image_digest,
        image_tag=tag,
        repository_name=repository.repository_name,
        registry_id=repository.registry_id,
    )


def _check_content(call: Call, repository: Repository, parsed: manifests.Manifest) -> int:
    """Layers and references must be there; a subject need not. Returns imageSizeInBytes."""
    place = {"repository_name": repository.repository_name, "registry_id": repository.registry_id}
    missing = [digest for digest in parsed.required_layers if stored_size(call, repository, digest) is None]
    if missing and not call.runtime.config.sparse:
        raise LayersNotFoundException(digests=", ".join(missing), **place)
    if not parsed.is_index:
        return parsed.size
    sizes = {}
    for digest in parsed.references:
        sizes[digest] = _SIZE_OF.first(call.connection, repository_id=repository.id, image_digest=digest)
    absent = [digest for digest, size in sizes.items() if size is None]
    for digest in absent:
        if digest in parsed.other_references:
            raise manifests.not_an_image(digest, parsed.other_references[digest])
    if absent and not call.runtime.config.sparse:
        raise ReferencedImagesNotFoundException(digests=", ".join(absent), **place)
    # The model: "the maximum" of what the list names.
    return max((size for size in sizes.values() if size is not None), default=0)


def _insert(
    call: Call,
    repository: Repository,
    parsed: manifests.Manifest,
    manifest: bytes,
    image_digest: str,
    size: int,
    *,
    is_tagged: bool,
) -> int:
    image_id = _INSERT_IMAGE.add(
        call.connection,
        repository_id=repository.id,
        image_digest=image_digest,
        image_size_in_bytes=size,
        image_pushed_at=call.now,
        image_manifest_media_type=parsed.media_type,
        artifact_media_type=parsed.artifact_media_type,
        subject_manifest_digest=parsed.subject,
        image_status="ACTIVE",
        is_tagged=is_tagged,
        manifest_size=len(manifest),
        artifact_type=parsed.artifact_type,
        annotations=parsed.annotations or None,
    )
    _INSERT_MANIFEST.run(call.connection, image_id=image_id, manifest=manifest)
    types = {blob.digest: blob.media_type for blob in reversed(parsed.blobs)}
    for digest, media_type in types.items():
        _INSERT_LAYER.run(
            call.connection,
            image_id=image_id,
            layer_digest=digest,
            repository_id=repository.id,
            media_type=media_type or None,
        )
    if parsed.references:
        call.connection.execute(
            insert(image_references),
            [{"image_id": image_id, "image_digest": d, "repository_id": repository.id} for d in parsed.references],
        )
    return image_id


def activate(call: Call, repository: Repository, image_id: int, origin: events.Origin = "push") -> None:
    """From now on the image can be pulled again; its rules count its age from here (documented)."""
    _RESTORE.run(call.connection, image_id=image_id, now=call.now)
    cancel(call, COMPLETE_RESTORE, str(image_id))
    record(call, events.ImageRestored(repository, image_id, events.describe(call, image_id), call.now, origin))


def untag(call: Call, repository: Repository, image_tag: str) -> None:
    """Take a tag away; an image that loses its last one stays, untagged."""
    image = image_by_tag(call, repository, image_tag)
    if image is None:
        return
    _DELETE_TAG.run(call.connection, repository_id=repository.id, image_tag=image_tag)
    if _COUNT_TAGS.one(call.connection, image_id=image.id) == 0:
        _SET_TAGGED.run(call.connection, image_id=image.id, tagged=False)
