"""Turning the clock of a runtime: in the database first, so that a restart finds it as it was left."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import orjson
from sqlalchemy import Connection

from ecrsim.core.clock import END_OF_TIME, REAL, Clock, Setting, parse_iso
from ecrsim.core.db import Database
from ecrsim.core.properties import get_property, set_property

_CLOCK = "clock"
_STARTED = "clock:started"
_AT = re.compile(r"frozen@(.+)")


class ClockError(ValueError):
    """A setting of the clock that cannot be."""


class ClockSetMeanwhile(ClockError):
    """Somebody set the clock while it was advanced."""


def configured(text: str, now: int) -> Setting:
    """The setting `clock`: real, frozen, or frozen@TIME. ClockError."""
    if text in ("", "real"):
        return REAL
    if text == "frozen":
        return Setting(True, now)
    at = _AT.fullmatch(text)
    if at is None:
        raise ClockError(f"the clock is real, frozen or frozen@TIME, not {text}")
    return Setting(True, instant(at[1]))


def instant(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 time that a clock can show. ClockError."""
    try:
        moment = parse_iso(text)
    except (ValueError, OverflowError):
        raise ClockError(f"{text} is not a time such as 2026-01-31T12:00:00Z") from None
    return checked(moment)


def checked(moment: int) -> int:
    if not 0 <= moment < END_OF_TIME:
        raise ClockError("the clock shows times from 1970 to 9998")
    return moment


def open_clock(clock: Clock, database: Database, start: str, started: str) -> None:
    """Make the clock go as the database says, or as the setting `start` says at the start that `started` names.

    Workers of one start give one name: one that is started again later does not turn the clock back.
    """
    with database.write() as connection:
        if start and not (started and get_property(connection, _STARTED) == started):
            set_property(connection, _CLOCK, _text(configured(start, clock.unturned())))
            set_property(connection, _STARTED, started)
        text = get_property(connection, _CLOCK)
        if text is not None:
            clock.set(Setting(*orjson.loads(text)))
        clock.share(partial(database.word, "clock"))


def turn(
    clock: Clock,
    database: Database,
    setting: Setting,
    expected: Setting | None = None,
    also: Callable[[Connection], None] | None = None,
) -> None:
    """Let the clock go like this from now on, in every worker and after a restart, and do `also` in one transaction.

    ClockSetMeanwhile, and no change, when it does not go as `expected` any more.
    """
    before = clock.setting
    try:
        with database.write() as connection:
            text = get_property(connection, _CLOCK)
            if text is not None and (kept := Setting(*orjson.loads(text))) != before:
                # A turn that was not heard of yet: a server tells of it after its commit.
                clock.set(kept)
            before = clock.setting
            if expected not in (None, before):
                raise ClockSetMeanwhile("the clock was set by somebody else while it was advanced")
            set_property(connection, _CLOCK, _text(setting))
            if also is not None:
                also(connection)
            # Before the commit, since after it the next one may turn the clock.
            clock.set(setting)
    except BaseException:
        clock.set(before)
        raise


def _text(setting: Setting) -> str:
    return orjson.dumps(tuple(setting)).decode()
