"""Rights that one holder has among all processes over a PostgreSQL database, and words that all of them read.

A right is an advisory lock of a session: the server frees it when the connection ends, as that of a process that was
killed does. One connection of a process holds all of its rights; inside of the process a set of names tells its
threads apart. Who waits asks again and again, so that nobody keeps the connection from the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from ecrsim.core.words import own_word

log = logging.getLogger("ecrsim.database")

#: Seconds between two questions of one who waits, at first and at most.
_SOON, _LATER = 0.002, 0.05

#: Makes a connection of its own.
Connect = Callable[[], "psycopg.Connection[Any]"]


def key_of(schema: str, name: str) -> int:
    """The number of an advisory lock: 64 bits, signed."""
    return int.from_bytes(hashlib.sha256(f"ecrsim {schema} {name}".encode()).digest()[:8], "big", signed=True)


class Right:
    """A right that is held until `release`."""

    def __init__(self, rights: Rights, name: str) -> None:
        self._rights, self._name = rights, name

    def is_held(self) -> bool:
        """False once the connection was lost: the server has given the right to whoever asked next."""
        return self._rights.is_held(self._name, self)

    def release(self) -> None:
        self._rights.release(self._name, self)


class Rights:
    """All rights of one process."""

    def __init__(self, schema: str, connect: Connect) -> None:
        self._schema, self._connect = schema, connect
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._held: dict[str, Right] = {}

    def hold(self, name: str, *, wait: bool) -> Right | None:
        """None without `wait` when somebody else has it. psycopg.Error when the server is gone."""
        pause = _SOON
        while (found := self._try(name)) is None and wait:
            time.sleep(pause)
            pause = min(2 * pause, _LATER)
        return found

    def _try(self, name: str) -> Right | None:
        with self._lock:
            if self._connection is None or self._connection.broken or self._connection.closed:
                # With the connection the server has freed whatever was held by it.
                self._held.clear()
                self._connection = self._connect()
            if name in self._held:
                return None
            (got,) = self._ask("SELECT pg_try_advisory_lock(%s)", name)
            if not got:
                return None
            right = self._held[name] = Right(self, name)
            return right

    def is_held(self, name: str, right: Right) -> bool:
        with self._lock:
            if self._connection is None or self._held.get(name) is not right:
                return False
            try:
                self._connection.execute("SELECT 1")
            except psycopg.Error:
                self._held.clear()
                self._connection.close()
                return False
            return True

    def release(self, name: str, right: Right) -> None:
        """Nothing when it was lost already."""
        with self._lock:
            if self._held.get(name) is not right:
                return
            del self._held[name]
            with contextlib.suppress(psycopg.Error):
                self._ask("SELECT pg_advisory_unlock(%s)", name)

    def _ask(self, statement: str, name: str) -> Any:
        if self._connection is None:
            return (None,)
        return self._connection.execute(statement, (key_of(self._schema, name),)).fetchone()

    def close(self) -> None:
        with self._lock:
            self._held.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class Word:
    """Eight bytes, as `core/words.py` has them: `word[0]` is read from memory, and set for all processes."""

    def __init__(self, tell: Callable[[int], int], value: int) -> None:
        self._word = own_word(value)
        self._tell = tell
        self._lock = threading.Lock()
        #: How often anybody has set it, as far as is known here.
        self._count = tell(value)

    def __getitem__(self, index: int) -> int:
        return int(self._word[index])

    def __setitem__(self, index: int, value: int) -> None:
        self._word[index] = value
        # What others said before is heard while this is told: it must not stay.
        self.hear(self._tell(value), value)

    def hear(self, count: int, value: int) -> None:
        """What is late, or one's own, is known already."""
        with self._lock:
            if count > self._count:
                self._count = count
                self._word[0] = value


#: The word as a property, "COUNT VALUE", set and told of in one transaction.
_SET = """
WITH kept AS (
    INSERT INTO properties (name, value) VALUES (%(key)s, '1 ' || %(value)s)
    ON CONFLICT (name) DO UPDATE
    SET value = CAST(CAST(split_part(properties.value, ' ', 1) AS BIGINT) + 1 AS TEXT) || ' ' || %(value)s
    RETURNING value
)
SELECT split_part(value, ' ', 1), pg_notify(%(channel)s, %(name)s || ' ' || value) FROM kept
"""


class Words:
    """The words of one process, and a thread that hears what others set them to."""

    def __init__(self, schema: str, connect: Connect) -> None:
        self._connect = connect
        self._channel = f"ecrsim_{schema}"
        self._words: dict[str, Word] = {}
        self._listening: psycopg.Connection[Any] | None = None
        self._telling: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def word(self, name: str, value: int) -> Word:
        """psycopg.Error when the server is gone."""
        found = self._words[name] = Word(partial(self._tell, name), value)
        if self._listening is None:
            self._listening = self._listen()
            threading.Thread(target=self._hear, name="words", daemon=True).start()
        return found

    def _tell(self, name: str, value: int) -> int:
        given = {"key": f"word:{name}", "value": str(value), "channel": self._channel, "name": name}
        with self._lock:
            for is_last in (False, True):
                if self._telling is None or self._telling.broken or self._telling.closed:
                    self._telling = self._connect()
                try:
                    row = self._telling.execute(_SET, given).fetchone()
                except psycopg.OperationalError:
                    if is_last or not self._telling.broken:
                        raise
                else:
                    return int(row[0]) if row else 0
        return 0

    def _listen(self) -> psycopg.Connection[Any]:
        connection = self._connect()
        connection.execute(f'LISTEN "{self._channel}"')
        # What was said while nobody listened.
        for name, word in self._words.items():
            row = connection.execute("SELECT value FROM properties WHERE name = %s", (f"word:{name}",)).fetchone()
            if row is not None:
                word.hear(*map(int, row[0].split()))
        return connection

    def _hear(self) -> None:
        while not self._is_closed:
            try:
                if self._listening is None or self._listening.closed or self._listening.broken:
                    self._listening = self._listen()
                for told in self._listening.notifies(timeout=1):
                    name, count, value = told.payload.split()
                    if name in self._words:
                        self._words[name].hear(int(count), int(value))
            except psycopg.Error as error:
                if not self._is_closed:
                    log.warning("nothing is heard of other processes: %s", str(error).strip())
                    time.sleep(1)

    def close(self) -> None:
        self._is_closed = True
        for connection in (self._listening, self._telling):
            if connection is not None:
                connection.close()
