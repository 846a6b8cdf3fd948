"""What one process fetches at the moment: its threads, its flights, the layers and images that it brings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.misses import Flight
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.pullthrough.flights import Flights, Threads, Watch
from ecrsim.ecr.pullthrough.import_rows import Custody

#: Threads that ask for manifests, and that bring layers. Upstreams are waited for, mostly.
_ERRANDS, _CARRIERS = 16, 16
#: Seconds that they are given when ecrsim stops.
_PATIENCE = 2.0


class OnItsWay(Protocol):
    """Something on its way, which is over when it is here as a whole."""

    whole: Flight


_T = TypeVar("_T", bound=OnItsWay)


class Register(Generic[_T]):
    """Things on their way, each by a key until it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _T] = {}

    def find(self, key: Hashable) -> _T | None:
        return self._entries.get(key)

    def join(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """The one that is on its way, or a new one."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                return found
            made = self._entries[key] = make()
        made.whole.when_over(lambda: self._drop(key, made))
        return made

    def _drop(self, key: Hashable, entry: _T) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]

    def all(self) -> list[_T]:
        with self._lock:
            return list(self._entries.values())

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


class Fetches:
    """All fetches of one runtime. They outlive a reset: what is under way then finds its rows gone, and ends."""

    def __init__(self, runtime: Runtime) -> None:
        self.errands, self.carriers = Threads("import-errand", _ERRANDS), Threads("import-carrier", _CARRIERS)
        self.watch = Watch()
        self.flights = Flights(self.errands)
        self.custody = Custody(runtime.database)
        self.is_closing = threading.Event()
        #: By repository (its number) and digest.
        self.layers: Register[Any] = Register()
        #: By their ids.
        self.imports: Register[Any] = Register()

    def forget(self) -> None:
        """After a reset: what is under way is of no registry that there is."""
        self.flights.clear()
        self.layers.clear()

    def close(self) -> None:
        """Bring nothing more. What is cut off is begun anew by whoever asks next."""
        self.is_closing.set()
        self.watch.end(_PATIENCE)
        self.errands.end(_PATIENCE)
        self.carriers.end(_PATIENCE)
        self.flights.end(ServiceUnavailableException("ecrsim is stopping"))
        self.custody.release()


_halls: WeakKeyDictionary[Runtime, Fetches] = WeakKeyDictionary()
_making = threading.Lock()


def fetches_of(runtime: Runtime) -> Fetches:
    found = _halls.get(runtime)
    if found is None:
        with _making:
            found = _halls.get(runtime)
            if found is None:
                found = _halls[runtime] = Fetches(runtime)
    return found


def close(runtime: Runtime) -> None:
    """End the fetches of a runtime that stops, if it has any."""
    found = _halls.pop(runtime, None)
    if found is not None:
        found.close()


def forget(runtime: Runtime) -> None:
    """Forget the fetches of a runtime that was reset."""
    found = _halls.get(runtime)
    if found is not None:
        found.forget()
