"""What scanning found and changed: facts, and what the outbox keeps of each (docs/events.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.core.registry import Registry
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning.rules import FrequencyChange


class ImageScanned(NamedTuple):
    """A basic scan came to its end: `status` is COMPLETE or FAILED; `counts` has only severities that there are."""

    repository: Repository
    image_digest: str
    tags: tuple[str, ...]
    status: str
    counts: Mapping[str, int]

    def rows(self) -> Iterable[NewEvent]:
        facts = {
            "image_digest": self.image_digest,
            "image_tags": list(self.tags),
            "scan_status": self.status,
            "finding_severity_counts": dict(self.counts),
        }
        yield NewEvent(self.repository.registry, self.repository.repository_name, "ImageScanned", facts)


class EnhancedScanCompleted(NamedTuple):
    """The first enhanced scan of an image came to its end."""

    repository: Repository
    image_digest: str
    tags: tuple[str, ...]
    counts: Mapping[str, int]

    def rows(self) -> Iterable[NewEvent]:
        facts = {
            "image_digest": self.image_digest,
            "image_tags": list(self.tags),
            "finding_severity_counts": dict(self.counts),
        }
        yield NewEvent(self.repository.registry, self.repository.repository_name, "EnhancedScanCompleted", facts)


class FindingChanged(NamedTuple):
    """An enhanced finding is new, another one now, or closed: the finding as the API shows it, with its `status`."""

    repository: Repository
    image_digest: str
    finding: Mapping[str, Any]

    def rows(self) -> Iterable[NewEvent]:
        facts = {"image_digest": self.image_digest, "finding": dict(self.finding)}
        yield NewEvent(self.repository.registry, self.repository.repository_name, "FindingChanged", facts)


class ScanFrequencyChanged(NamedTuple):
    """Repositories of a registry with enhanced scanning are scanned at another frequency."""

    registry: Registry
    changes: tuple[FrequencyChange, ...]

    def rows(self) -> Iterable[NewEvent]:
        """One event for all of them (documented: it has a list)."""
        facts = {"changes": [change._asdict() for change in self.changes]}
        yield NewEvent(self.registry, None, "ScanFrequencyChanged", facts)
