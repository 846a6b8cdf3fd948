"""The work of a running ecrsim besides answering: at its start, at a reset, time and again, and at its end.

A capability says so in its `household.py`; whoever runs an ecrsim (`serve`, `Ecrsim`, the admin surface) asks here and
knows none of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ecrsim.config import Config
from ecrsim.core.errors import ServiceError
from ecrsim.core.jobs import lanes, run_lane
from ecrsim.core.runtime import Runtime

log = logging.getLogger("ecrsim.household")

#: Seconds between two looks at what is due.
_GLANCE = 0.2
#: Seconds between two turns, in which somebody who waits to run jobs is let in.
_BREATH = 0.002
#: Seconds before jobs are tried again where nothing could be written.
_PAUSE = 5

Stop = Callable[[], None]
Hook = Callable[[Runtime], Stop | None]
Act = Callable[[Runtime], object]


class Periodic(NamedTuple):
    """Something that is done every so many seconds of real time; 0 is never."""

    name: str
    seconds: Callable[[Config], float]
    act: Act
    #: One process does it at a time, whichever comes first; else each of them does.
    alone: bool


_H = TypeVar("_H", bound=Hook)
_A = TypeVar("_A", bound=Act)

_at_start: list[Hook] = []
_at_reset: list[Act] = []
_periodic: list[Periodic] = []


def at_start(hook: _H) -> _H:
    """Declare what each process does once its database is open, before the first request, in the order of capabilities.

    It may return what is to be called when ecrsim stops. An error keeps ecrsim from starting.
    """
    _at_start.append(hook)
    return hook


def at_reset(act: _A) -> _A:
    """Declare what is done when everything was forgotten."""
    _at_reset.append(act)
    return act


def every(seconds: Callable[[Config], float], *, alone: bool = True) -> Callable[[_A], _A]:
    """Declare what one process at a time does every so many seconds: `@every(lambda config: config.gc_interval)`.

    With `alone=False` each process does it, whatever the others do.

    An error is logged, and the next time comes all the same.
    """

    def register(act: _A) -> _A:
        _periodic.append(Periodic(act.__name__.replace("_", "-"), seconds, act, alone))
        return act

    return register


def reset(runtime: Runtime) -> None:
    """Forget every registry, and do what follows a reset."""
    runtime.reset()
    for act in _at_reset:
        act(runtime)


class Household:
    """Starts and stops what belongs to one opened runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stops: list[Stop] = []

    def start(self) -> None:
        """Do what is declared for the start. What one hook raises is raised, and what was begun is stopped again."""
        try:
            for hook in _at_start:
                stop = hook(self._runtime)
                if stop is not None:
                    self._stops.append(stop)
        except BaseException:
            self.stop()
            raise

    def work(self) -> None:
        """Run jobs and what is periodic in threads of this process, until the runtime is told to stop."""
        config = self._runtime.config
        for periodic in _periodic:
            if periodic.seconds(config):
                self._in_thread(periodic.name, self._repeat, periodic)
        if config.jobs == "worker":
            self._in_thread("jobs", self._run_jobs)
            self._in_thread("lanes", self._run_lanes)

    def stop(self) -> None:
        """Stop what was started, the last first. The loop has ended: its thread may wait now."""
        self._runtime.database.never_wait_in(0)
        while self._stops:
            self._stops.pop()()

    def _in_thread(self, name: str, run: Callable[..., object], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, name=name, daemon=True)
        thread.start()
        return thread

    def _repeat(self, periodic: Periodic) -> None:
        runtime = self._runtime
        while not runtime.stopping.wait(periodic.seconds(runtime.config)):
            try:
                if not periodic.alone:
                    periodic.act(runtime)
                    continue
                with runtime.database.exclusive(periodic.name, wait=False) as has_it:
                    if has_it:
                        periodic.act(runtime)
            except ServiceError as error:
                # The next time comes, and the database or the store is back by then.
                log.warning("%s failed: %s", periodic.name, error.message)
            except Exception:
                log.exception("%s failed", periodic.name)

    def _run_jobs(self) -> None:
        """Run the work that is due; one process does it at a time, whichever sees it first."""
        pause = _GLANCE
        while not self._runtime.stopping.wait(pause):
            pause = self._run_lane("")

    def _run_lanes(self) -> None:
        """The other lanes, each in a thread for as long as something is due in it."""
        running: dict[str, threading.Thread] = {}
        while not self._runtime.stopping.wait(_GLANCE):
            try:
                waiting = lanes(self._runtime)
            except ServiceError:
                continue
            for lane in waiting:
                if lane not in running or not running[lane].is_alive():
                    running[lane] = self._in_thread(f"jobs-{lane}", self._run_lane, lane)

    def _run_lane(self, lane: str) -> float:
        """Seconds until the next look: at once where something was due, so that others have their turn in between."""
        try:
            return _BREATH if run_lane(self._runtime, lane, wait=False, gives_way=True) else _GLANCE
        except ServiceError as error:
            log.warning("jobs could not be run: %s", error.message)
            return _PAUSE
        except Exception:
            log.exception("jobs could not be run")
            return _GLANCE
