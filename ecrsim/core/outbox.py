"""The outbox: facts in the past tense, appended in the transaction of the change that they tell of.

From its first event to its end a write transaction is alone with the outbox, whatever runs beside it, so sequence
numbers rise in the order of commits: who has read up to one has missed none.
Whatever leaves the building (`ecrsim/delivery`) is made from these rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, Text, bindparam, delete, func, select

from ecrsim.core.columns import Json, metadata
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.event import Event, NewEvent
from ecrsim.core.ids import new_uuid
from ecrsim.core.query import Addition, Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.core.sealing import SecretDamaged, seal_of

events = Table(
    "events",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("type", Text, nullable=False),
    Column("registry_id", String(12), nullable=False),
    Column("region", Text, nullable=False),
    Column("repository_name", Text),
    Column("facts", Json, nullable=False),
    # The caller and its address, of events that a request made itself.
    Column("trail", Json),
    Column("kind", String(7), nullable=False, server_default="private"),
    sqlite_autoincrement=True,
)


_SCOPE = "outbox"
#: The one member of facts that are sealed.
_SEALED = ""
_COLUMNS = tuple(column.name for column in events.columns)
_INSERT = Addition(events, *_COLUMNS[1:], as_text=("facts", "trail"))
_PAGE = Query(
    select(events).where(events.c.sequence > bindparam("after")).order_by(events.c.sequence).limit(bindparam("limit")),
    Event,
)
_NEWEST = Query(select(func.max(events.c.sequence)), int)
_OLDEST = Query(select(func.min(events.c.sequence)), int)


def emit(
    call: Call,
    registry: Registry,
    repository_name: str | None,
    type: str,
    facts: dict[str, Any] | bytes,
    trail: dict[str, Any] | None = None,
) -> None:
    """Append a fact in the open write transaction. `facts` as bytes are JSON already."""
    if not call.runtime.config.events_limit:
        return
    call.runtime.database.also(call.connection, _SCOPE)
    event_id = new_uuid()
    text = (facts if isinstance(facts, bytes) else orjson.dumps(facts)).decode()
    if call.runtime.keyed_blobs is not None:
        # The request of a push has the manifest in it.
        text = orjson.dumps({_SEALED: call.runtime.seal.sealed(text, "events", event_id)}).decode()
    _INSERT.run(
        call.connection,
        at=call.now,
        event_id=event_id,
        type=type,
        registry_id=registry.account,
        region=registry.region,
        repository_name=repository_name,
        facts=text,
        trail=None if trail is None else orjson.dumps(trail).decode(),
        kind=registry.kind,
    )


def append(call: Call, events: Iterable[NewEvent]) -> None:
    """Append what a fact tells, in the open write transaction; nobody but `core/facts.py` calls it."""
    call.runtime.database.also(call.connection, _SCOPE)
    _INSERT.many(
        call.connection,
        [
            (
                call.now,
                new_uuid(),
                each.type,
                each.registry.account,
                each.registry.region,
                each.repository_name,
                orjson.dumps(each.facts).decode(),
                None,
                each.registry.kind,
            )
            for each in events
        ],
    )


def page(connection: Connection, after: int, limit: int) -> list[Event]:
    """Events after the sequence number `after`, oldest first."""
    found = _PAGE.all(connection, after=after, limit=limit)
    return [_opened(connection, each) if _SEALED in each.facts else each for each in found]


def _opened(connection: Connection, event: Event) -> Event:
    """The event of a sealed row. ServiceUnavailableException where it was altered."""
    try:
        text = seal_of(connection).opened(event.facts[_SEALED], "events", event.event_id)
    except SecretDamaged as error:
        raise ServiceUnavailableException(f"The event {event.event_id} is not what was stored.") from error
    return event._replace(facts=orjson.loads(text))


def newest(connection: Connection) -> int:
    """The highest sequence number; 0 when there is no event."""
    return _NEWEST.first(connection) or 0


def oldest(connection: Connection) -> int:
    """The lowest sequence number; 0 when there is no event."""
    return _OLDEST.first(connection) or 0


def prune(connection: Connection, limit: int, undelivered: int | None = None, most: int | None = None) -> int:
    """Forget all but the newest `limit` events; of those after `undelivered` none. Returns how many went.

    `most`: no more than about so many, so that others do not wait for the transaction.
    """
    last = newest(connection) - limit
    if undelivered is not None:
        last = min(last, undelivered)
    if most is not None:
        last = min(last, oldest(connection) + most - 1)
    return connection.execute(delete(events).where(events.c.sequence <= last)).rowcount
