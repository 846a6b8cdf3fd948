"""What a process remembers of keys: data keys that were opened, and what a KMS allowed a moment ago."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from ecrsim.core.misses import Flight, Learned
from ecrsim.core.runtime import Runtime

#: Seconds for which the answer of a KMS is good: a key that is disabled there is noticed after so many.
FRESH = 5
#: Data keys of 32 bytes, and answers, each.
_MOST = 1_000


class KeyMemory:
    """The memory of one process. It forgets what was used longest ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()
        self._allowed: OrderedDict[Hashable, float] = OrderedDict()
        self._flights: dict[Hashable, Flight] = {}

    def opened(self, name: Hashable, *, is_lasting: bool) -> bytes | None:
        """The opened key of that name; `is_lasting`: one of the ring, whose state is looked at elsewhere."""
        with self._lock:
            found = self._opened.get(name)
            if found is None or (not is_lasting and time.monotonic() - found[1] > FRESH):
                return None
            self._opened.move_to_end(name)
            return found[0]

    def remember_opened(self, name: Hashable, plaintext: bytes) -> None:
        with self._lock:
            self._opened[name] = plaintext, time.monotonic()
            self._opened.move_to_end(name)
            while len(self._opened) > _MOST:
                self._opened.popitem(last=False)

    def is_allowed(self, name: Hashable) -> bool:
        """Whether a KMS allowed it a moment ago."""
        with self._lock:
            return time.monotonic() - self._allowed.get(name, -FRESH) < FRESH

    def remember_allowed(self, name: Hashable) -> None:
        with self._lock:
            self._allowed[name] = time.monotonic()
            self._allowed.move_to_end(name)
            while len(self._allowed) > _MOST:
                self._allowed.popitem(last=False)

    def fly(self, name: Hashable, ask: Callable[[], object], *, is_shared: bool) -> Flight:
        """Let a thread ask. `is_shared`: who wants the same meanwhile waits for the same answer."""
        with self._lock:
            under_way = self._flights.get(name) if is_shared else None
            if under_way is not None:
                return under_way
            flight = Flight()
            if is_shared:
                self._flights[name] = flight
        threading.Thread(target=self._ask, args=(flight, name, ask), name="kms", daemon=True).start()
        return flight

    def _ask(self, flight: Flight, name: Hashable, ask: Callable[[], object]) -> None:
        try:
            answer = ask()
        except BaseException as error:  # noqa: BLE001 - it is everybody's who waits
            self._land(flight, name)
            flight.settle(error=error)
        else:
            self._land(flight, name)
            flight.settle(Learned(answer))

    def _land(self, flight: Flight, name: Hashable) -> None:
        with self._lock:
            if self._flights.get(name) is flight:
                del self._flights[name]


def memory_of(runtime: Runtime) -> KeyMemory:
    found = runtime.memory.get("encryption")
    if not isinstance(found, KeyMemory):
        # Two threads may make one each: what the other remembers is then learned once more.
        found = runtime.memory["encryption"] = KeyMemory()
    return found
