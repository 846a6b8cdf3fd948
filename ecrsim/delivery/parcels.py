"""Parcels, each an event for one target, and the protocol of the sinks that deliver them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import orjson

from ecrsim.core.event import Event
from ecrsim.core.registry import Registry


class Undelivered(Exception):
    """A failure. `done` parcels, the first ones, arrived before it; the rest is to be brought again."""

    def __init__(self, reason: str, done: int = 0) -> None:
        super().__init__(reason)
        self.done = done


class Refused(Exception):
    """The target can never take the first parcel, and none was delivered."""


class Parcel:
    """An event and what is delivered of it."""

    def __init__(self, event: Event, envelope: dict[str, Any]) -> None:
        self.event = event
        self.envelope = envelope

    @property
    def sequence(self) -> int:
        return self.event.sequence

    @property
    def group(self) -> tuple[Registry, str]:
        """Whose order is kept: registry and repository; that of a registry itself has an empty name."""
        return self.event.registry, self.event.repository_name or ""

    @cached_property
    def body(self) -> bytes:
        return orjson.dumps(self.envelope)


class EventSink(Protocol):
    """A target that can be delivered to. One thread uses it; `abort` alone may come from another."""

    def take(self, parcels: Sequence[Parcel]) -> int:
        """How many parcels, of the first ones, `deliver` is given next; one at least."""
        ...

    def deliver(self, parcels: Sequence[Parcel]) -> None:
        """Bring them all there, in order. Undelivered, Refused."""
        ...

    def rest(self) -> None:
        """Nothing waits: let go of what nobody needs until something does."""
        ...

    def close(self) -> None:
        """Nothing is delivered any more."""
        ...

    def abort(self) -> None:
        """Make the `deliver` that is under way fail, if it can be."""
        ...
