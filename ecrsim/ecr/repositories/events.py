"""Facts about repositories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.ecr.repositories.tables import Repository


class RepositoryCreated(NamedTuple):
    """A repository is there, with its tags and with nothing in it.

    `is_asked_for`: a caller asked for it; else ECR makes it itself, by a template.
    """

    repository: Repository
    is_asked_for: bool

    def rows(self) -> Iterable[NewEvent]:
        """ECR sends no event of its own for a repository."""
        return ()


class RepositoryDeleted(NamedTuple):
    """A repository goes with everything in it. Told while its rows are still there."""

    repository: Repository

    def rows(self) -> Iterable[NewEvent]:
        """ECR sends no event of its own for a repository."""
        return ()
