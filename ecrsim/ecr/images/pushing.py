"""Pushing: `put_image` is the only way in for an image, whatever the plane."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import insert

from ecrsim.core.digest import algorithm_of, digest_of
from ecrsim.core.errors import (
    ImageAlreadyExistsException,
    ImageDigestDoesNotMatchException,
    ImageTagAlreadyExistsException,
    LayersNotFoundException,
    ReferencedImagesNotFoundException,
    ServiceError,
)
from ecrsim.core.facts import record
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.manifests import sealed_annotations, sealed_manifest
from ecrsim.ecr.images import events, quotas, rows, rules
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.deletion import untag
from ecrsim.ecr.images.lookup import image_by_digest, image_by_tag
from ecrsim.ecr.images.storage import activate
from ecrsim.ecr.images.tables import image_references
from ecrsim.ecr.layers.service import stored_size
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr.repositories.rules import is_immutable
from ecrsim.ecr.repositories.tables import Repository


class PushRules(NamedTuple):
    """In what the planes differ when an image is pushed."""

    #: Pushing what is there already succeeds: docker pushes a manifest twice. The API's PutImage refuses it.
    repeatable: bool
    #: ECR takes no image without a layer; the OCI specification allows it.
    layers_required: bool


#: PutImage of the API.
API = PushRules(repeatable=False, layers_required=True)


class Pushed(NamedTuple):
    """The result of a push: the image's digest, its manifest's media type, and the digest of its subject."""

    image_digest: str
    media_type: str
    subject: str | None


def learn_layers(call: Call, manifest: bytes, media_type: str | None) -> None:
    """Ask the store for the layers of a manifest, before the transaction: no writer waits for a network.

    What is wrong with the manifest is said by `put_image`.
    """
    if call.runtime.blobs.waits:
        with contextlib.suppress(ServiceError):
            call.runtime.blobs.learn(manifests.read(manifest, media_type).required_layers)


def put_image(
    call: Call,
    repository: Repository,
    manifest: bytes,
    media_type: str | None,
    tags: Sequence[str] = (),
    expected_digest: str | None = None,
    *,
    push_rules: PushRules = API,
    origin: events.Origin = "push",
) -> Pushed:
    """Store an image and point `tags` at it. Runs inside a write transaction.

    ImageDigestDoesNotMatchException, ImageAlreadyExistsException, ImageTagAlreadyExistsException,
    LayersNotFoundException, ReferencedImagesNotFoundException, LimitExceededException, KmsException;
    InvalidParameterException for a manifest that is none.
    """
    parsed = manifests.read(manifest, media_type, strict=call.runtime.config.strict_ecr)
    if push_rules.layers_required and not parsed.has_layers:
        raise manifests.invalid("Image has to have at least 1 layer")
    if len(parsed.blobs) - 1 > call.runtime.config.quota_layers_per_image:
        raise manifests.invalid("Limit on number of layers per image exceeded")  # R
    image_digest = _digest(repository, manifest, expected_digest)
    check(call, repository, "push")
    image = image_by_digest(call, repository, image_digest)
    # Documented: pushing an archived image again restores it at once.
    is_restored = image is not None and image.image_status != "ACTIVE"
    repeatable = push_rules.repeatable or is_restored
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
    quotas.check_tags(call, repository, None if image is None else image_id, changed)
    for tag in changed:
        if moves[tag] is rules.TagMove.MOVE:
            untag(call, repository, tag)
        rows.INSERT_TAG.run(call.connection, repository_id=repository.id, image_tag=tag, image_id=image_id)
    if changed and not is_tagged:
        rows.SET_TAGGED.run(call.connection, image_id=image_id, tagged=True)
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
        sizes[digest] = rows.SIZE_OF.first(call.connection, repository_id=repository.id, image_digest=digest)
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
    image_id = rows.INSERT_IMAGE.add(
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
        annotations=sealed_annotations(call, repository, image_digest, parsed.annotations or None),
    )
    sealed = sealed_manifest(call, repository, image_digest, manifest)
    rows.INSERT_MANIFEST.run(call.connection, image_id=image_id, manifest=sealed)
    types = {blob.digest: blob.media_type for blob in reversed(parsed.blobs)}
    rows.INSERT_LAYER.many(
        call.connection,
        [(image_id, digest, repository.id, media_type or None) for digest, media_type in types.items()],
    )
    if parsed.references:
        call.connection.execute(
            insert(image_references),
            [{"image_id": image_id, "image_digest": d, "repository_id": repository.id} for d in parsed.references],
        )
    return image_id
