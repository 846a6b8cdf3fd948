"""Turning the clock with the jobs that hang on it: advancing goes through them, setting it back takes them along."""

from __future__ import annotations

from contextlib import nullcontext

from sqlalchemy import Connection

from ecrsim.core import jobs
from ecrsim.core.clock import Setting
from ecrsim.core.clock_setting import ClockError, checked, turn
from ecrsim.core.durations import DAY
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.runtime import Runtime

#: More at once would keep everybody else from running jobs for too long: each day has a run of each policy.
MAX_DAYS = 3_660
#: After so many jobs there is a pause of so many seconds, in which whoever waits to write is let in.
_BREATH, _PAUSE = 50, 0.002


def set_clock(runtime: Runtime, setting: Setting) -> None:
    """Let the clock go like this. What is still to happen when it is set back happens as much earlier."""

    def shift(connection: Connection) -> None:
        back = runtime.clock.now() - (setting.value + (0 if setting.is_frozen else runtime.clock.unturned()))
        if back > 0:
            jobs.bring_forward(connection, back)

    turn(runtime.clock, runtime.database, setting, also=shift)


def advance(runtime: Runtime, milliseconds: int) -> list[jobs.Ran]:
    """Turn the clock forward and return what ran, in order. ClockError for a time that cannot be.

    A job that was due before runs first, at the present. ServiceUnavailableException when ecrsim is told to stop on the
    way: the clock then stays where it has come to.
    """
    if milliseconds < 0:
        raise ClockError("the clock only goes forward")
    ran = []
    with runtime.exclusively():
        # Not the clock's own time, which goes on while jobs run: each has its own instant all the same.
        setting, now = runtime.clock.setting, runtime.clock.now()
        target = checked(now + milliseconds)
        if milliseconds > MAX_DAYS * DAY and jobs.first_due(runtime, target) is not None:
            raise ClockError(f"the clock is advanced by {MAX_DAYS} days at most at once while jobs wait")
        if runtime.config.workers > 1 and jobs.first_due(runtime, target) is not None:
            # Pull times that other workers have noted belong to the time before, and jobs look at them.
            runtime.batch.wait_for_others()
        while (found := jobs.first_due(runtime, target)) is not None:
            if runtime.stopping.is_set():
                raise ServiceUnavailableException("ecrsim is stopping. The clock has not come to where it was turned.")
            now = max(now, found.run_at)
            setting = _turned(runtime, now, setting)
            with runtime.exclusively(found.lane) if found.lane else nullcontext():
                ran += jobs.run(runtime, found, now)
            if len(ran) % _BREATH == 0:
                runtime.stopping.wait(_PAUSE)
        _turned(runtime, target, setting)
    return ran


def _turned(runtime: Runtime, moment: int, setting: Setting) -> Setting:
    """The setting afterwards. ClockError when it is `setting` no more: what somebody else set is not undone."""
    clock = runtime.clock
    now = clock.now()
    if moment <= now and clock.setting == setting:
        return setting
    wanted = Setting(True, moment) if setting.is_frozen else Setting(False, moment - clock.unturned())
    turn(clock, runtime.database, wanted, setting)
    return wanted
