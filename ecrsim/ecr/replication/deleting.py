"""Deletions that follow the source's, where a rule says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ecrsim.core.errors import AccessDeniedException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.deletion import delete_image, delete_tag
from ecrsim.ecr.images.lookup import image_by_digest, image_by_tag, indexes_listing
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.replication.copying import allow, on_trail, role_caller
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository

log = logging.getLogger("ecrsim.replication")


class StillListed(Exception):
    """An index of the destination lists the image, and so holds it."""


def delete_copy(
    call: Call,
    source: Registry,
    repository_name: str,
    image_digest: str,
    tags: Sequence[str],
    destination: Registry,
    *,
    whole: bool,
) -> None:
    """Delete these tags of the copy, or the `whole` of it with all its tags. Runs in a write transaction. StillListed.

    What the source has again since stays. Of an image that was deleted and pushed anew only those tags go that it lost;
    a tag that was set anew goes its own way. A copy that loses its last tag stays as long as the source's image.
    """
    there = find_repository(call, destination, repository_name)
    copy = image_by_digest(call, there, image_digest) if there is not None else None
    if there is None or copy is None:
        return
    is_back, lost = what_is_back(call, source, repository_name, image_digest, tags)
    before = call.caller
    call.caller = role_caller(source, destination)
    try:
        # Inferred: no other action of the role is documented.
        allow(call, "ReplicateImage", destination, repository_name)
        if whole and not is_back:
            _delete_whole(call, there, copy)
        else:
            _delete_tags(call, there, copy, lost)
    except AccessDeniedException as error:
        log.warning("a deletion was not replicated: %s", error.message)
        on_trail(call, "ReplicateImage", destination, repository_name, image_digest, error)
    finally:
        call.caller = before


def what_is_back(
    call: Call, source: Registry, repository_name: str, image_digest: str, tags: Sequence[str]
) -> tuple[bool, list[str]]:
    """Whether the source has the image again, and which of the tags it has not."""
    here = find_repository(call, source, repository_name)
    is_back = here is not None and image_by_digest(call, here, image_digest) is not None
    return is_back, [tag for tag in tags if here is None or image_by_tag(call, here, tag) is None]


def _delete_whole(call: Call, repository: Repository, copy: Image) -> None:
    indexes = indexes_listing(call, repository, copy.image_digest)
    if indexes:
        name = repository.registry.arn(repository.repository_name)
        raise StillListed(f"{copy.image_digest} of {name} is listed by {', '.join(indexes)}")
    delete_image(call, repository, copy, "replication")


def _delete_tags(call: Call, repository: Repository, copy: Image, tags: Sequence[str]) -> None:
    for tag in tags:
        holder = image_by_tag(call, repository, tag)
        if holder is not None and holder.image_digest == copy.image_digest:
            delete_tag(call, repository, copy, tag, "replication")
