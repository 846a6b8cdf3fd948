"""The batching writer: what reads have to leave behind (pull times, layers that a push counts on, what was pulled).

A read puts a note here and is done. The notes are written together, a moment later, in one transaction; whoever must
see them flushes first. Nothing is lost on a clean stop. Notes are facts of convenience: a crash may cost the last
moment's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ecrsim.core.db import Database
from ecrsim.core.errors import ServiceError

log = logging.getLogger("ecrsim.batch")

#: Notes of one kind that are kept while they cannot be written; the newest are.
_MOST = 50_000

#: Sums may wait so many times longer than other notes: each pull has one, and a write transaction is not to follow.
_PATIENCE = 5

#: Writes the notes of one kind: key → value.
Applier = Callable[[Connection, dict[Hashable, Any]], None]


class Sum(NamedTuple):
    """A note that adds up: of one key, the sum of all is written."""

    times: int
    size: int


class BatchingWriter:
    """Collects notes by kind and key; the last value of a key wins, and sums add up."""

    def __init__(self, database: Database, delay: float = 0.2) -> None:
        self._database = database
        self._delay = delay
        self._notes: dict[Applier, dict[Hashable, Any]] = {}
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._due = 0.0
        self._closed = False

    def note(self, applier: Applier, key: Hashable, value: Any) -> None:
        with self._lock:
            self._notes.setdefault(applier, {})[key] = value
            self._flush_in(self._delay)

    def add(self, applier: Applier, key: Hashable, times: int, size: int) -> None:
        """Note a sum. `applier` is given a `Sum` for each key."""
        with self._lock:
            kept = self._notes.setdefault(applier, {})
            known = kept.get(key)
            kept[key] = Sum(times, size) if known is None else Sum(known.times + times, known.size + size)
            self._flush_in(_PATIENCE * self._delay)

    def _flush_in(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        if self._timer is not None and due < self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and not self._closed:
            self._due = due
            self._timer = threading.Timer(seconds, self._flush_quietly)
            self._timer.daemon = True
            self._timer.start()

    def flush(self, applier: Applier | None = None) -> None:
        """Write all notes now, or wait until whoever is writing them has done so. Cheap when there are none.

        With `applier` only when there are notes of its kind. Who has a read transaction open does not see what was
        written: release it before.

        Notes that cannot be written stay until they can be, so that no reader is refused for them: on a full disk it
        sees the pull times of before.
        """
        waiting = self._notes if applier is None else applier in self._notes
        if not waiting and not self._flushing.locked():
            return
        self._database.may_wait()
        with self._flushing:
            with self._lock:
                notes, self._notes = self._notes, {}
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            try:
                self._write(notes)
            except ServiceError as error:
                log.warning("pulls were not recorded%s: %s", "" if self._closed else " yet", error.message)
                self._keep(notes)

    def wait_for_others(self) -> None:
        """Until every other worker must have written what it had noted before now."""
        time.sleep(self._delay * 1.5)

    def _write(self, notes: dict[Applier, dict[Hashable, Any]]) -> None:
        if notes:
            # What notes change is a column of its own; only two who write the same rows would wait for each other.
            with self._database.write("notes") as connection:
                for applier, values in notes.items():
                    applier(connection, values)

    def _keep(self, notes: dict[Applier, dict[Hashable, Any]]) -> None:
        with self._lock:
            for applier, values in notes.items():
                kept = values | self._notes.get(applier, {})
                for key in values.keys() & self._notes.get(applier, {}).keys():
                    if isinstance(values[key], Sum):
                        kept[key] = Sum(values[key].times + kept[key].times, values[key].size + kept[key].size)
                self._notes[applier] = dict(list(kept.items())[-_MOST:])
            self._flush_in(25 * self._delay)

    def _flush_quietly(self) -> None:
        try:
            self.flush()
        except Exception:
            log.exception("pulls were not recorded")

    def close(self) -> None:
        self._closed = True
        self._flush_quietly()
