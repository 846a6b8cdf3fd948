"""Reads that may have to be fetched first: the seam between what serves images and what gets them from elsewhere.

Whoever serves says what is wanted (`ask_first`), before it looks. A later capability that can get it, and thinks that
it should, says how (`@elsewhere`). Then the work is undone by a `Miss`, the plane lets it be fetched with no
transaction open, and does the work once more (`persistently`). What is wanted is fetched once in one request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

from ecrsim.core.db import MustWait
from ecrsim.core.errors import ServiceError
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime


class Wanted(NamedTuple):
    """What a read is about: the image of a tag or digest, or the referrers of a digest."""

    registry: Registry
    repository_name: str
    what: Literal["image", "referrers"]
    reference: str


class Unfetched(NamedTuple):
    """Why fetching gave nothing.

    `kind`: missing (it is not there either), denied, busy, unavailable, invalid, or unreached (nobody was asked).
    `error`: the answer of an operation that has no better one. `retry_after`: seconds, where the other side told.
    """

    kind: Literal["missing", "denied", "busy", "unavailable", "invalid", "unreached"]
    error: ServiceError
    retry_after: float | None = None


Fetch = Callable[[], Unfetched | None]
Look = Callable[[Call, Wanted], Fetch | None]
#: What was fetched for a request so far, and what came of it.
Fetched = dict[Wanted, Unfetched | None]

_T = TypeVar("_T")
_looks: list[Look] = []


class Miss(Exception):
    """The work is to be undone, `fetch` called outside of it, and done once more."""

    def __init__(self, wanted: Wanted, fetch: Fetch) -> None:
        super().__init__(wanted)
        self.wanted, self.fetch = wanted, fetch


class MustFetch(MustWait):
    """A fetch was due in a thread that may not wait."""

    runs = "long"


def elsewhere(look: Look) -> Look:
    """Declare how to get what is not here. It is asked inside the call, for each read: None when there is no need."""
    _looks.append(look)
    return look


def ask_first(call: Call, wanted: Wanted) -> None:
    """To be asked before anything is looked up. Miss."""
    fetched: Fetched = call.lookups.get("fetched", {})
    if wanted in fetched:
        return
    for look in _looks:
        fetch = look(call, wanted)
        if fetch is not None:
            raise Miss(wanted, fetch)


def why_not(call: Call, wanted: Wanted) -> Unfetched | None:
    """Why there is nothing, where fetching was tried."""
    fetched: Fetched = call.lookups.get("fetched", {})
    return fetched.get(wanted)


def persistently(runtime: Runtime, attempt: Callable[[Fetched], _T]) -> _T:
    """Do the work, again after each miss. `attempt` puts what it is given into its call as `lookups["fetched"]`."""
    fetched: Fetched = {}
    while True:
        try:
            return attempt(fetched)
        except Miss as miss:
            try:
                runtime.database.may_wait()
            except MustWait:
                raise MustFetch from None
            fetched[miss.wanted] = miss.fetch()
