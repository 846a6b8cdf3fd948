"""One flight: many who want the same wait for one who fetches it, in this process and in others."""

from __future__ import annotations

import contextlib
import fcntl
import threading
import zlib
from collections.abc import Callable, Hashable, Iterator

from ecrsim.core.misses import Unfetched
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime

#: Files whose locks the processes share; repositories that share one wait for each other.
_LOCKS = 64


class _Flight:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.outcome: Unfetched | None = None
        self.error: BaseException | None = None


class Flights:
    """The flights of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[Hashable, _Flight] = {}

    def join(self, key: Hashable, work: Callable[[], Unfetched | None]) -> Unfetched | None:
        """What came of `work`, done by the first who asks while it is under way. An error of it is everybody's.

        Nobody ends it by leaving: it is done in the thread of the first, whose client may be gone.
        """
        with self._lock:
            flight = self._flying.get(key)
            is_mine = flight is None
            if flight is None:
                flight = self._flying[key] = _Flight()
        if not is_mine:
            flight.done.wait()
            if flight.error is not None:
                raise flight.error
            return flight.outcome
        try:
            flight.outcome = work()
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._flying[key]
            flight.done.set()
        return flight.outcome


def flights_of(runtime: Runtime) -> Flights:
    found = runtime.memory.setdefault("flights", Flights())
    if not isinstance(found, Flights):
        raise TypeError(found)
    return found


@contextlib.contextmanager
def alone_with(runtime: Runtime, registry: Registry, repository_name: str) -> Iterator[None]:
    """Nobody else fetches into this repository during the block, in any process. No transaction may be open."""
    number = zlib.crc32("/".join((*registry, repository_name)).encode()) % _LOCKS
    with runtime.database.file(f"fetch-{number}").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
