"""Reactions of access to facts of other capabilities."""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.directory import forget_decisions
from ecrsim.ecr.repositories.events import RepositoryDeleted


@on(RepositoryDeleted)
def forget_with_the_repository(call: Call, _: RepositoryDeleted) -> None:
    """The repository's policy goes with it, and another repository may take its name."""
    forget_decisions(call)
