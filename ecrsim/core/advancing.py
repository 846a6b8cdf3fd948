"""Advancing the clock: through every job that is due on the way, each at its own instant."""

from __future__ import annotations

from ecrsim.core import jobs
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.runtime import Runtime
from ecrsim.core.turning import ClockError, checked, turn


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
        now = runtime.clock.now()
        target = checked(now + milliseconds)
        if runtime.config.workers > 1 and jobs.next_due(runtime, target) is not None:
            # What other workers have noted of pulls belongs to the time before, and jobs look at it.
            runtime.batch.wait_for_others()
        while (found := jobs.next_due(runtime, target)) is not None:
            if runtime.stopping.is_set():
                raise ServiceUnavailableException("ecrsim is stopping. The clock has not come to where it was turned.")
            now = max(now, found.run_at)
            if now > runtime.clock.now():
                turn(runtime.clock, runtime.database, runtime.clock.at(now))
            ran += jobs.run(runtime, found, now)
        if target > runtime.clock.now():
            turn(runtime.clock, runtime.database, runtime.clock.at(target))
    return ran
