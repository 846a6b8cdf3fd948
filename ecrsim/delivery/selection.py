"""Which events somebody asked for, and their envelopes: the same words for the admin routes and for tests in Python."""

from __future__ import annotations

from typing import Any, NamedTuple

from ecrsim.core import outbox
from ecrsim.core.db import Database
from ecrsim.core.event import Event
from ecrsim.delivery import pattern as patterns
from ecrsim.delivery.eventbridge import envelope

#: Rows that are looked at in one read transaction at most.
_ROWS = 500


class SelectedEvent(NamedTuple):
    """An event as EventBridge would deliver it, and its place in the outbox."""

    sequence: int
    envelope: dict[str, Any]


class Selection:
    """Events of a detail-type, of a repository, account and region, that match an event pattern; by default all.

    PatternError for a pattern that is none.
    """

    def __init__(
        self,
        type: str | None = None,
        repository: str | None = None,
        account: str | None = None,
        region: str | None = None,
        pattern: Any = None,
    ) -> None:
        self._type = type
        wanted = {"repository_name": repository, "registry_id": account, "region": region}
        self._columns = {name: value for name, value in wanted.items() if value is not None}
        self._pattern = None if pattern is None else patterns.compile(pattern)

    def take(self, event: Event) -> dict[str, Any] | None:
        """The envelope of an event that is wanted."""
        if any(getattr(event, name) != value for name, value in self._columns.items()):
            return None
        found = envelope(event)
        if self._type is not None and found["detail-type"] != self._type:
            return None
        return found if self._pattern is None or self._pattern.matches(found) else None


def select_events(
    database: Database, selection: Selection, after: int, limit: int | None = None
) -> tuple[list[SelectedEvent], int]:
    """The selected events after the number `after`, oldest first, and the number to go on after."""
    found: list[SelectedEvent] = []
    # Not more than are wanted: each may have 200 KiB, and what is read beyond is read again.
    size = _ROWS if limit is None else min(limit, _ROWS)
    while True:
        with database.read() as connection:
            rows = outbox.page(connection, after, size)
        for row in rows:
            after = row.sequence
            taken = selection.take(row)
            if taken is not None:
                found.append(SelectedEvent(row.sequence, taken))
                if len(found) == limit:
                    return found, after
        if len(rows) < size:
            return found, after
