"""Time as ecrsim knows it: one clock, milliseconds since the epoch.

Rules never read a clock; they are given `now`. A test freezes and turns the clock of its own ecrsim. Its setting
is kept in the database (`core/clock_setting.py`). At each request a worker reads eight bytes of a file that all workers
map: a query would cost more than a small answer does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from ecrsim.core.words import own_word

#: No clock is set to this or later: the year 9999, in epoch milliseconds. A clock and a lifetime of a year together
#: still have a form in ISO 8601.
END_OF_TIME = 253_370_764_800_000


class Setting(NamedTuple):
    """How a clock goes: `is_frozen` at the instant `value`, or with the real time and `value` milliseconds ahead."""

    is_frozen: bool
    value: int

    @property
    def mode(self) -> str:
        if self.is_frozen:
            return "frozen"
        return "offset" if self.value else "real"


REAL = Setting(False, 0)


class Clock:
    """`now()` is an integer: epoch milliseconds, as the database keeps them."""

    def __init__(self, setting: Setting = REAL) -> None:
        self._word = own_word()
        self.set(setting)

    def share(self, word: Callable[[int], memoryview]) -> None:
        """From now on show what a shared word says, which begins with what is set now.

        `word` makes it of its first value (`Database.word`).
        """
        self._word = word(self._word[0])

    @property
    def setting(self) -> Setting:
        word = self._word[0]
        return Setting(bool(word & 1), word >> 1)

    def set(self, setting: Setting) -> None:
        self._word[0] = setting.value << 1 | setting.is_frozen

    def now(self) -> int:
        word = self._word[0]
        value = word >> 1
        return value if word & 1 else int(time.time() * 1000) + value

    def unturned(self) -> int:
        """The real time: that of clients, who know of no other."""
        return int(time.time() * 1000)

    def at(self, moment: int) -> Setting:
        """The setting under which it goes on as it does, and shows `moment` now."""
        return Setting(True, moment) if self.setting.is_frozen else Setting(False, moment - self.unturned())


def iso(milliseconds: int) -> str:
    """`2026-01-02T03:04:05.678Z`, for messages and logs."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def parse_iso(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 time; without an offset it is UTC. ValueError."""
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return round(moment.timestamp() * 1000)


def utc_now() -> datetime:
    """The real time, for certificates: no simulated clock moves those."""
    return datetime.now(UTC)
