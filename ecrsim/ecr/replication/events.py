"""What replication did: facts, and what the outbox keeps of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.core.registry import Registry


class ImageReplicated(NamedTuple):
    """A copy arrived, or did not (`failure_code`). An event of the destination (documented).

    `tags`: those that were to be copied; empty for an image that was copied without any.
    """

    destination: Registry
    repository_name: str
    image_digest: str
    tags: tuple[str, ...]
    source: Registry
    failure_code: str | None

    def rows(self) -> Iterable[NewEvent]:
        """One event for each tag, one without a tag for an image without any."""
        for tag in self.tags or (None,):
            facts = {
                "image_digest": self.image_digest,
                "image_tag": tag,
                "source_account": self.source.account,
                "source_region": self.source.region,
                "failure_code": self.failure_code,
            }
            yield NewEvent(self.destination, self.repository_name, "ImageReplicated", facts)


class BackfillEnded(NamedTuple):
    """A backfill came to a terminal status. An event of the source's registry; its form is inferred."""

    registry: Registry
    replication_backfill_id: str
    destination: Registry
    status: str
    failure_code: str | None

    def rows(self) -> Iterable[NewEvent]:
        facts = {
            "replication_backfill_id": self.replication_backfill_id,
            "destination_account": self.destination.account,
            "destination_region": self.destination.region,
            "status": self.status,
            "failure_code": self.failure_code,
        }
        yield NewEvent(self.registry, None, "BackfillEnded", facts)
