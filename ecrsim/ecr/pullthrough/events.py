"""What a cache did: a fact, and what the outbox keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.ecr.pullthrough.rules import Rule
from ecrsim.ecr.repositories.tables import Repository


class CacheSynced(NamedTuple):
    """An image came from the upstream, or did not. `failure`: (code, reason), None for a success."""

    repository: Repository
    rule: Rule
    image_tag: str | None
    image_digest: str | None
    failure: tuple[str, str] | None = None

    def rows(self) -> Iterable[NewEvent]:
        """One event; of a failure with the code that BatchGetImage has for it (inferred)."""
        code, reason = self.failure or (None, None)
        facts = {
            "ecr_repository_prefix": self.rule.ecr_repository_prefix,
            "upstream_registry_url": self.rule.upstream_registry_url,
            "image_tag": self.image_tag,
            "image_digest": self.image_digest,
            "failure_code": code,
            "failure_reason": reason,
        }
        yield NewEvent(self.repository.registry, self.repository.repository_name, "CacheSynced", facts)
