"""The time of an event, as EventBridge and CloudTrail write it."""

from __future__ import annotations

from datetime import UTC, datetime

from ecrsim.core.durations import SECOND


def moment(at: int) -> datetime:
    """The second that epoch milliseconds lie in."""
    return datetime.fromtimestamp(at // SECOND, UTC)


def instant(at: int) -> str:
    """`2019-11-16T01:54:34Z`: whole seconds."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%S}Z"
