"""Facts about repositories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.ecr.repositories.tables import Repository


class RepositoryDeleted(NamedTuple):
    """A repository goes with everything in it. Told while its rows are still there."""

    repository: Repository

    def rows(self) -> Iterable[NewEvent]:
        """ECR sends no event of its own for a repository."""
        return ()
