"""What the shapes of events are made from: a row of the outbox, seen without its table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from ecrsim.core.arn import Registry

_SECOND = 1_000


class Fact(Protocol):
    """The members of `core.events.Event` that the shapes need. `at` is in epoch milliseconds."""

    @property
    def at(self) -> int: ...
    @property
    def event_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def registry_id(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def repository_name(self) -> str | None: ...
    @property
    def facts(self) -> dict[str, Any]: ...
    @property
    def trail(self) -> dict[str, Any] | None: ...


def moment(at: int) -> datetime:
    """The second that epoch milliseconds lie in."""
    return datetime.fromtimestamp(at // _SECOND, UTC)


def instant(at: int) -> str:
    """`2019-11-16T01:54:34Z`: whole seconds, as EventBridge and CloudTrail write the time of an event."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%S}Z"
