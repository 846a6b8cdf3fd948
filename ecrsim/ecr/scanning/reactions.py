"""What is pushed, restored, replicated or cached is scanned where the registry, or the repository, says so."""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.events import ImageArchived, ImagePushed, ImageRestored
from ecrsim.ecr.scanning import beginning, scans


@on(ImagePushed)
def scan_what_was_pushed(call: Call, fact: ImagePushed) -> None:
    """Whoever pushed it: copies and cached images are scanned like any other (documented)."""
    if fact.repository.kind == "private":
        beginning.pushed(call, fact.repository, fact.image_id, fact.description, len(fact.tags))
        if fact.description.is_referrer:
            beginning.attached(call, fact.repository, fact.image_id, fact.description.artifact_media_type)


@on(ImageRestored)
def scan_what_was_restored(call: Call, fact: ImageRestored) -> None:
    """A restore counts as a push (documented)."""
    if fact.repository.kind == "private":
        beginning.pushed(call, fact.repository, fact.image_id, fact.description, None)


@on(ImageArchived)
def forget_what_was_found(call: Call, fact: ImageArchived) -> None:
    """An archived image has no results, and none of before when it is back (documented)."""
    if fact.repository.kind == "private":
        beginning.cancel_scans(call, fact.image_id)
        scans.forget(call, fact.image_id)
