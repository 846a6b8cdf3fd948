"""Facts about layers that no request caused, and the rows that the outbox keeps of each (docs/events.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.ecr.repositories.tables import Repository


class LayerDamaged(NamedTuple):
    """A layer of the repository was found missing or damaged. `problem` is a word of `soundness.PROBLEMS`."""

    repository: Repository
    layer_digest: str
    problem: str

    def rows(self) -> Iterable[NewEvent]:
        facts = {"layer_digest": self.layer_digest, "problem": self.problem}
        yield NewEvent(self.repository.registry, self.repository.repository_name, "LayerDamaged", facts)
