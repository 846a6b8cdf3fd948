"""Facts about images, and the rows that the outbox keeps of each (docs/events.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Literal, NamedTuple

from sqlalchemy import bindparam, select

from ecrsim.core.event import NewEvent
from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.repositories.tables import Repository

#: Who made a change: what replicates, caches or signs must not react to its own. "push" is everybody else.
Origin = Literal["push", "replication", "pull-through", "signing"]


class Description(NamedTuple):
    """The members of events that describe an image."""

    image_digest: str
    manifest_media_type: str
    artifact_media_type: str | None
    #: It has a subject: a signature, an attestation, an SBOM.
    is_referrer: bool


class ImagePushed(NamedTuple):
    """An image was stored, or restored by a push, or tags were pointed at it.

    `tags` are those that this push set; empty for an image that was pushed without any.
    """

    repository: Repository
    image_id: int
    description: Description
    tags: tuple[str, ...]
    origin: Origin = "push"

    def rows(self) -> Iterable[NewEvent]:
        """One event for each tag that was set; one without a tag for an image that was pushed without any.

        A copy that arrives has an event of its own and is no push (inferred).
        """
        if self.origin == "replication":
            return ()
        return _by_tag(self.repository, "ImagePushed", self.description, self.tags)


class ImageDeleted(NamedTuple):
    """An image goes with all its tags. Told while its rows are still there.

    `with_repository`: it goes because its repository does.
    """

    repository: Repository
    image_id: int
    description: Description
    tags: tuple[str, ...]
    origin: Origin = "push"
    with_repository: bool = False

    def rows(self) -> Iterable[NewEvent]:
        """One event for each tag that is taken away; one without a tag for an untagged image."""
        return _by_tag(self.repository, "ImageDeleted", self.description, self.tags)


class TagDeleted(NamedTuple):
    """A tag was deleted; the image stays. A tag that moves to another image is none."""

    repository: Repository
    image_id: int
    description: Description
    image_tag: str
    origin: Origin = "push"

    def rows(self) -> Iterable[NewEvent]:
        return _by_tag(self.repository, "ImageDeleted", self.description, (self.image_tag,))


class ImageArchived(NamedTuple):
    """An image cannot be pulled any more, under any tag."""

    repository: Repository
    image_id: int
    description: Description

    def rows(self) -> Iterable[NewEvent]:
        yield _row(self.repository, "ImageArchived", self.description)


class ImageRestored(NamedTuple):
    """An archived image can be pulled again since `last_activated_at` (epoch milliseconds)."""

    repository: Repository
    image_id: int
    description: Description
    last_activated_at: int
    origin: Origin = "push"

    def rows(self) -> Iterable[NewEvent]:
        yield _row(self.repository, "ImageRestored", self.description, last_activated_at=self.last_activated_at)


def _by_tag(repository: Repository, type: str, description: Description, tags: tuple[str, ...]) -> Iterator[NewEvent]:
    for tag in tags or (None,):
        yield _row(repository, type, description, image_tag=tag)


def _row(repository: Repository, type: str, description: Description, **more: Any) -> NewEvent:
    return NewEvent(repository.registry, repository.repository_name, type, description._asdict() | more)


# --- what is in the database ------------------------------------------------------------------------------------------


class _Described(NamedTuple):
    image_digest: str
    image_manifest_media_type: str
    artifact_media_type: str | None
    subject_manifest_digest: str | None


class _Tagged(NamedTuple):
    id: int
    image_tag: str | None
    image_digest: str
    image_manifest_media_type: str
    artifact_media_type: str | None
    subject_manifest_digest: str | None


_ONE = Query(
    select(*(images.c[name] for name in _Described._fields)).where(images.c.id == bindparam("image_id")), _Described
)
_ALL = Query(
    select(images.c.id, image_tags.c.image_tag, *(images.c[name] for name in _Described._fields))
    .outerjoin(image_tags, image_tags.c.image_id == images.c.id)
    .where(images.c.repository_id == bindparam("repository_id"))
    .order_by(images.c.id, image_tags.c.id),
    _Tagged,
)


def describe(call: Call, image_id: int) -> Description:
    """The description of a stored image for events."""
    return _description(_ONE.one(call.connection, image_id=image_id))


def all_deleted(call: Call, repository: Repository) -> Iterator[ImageDeleted]:
    """A fact for each image of a repository that is deleted itself."""
    rows = _ALL.all(call.connection, repository_id=repository.id)
    for image_id, of_image in groupby(rows, key=lambda row: row.id):
        found = list(of_image)
        tags = tuple(row.image_tag for row in found if row.image_tag is not None)
        yield ImageDeleted(repository, image_id, _description(found[0]), tags, with_repository=True)


def _description(row: _Described | _Tagged) -> Description:
    is_referrer = row.subject_manifest_digest is not None
    return Description(row.image_digest, row.image_manifest_media_type, row.artifact_media_type, is_referrer)
