"""Reads that may have to be fetched first: the seam between what serves images and what gets them from elsewhere.

Whoever serves says what is wanted (`ask_first`). A later capability that can get it, and thinks that it should, says
how (`@elsewhere`). Then the work is undone by a `Miss` and done once more when the flight that fetches it is over
(`persistently`). A flight has threads of its own and no transaction open while it waits; who waits for it needs none
where the server does the work again itself (`NotYet`). What is wanted is fetched once in one request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, MutableMapping
from typing import Any, Literal, NamedTuple, TypeVar

from ecrsim.core.errors import ServiceError, ServiceUnavailableException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.web import Pieces

#: Seconds before work is done again that the database has undone: together what a server takes to come back.
PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)


class Wanted(NamedTuple):
    """The subject of a read: the image of a tag or digest, the referrers of a digest, or a layer.

    `streams`: who asks can do with what is on its way (`ComingImage`, `ComingLayer`), and is not made to wait for more.
    """

    registry: Registry
    repository_name: str
    what: Literal["image", "referrers", "layer"]
    reference: str
    streams: bool = False


class Unfetched(NamedTuple):
    """Why fetching gave nothing.

    `kind`: missing (it is not there either), denied, busy, unavailable, invalid, or unreached (nobody was asked).
    `error`: the answer of an operation that has no better one. `retry_after`: seconds, where the other side told.
    """

    kind: Literal["missing", "denied", "busy", "unavailable", "invalid", "unreached"]
    error: ServiceError
    retry_after: float | None = None


class ComingImage(NamedTuple):
    """An image whose manifest is known while its layers are on their way. `pulled()` says that it was given."""

    image_digest: str
    media_type: str
    manifest: bytes
    pulled: Callable[[], None]


class ComingLayer(NamedTuple):
    """A layer whose first bytes are there. `body(first, length)` gives a part of it as it comes.

    The last byte is given when the whole layer was found to have its digest, and never where it has not. Miss, where
    the layer has come to its end, good or bad, before a part of it was asked for.
    """

    size: int
    body: Callable[[int, int], Pieces]


class Learned(NamedTuple):
    """The answer of a service beside ecrsim that was asked something (`learn`)."""

    answer: Any


#: What came of a flight: None when what was wanted is here now, if only as it was before.
Outcome = Unfetched | ComingImage | ComingLayer | Learned | None


class Flight:
    """Something that is on its way, for all who want it. It is over once, with an outcome or an error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = False
        self._outcome: Outcome = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], object]] = []

    @property
    def is_over(self) -> bool:
        return self._over

    def settle(self, outcome: Outcome = None, error: BaseException | None = None) -> None:
        """End it. Ending it again changes nothing."""
        with self._lock:
            if self._over:
                return
            self._outcome, self._error, self._over = outcome, error, True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_over(self, callback: Callable[[], object]) -> None:
        """Call it once, in the thread that ends the flight; at once when it is over already."""
        with self._lock:
            if not self._over:
                self._callbacks.append(callback)
                return
        callback()

    def wait(self) -> None:
        """In the thread of the caller."""
        over = threading.Event()
        self.when_over(over.set)
        over.wait()

    def result(self) -> Outcome:
        """Of a flight that is over. Its error is everybody's."""
        if self._error is not None:
            raise self._error
        return self._outcome


#: Begins a flight, or joins one that is under way. It never waits.
Fetch = Callable[[], Flight]
#: Whether something is to be fetched: asked inside the call. The last argument: whether what is wanted is here.
Look = Callable[[Call, Wanted, bool | None], Fetch | None]
#: Everything that was fetched, or learned, for a request so far.
Fetched = MutableMapping[Hashable, Flight]

_T = TypeVar("_T")
_looks: list[Look] = []


class Miss(Exception):
    """The work is to be undone, `fetch` called outside of it, and done once more when its flight is over."""

    def __init__(self, wanted: Hashable, fetch: Fetch) -> None:
        super().__init__(wanted)
        self.wanted, self.fetch = wanted, fetch


class NotYet(BaseException):
    """The work is to be done again when the flight is over; no thread is to wait for that.

    Not an Exception: nobody on the way answers for it. What the work did so far is undone.
    """

    def __init__(self, flight: Flight) -> None:
        super().__init__()
        self.flight = flight


def elsewhere(look: Look) -> Look:
    """Declare how to get what is not here. None when there is no need."""
    _looks.append(look)
    return look


def ask_first(call: Call, wanted: Wanted, *, is_here: bool | None = None) -> Outcome:
    """What came of fetching it; None where it was not fetched, or is here now. Miss.

    `is_here`: whether what is wanted was found, None where nobody has looked; of a layer, where it is wanted only if
    something here names it.
    """
    fetched: Fetched = call.lookups.get("fetched", {})
    flight = fetched.get(wanted)
    if flight is not None:
        return flight.result()
    for look in _looks:
        fetch = look(call, wanted, is_here)
        if fetch is not None:
            raise Miss(wanted, fetch)
    return None


def learn(call: Call, question: Hashable, begin: Fetch) -> Any:
    """The answer of a service beside ecrsim, which is asked once in a request, with no transaction open. Miss.

    `begin` begins the flight, or joins one; its outcome is `Learned`, or the error that is everybody's who asked.
    """
    fetched: Fetched = call.lookups.get("fetched", {})
    flight = fetched.get(question)
    if flight is None:
        raise Miss(question, begin)
    outcome = flight.result()
    return outcome.answer if isinstance(outcome, Learned) else None


def why_not(call: Call, wanted: Wanted) -> Unfetched | None:
    """Why there is nothing, where fetching was tried."""
    fetched: Fetched = call.lookups.get("fetched", {})
    flight = fetched.get(wanted)
    outcome = None if flight is None else flight.result()
    return outcome if isinstance(outcome, Unfetched) else None


def persistently(kept: Fetched | None, attempt: Callable[[Fetched], _T]) -> _T:
    """Do the work, again after each miss, and after the database has undone it for no fault of its own.

    `attempt` puts what it is given into its call as `lookups["fetched"]`.

    `kept`: where the server keeps that for the request, to do the work again after NotYet; None where this thread
    waits.
    """
    fetched: Fetched = {} if kept is None else kept
    pauses = iter(PAUSES)
    while True:
        try:
            return attempt(fetched)
        except ServiceUnavailableException as error:
            pause = next(pauses, None) if error.is_undone else None
            if pause is None:
                raise
            time.sleep(pause)
            continue
        except Miss as miss:
            flight = fetched[miss.wanted] = miss.fetch()
        if not flight.is_over:
            if kept is not None:
                raise NotYet(flight)
            flight.wait()


def at_last(write: Callable[[], _T]) -> _T:
    """Do a transaction that follows what is not undone with it, such as bytes that came; again where it was undone.

    ServiceUnavailableException in the end: one for which nobody does the rest again.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return write()
        except ServiceUnavailableException as error:
            pause = next(pauses, None) if error.is_undone else None
            if pause is None:
                raise ServiceUnavailableException(error.message) from error
        time.sleep(pause)


def write_persistently(runtime: Runtime, caller: Caller, write: Callable[[Call], _T]) -> _T:
    """Do it in a call of its own, in one write transaction, and again after each miss, for which this thread waits."""

    def attempt(fetched: Fetched) -> _T:
        with runtime.call(caller) as call:
            call.lookups["fetched"] = fetched
            with call.writing():
                return write(call)

    return persistently(None, attempt)
