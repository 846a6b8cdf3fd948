"""What happened to images, as the outbox keeps it (docs/events.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select

from ecrsim.core.db import Prepared
from ecrsim.core.events import emit, emit_all
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.repositories.tables import Repository

_KIND = Prepared(
    select(
        images.c.image_digest,
        images.c.image_manifest_media_type,
        images.c.artifact_media_type,
        images.c.subject_manifest_digest,
    ).where(images.c.id == bindparam("image_id"))
)
_ALL = Prepared(
    select(
        images.c.image_digest,
        images.c.image_manifest_media_type,
        images.c.artifact_media_type,
        images.c.subject_manifest_digest,
        image_tags.c.image_tag,
    )
    .outerjoin(image_tags, image_tags.c.image_id == images.c.id)
    .where(images.c.repository_id == bindparam("repository_id"))
    .order_by(images.c.id, image_tags.c.id)
)


def image_pushed(
    call: Call,
    repository: Repository,
    image_digest: str,
    tags: Sequence[str],
    manifest_media_type: str,
    artifact_media_type: str | None,
    *,
    is_referrer: bool,
) -> None:
    """One event for each tag that was set; one without a tag for an image that was pushed without any."""
    facts = _facts(image_digest, manifest_media_type, artifact_media_type, is_referrer=is_referrer)
    for tag in tags or (None,):
        _emit(call, repository, "ImagePushed", facts | {"image_tag": tag})


def image_deleted(call: Call, repository: Repository, image_id: int, tags: Sequence[str]) -> None:
    """One event for each tag that is taken away; one without a tag for an untagged image. Before it is gone."""
    facts = facts_of(call, image_id)
    for tag in tags or (None,):
        _emit(call, repository, "ImageDeleted", facts | {"image_tag": tag})


def all_deleted(call: Call, repository: Repository) -> None:
    """The same for every image of a repository that goes itself."""
    rows = _ALL.all(call.connection, repository_id=repository.id)
    found = (
        _facts(digest, media_type, artifact, is_referrer=subject is not None) | {"image_tag": tag}
        for digest, media_type, artifact, subject, tag in rows
    )
    emit_all(call, repository.registry, repository.repository_name, "ImageDeleted", found)


def image_archived(call: Call, repository: Repository, image_id: int) -> None:
    _emit(call, repository, "ImageArchived", facts_of(call, image_id))


def image_restored(call: Call, repository: Repository, image_id: int) -> None:
    """At the instant at which it can be pulled again."""
    _emit(call, repository, "ImageRestored", facts_of(call, image_id) | {"last_activated_at": call.now})


def facts_of(call: Call, image_id: int) -> dict[str, Any]:
    image_digest, media_type, artifact, subject = _KIND.first(call.connection, image_id=image_id)
    return _facts(image_digest, media_type, artifact, is_referrer=subject is not None)


def _facts(
    image_digest: str, manifest_media_type: str, artifact_media_type: str | None, *, is_referrer: bool
) -> dict[str, Any]:
    return {
        "image_digest": image_digest,
        "manifest_media_type": manifest_media_type,
        "artifact_media_type": artifact_media_type,
        "is_referrer": is_referrer,
    }


def _emit(call: Call, repository: Repository, type: str, facts: dict[str, Any]) -> None:
    emit(call, repository.registry, repository.repository_name, type, facts)
