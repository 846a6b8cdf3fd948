"""What is pushed, restored or deleted is copied, and deletions follow, where the rules of its registry say so.

What replication itself does is not replicated: a copy goes no further (documented).
"""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.events import ImageDeleted, ImagePushed, ImageRestored, TagDeleted
from ecrsim.ecr.replication import service


@on(ImagePushed)
def copy_what_was_pushed(call: Call, fact: ImagePushed) -> None:
    """Copy the image, with the tags that this push set."""
    if fact.origin != "replication" and fact.repository.kind == "private":
        service.begin(call, fact.repository, fact.image_id, fact.description.image_digest, fact.tags)


@on(ImageRestored)
def copy_what_was_restored(call: Call, fact: ImageRestored) -> None:
    """Copy it: a restore counts as a push (documented), of the image with all its tags (inferred)."""
    if fact.origin != "replication" and fact.repository.kind == "private":
        tags = service.tags_now(call, fact.image_id)
        service.begin(call, fact.repository, fact.image_id, fact.description.image_digest, tags)


@on(ImageDeleted)
def delete_the_copies(call: Call, fact: ImageDeleted) -> None:
    """By digest, with the last tag, or by a lifecycle policy (documented); not with its repository (inferred)."""
    if fact.origin != "replication" and not fact.with_repository and fact.repository.kind == "private":
        service.follow_deletion(call, fact.repository, fact.description.image_digest, fact.tags, whole=True)


@on(TagDeleted)
def delete_the_tag_of_the_copies(call: Call, fact: TagDeleted) -> None:
    """One of several tags: the same one goes at each destination (documented)."""
    if fact.origin != "replication" and fact.repository.kind == "private":
        service.follow_deletion(call, fact.repository, fact.description.image_digest, [fact.image_tag], whole=False)
