"""Rows of the outbox as values, for whoever makes texts of them and knows no table."""

from __future__ import annotations

from typing import Any, NamedTuple

from ecrsim.core.registry import Registry


class Event(NamedTuple):
    """A row of the outbox.

    `at`: epoch milliseconds. `facts`: the members that docs/events.md gives for each type.
    """

    sequence: int
    at: int
    event_id: str
    type: str
    registry_id: str
    region: str
    repository_name: str | None
    facts: dict[str, Any]
    trail: dict[str, Any] | None
    kind: str = "private"

    @property
    def registry(self) -> Registry:
        return Registry(self.registry_id, self.region, self.kind)


class NewEvent(NamedTuple):
    """An event before it has a number, an identity and a time."""

    registry: Registry
    repository_name: str | None
    type: str
    facts: dict[str, Any]
