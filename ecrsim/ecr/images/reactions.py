"""Reactions of images to facts of other capabilities."""

from __future__ import annotations

from ecrsim.core.facts import on, record_all
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import events
from ecrsim.ecr.repositories.events import RepositoryDeleted


@on(RepositoryDeleted)
def tell_of_every_image(call: Call, fact: RepositoryDeleted) -> None:
    """The images of a repository go with it, each as if it had been deleted by itself."""
    record_all(call, events.all_deleted(call, fact.repository))
