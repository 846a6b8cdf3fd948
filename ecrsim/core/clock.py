"""Time as ecrsim knows it: one clock, milliseconds since the epoch.

Rules never read a clock; they are given `now`. A test turns the clock of its own ecrsim with `advance`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock:
    """Real time plus an offset. `now()` is an integer: epoch milliseconds, as the database keeps them."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def now(self) -> int:
        return int(time.time() * 1000) + self._offset

    def unturned(self) -> int:
        """`now()` without what a test has turned: the time of clients, who know of no other."""
        return self.now() - self._offset

    def advance(self, milliseconds: int) -> None:
        """Turn the clock forward. It never goes back: what was pushed would then lie in the future."""
        if milliseconds < 0:
            raise ValueError("the clock only goes forward")
        self._offset += milliseconds

    def reset(self) -> None:
        self._offset = 0


def iso(milliseconds: int) -> str:
    """`2026-01-02T03:04:05.678Z`, for messages and logs."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def utc_now() -> datetime:
    """The real time, for certificates: no simulated clock moves those."""
    return datetime.now(UTC)
