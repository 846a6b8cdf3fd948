"""Finding images: by tag, by digest, by number, by the id of a batch call; and what hangs on one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ecrsim.core.errors import ImageNotFoundException, InvalidParameterException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.manifests import opened_manifest
from ecrsim.ecr.images import rows, rules
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository


class KeyedRepository(NamedTuple):
    """A repository, as far as its key is concerned (`repositories/protection.py: Protected`)."""

    id: int
    registry: Registry
    repository_name: str
    encryption_type: str
    kms_key: str | None


class Pulled(NamedTuple):
    """An image, its manifest's exact bytes, and the repository that it is in."""

    image: Image
    manifest: bytes
    repository: KeyedRepository


def pull(call: Call, registry: Registry, repository_name: str, reference: str) -> Pulled | None:
    """The image that a tag or digest names, with its manifest, in one query. None: no such repository or image."""
    statement = rows.PULL_BY_DIGEST if ":" in reference else rows.PULL_BY_TAG
    row = statement.first(call.connection, repository_name=repository_name, reference=reference, **registry._asdict())
    if row is None:
        return None
    repository = KeyedRepository(row.repository_id, registry, repository_name, row.encryption_type, row.kms_key)
    return Pulled(Image(*row[:6]), opened_manifest(call, row.manifest, row.image_digest), repository)


def image_by_digest(call: Call, repository: Repository, image_digest: str) -> Image | None:
    return rows.BY_DIGEST.first(call.connection, repository_id=repository.id, image_digest=image_digest)


def image_by_tag(call: Call, repository: Repository, image_tag: str) -> Image | None:
    return rows.BY_TAG.first(call.connection, repository_id=repository.id, image_tag=image_tag)


def image_by_id(call: Call, image_id: int) -> Image | None:
    return rows.BY_ID.first(call.connection, image_id=image_id)


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


def tags_of(call: Call, image: Image) -> list[str]:
    """In the order in which they were attached."""
    if not image.is_tagged:
        return []
    return rows.TAGS_OF.all(call.connection, image_id=image.id)


def manifest_of(call: Call, image: Image) -> bytes:
    return opened_manifest(call, rows.MANIFEST.one(call.connection, image_id=image.id), image.image_digest)


def has_images(call: Call, repository: Repository) -> bool:
    return rows.ANY.first(call.connection, repository_id=repository.id) is not None


def indexes_listing(call: Call, repository: Repository, image_digest: str) -> list[str]:
    """Digests of the stored indexes that list the image."""
    return rows.INDEXES_OF.all(call.connection, repository_id=repository.id, image_digest=image_digest)


def get_image(call: Call, repository: Repository, image_id: Mapping[str, str], member: str) -> Image:
    """The image that an id names, where one that is unknown is an error of the whole call."""
    image, failure = find_image(call, repository, image_id)
    if failure is rules.MISSING:
        raise InvalidParameterException(
            member=member, constraint="both tag and digest cannot be null"
        )  # the sentence is inferred
    if image is None:
        raise ImageNotFoundException(**place_of(repository, image_id))
    return image


def place_of(repository: Repository, image_id: Mapping[str, str]) -> dict[str, str]:
    """The image id as ECR's sentences print it; the half that was not asked for is the word null."""
    return {
        "image_digest": image_id.get("imageDigest", "null"),
        "image_tag": image_id.get("imageTag", "null"),
        "repository_name": repository.repository_name,
        "registry_id": repository.registry_id,
    }
