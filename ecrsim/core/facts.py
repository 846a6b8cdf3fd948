"""Facts: what happened, told once, in the transaction of its change; and what follows from it.

A capability tells a fact of a type of its own (`events.py`). Later capabilities react to it (`reactions.py`), so that
the capability that tells it knows none of them. Then the fact becomes rows of the outbox, if any are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from ecrsim.core import outbox
from ecrsim.core.event import NewEvent
from ecrsim.core.runtime import Call


class Fact(Protocol):
    """Something that happened, with all that a reaction needs to know of it."""

    def rows(self) -> Iterable[NewEvent]:
        """What the outbox keeps of it: one row for each event that AWS sends."""
        ...


_Told = TypeVar("_Told", bound=Fact)
Reaction = Callable[[Call, _Told], None]

_reactions: dict[type, list[Reaction[Any]]] = {}


def on(kind: type[_Told]) -> Callable[[Reaction[_Told]], Reaction[_Told]]:
    """Declare a reaction: `@on(ImagePushed)`.

    It runs in the write transaction of the change, and may enqueue jobs, write tables of its own capability, and record
    what follows. Reactions run in the order of the capabilities, which is the order in which they are loaded. An error
    of a reaction undoes the change.
    """

    def register(reaction: Reaction[_Told]) -> Reaction[_Told]:
        _reactions.setdefault(kind, []).append(reaction)
        return reaction

    return register


def record(call: Call, fact: Fact) -> None:
    """Tell a fact, inside the write transaction of its change. Reactions run also where no events are kept."""
    record_all(call, (fact,))


def record_all(call: Call, facts: Iterable[Fact]) -> None:
    """Tell many at once; their rows are appended by one statement."""
    facts = tuple(facts)
    for fact in facts:
        for reaction in _reactions.get(type(fact), ()):
            reaction(call, fact)
    if call.runtime.config.events_limit:
        outbox.append(call, [row for fact in facts for row in fact.rows()])
