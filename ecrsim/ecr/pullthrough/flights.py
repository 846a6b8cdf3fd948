"""Threads that fetch, and whoever waits for the same: one flight, in this process and in others.

Errands ask upstreams for manifests, and may wait for a layer; carriers bring layers, and wait for nobody but their
upstream. So there is always somebody who gets on, however many wait.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import zlib
from collections import deque
from collections.abc import Callable, Hashable, Iterator

from ecrsim.core.misses import Flight
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime

log = logging.getLogger("ecrsim.pullthrough")

#: Files whose locks the processes share; what shares one waits for the other.
_LOCKS = 64
#: Seconds between two looks at what another process brings.
_GLANCE = 0.05


class Threads:
    """At most `most` threads, which end when there is nothing to do."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._idle = threading.Condition()
        self._work: deque[Callable[[], object]] = deque()
        self._running = 0

    def run(self, work: Callable[[], object]) -> None:
        """Begin with it as soon as a thread is free. What it raises is logged."""
        with self._idle:
            self._work.append(work)
            if self._running >= self._most:
                return
            self._running += 1
        try:
            threading.Thread(target=self._loop, name=self._name, daemon=True).start()
        except RuntimeError:
            # At the limit of threads: those that there are will do it, or the next that can be started.
            with self._idle:
                self._running -= 1

    def _loop(self) -> None:
        while True:
            with self._idle:
                if not self._work:
                    self._running -= 1
                    self._idle.notify_all()
                    return
                work = self._work.popleft()
            try:
                work()
            except Exception:
                log.exception("fetching failed")

    def end(self, seconds: float) -> None:
        """Begin with nothing more, and wait so long for what is being done."""
        with self._idle:
            self._work.clear()
            self._idle.wait_for(lambda: not self._running, seconds)


class Watch:
    """Looks again and again at what other processes bring, in one thread, while there is anything."""

    def __init__(self) -> None:
        self._threads = Threads("import-watch", 1)
        self._lock = threading.Lock()
        self._checks: list[Callable[[], bool]] = []
        self._pause = threading.Event()

    def until(self, check: Callable[[], bool]) -> None:
        """Call it time and again, until it is true."""
        with self._lock:
            self._checks.append(check)
            if len(self._checks) == 1:
                self._threads.run(self._loop)

    def _loop(self) -> None:
        while not self._pause.wait(_GLANCE):
            with self._lock:
                checks = list(self._checks)
            over = [check for check in checks if self._is_over(check)]
            with self._lock:
                self._checks = [check for check in self._checks if check not in over]
                if not self._checks:
                    return

    @staticmethod
    def _is_over(check: Callable[[], bool]) -> bool:
        try:
            return check()
        except Exception:
            log.exception("what another process fetches cannot be looked at")
            return True

    def end(self, seconds: float) -> None:
        self._pause.set()
        self._threads.end(seconds)


class Flights:
    """The flights of one process."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._flying: dict[Hashable, Flight] = {}

    def join(self, key: Hashable, work: Callable[[Flight], None]) -> Flight:
        """The flight of this key that is under way, or a new one, which `work` ends. An error of it is everybody's.

        Nobody ends it by leaving: it has a thread of its own.
        """
        with self._lock:
            found = self._flying.get(key)
            if found is not None:
                return found
            flight = self._flying[key] = Flight()
        flight.when_over(lambda: self._forget(key, flight))
        self._threads.run(lambda: self._fly(flight, work))
        return flight

    @staticmethod
    def _fly(flight: Flight, work: Callable[[Flight], None]) -> None:
        try:
            work(flight)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            flight.settle(error=error)

    def _forget(self, key: Hashable, flight: Flight) -> None:
        with self._lock:
            if self._flying.get(key) is flight:
                del self._flying[key]

    def clear(self) -> None:
        """Forget all flights: whoever asks from now on joins none of them."""
        with self._lock:
            self._flying.clear()

    def end(self, error: BaseException) -> None:
        """End all flights: nobody is to wait any longer."""
        with self._lock:
            flying = list(self._flying.values())
        for flight in flying:
            flight.settle(error=error)


@contextlib.contextmanager
def alone_with(runtime: Runtime, registry: Registry, repository_name: str, asked: str) -> Iterator[None]:
    """Nobody else begins to fetch this during the block, in any process. No transaction may be open."""
    number = zlib.crc32("/".join((*registry, repository_name, asked)).encode()) % _LOCKS
    with runtime.database.exclusive(f"fetch-{number}"):
        yield
