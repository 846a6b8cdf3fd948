"""The clock of a running ecrsim: advance, clock; and back to the beginning: reset."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from ecrsim.config import Config
from ecrsim.core.printable import printable
from ecrsim.remote import RemoteError, ask

#: Jobs that are listed one by one; more are counted.
_LISTED = 20


def advance(config: Config, options: argparse.Namespace) -> int:
    """Prints the new time, and what ran on the way. However long that takes."""
    found = ask(config, "POST", "/_ecrsim/clock/advance", {"seconds": options.duration}, timeout=None)
    print(_shown(found))
    ran = found["ran"]
    if len(ran) <= _LISTED:
        for each in ran:
            print(f"{each['at']} {_described(config, each)}")
    else:
        for line, number in Counter(_described(config, each) for each in ran).items():
            print(f"{number} × {line}")  # noqa: RUF001 - times
    return 0


def _described(config: Config, ran: dict[str, Any]) -> str:
    """`evaluate-lifecycle-policy app`; account and region where they are not the default."""
    place = "" if (ran["account"], ran["region"]) == (config.account, config.region) else "{account}/{region}"
    parts = [place.format_map(ran), ran["payload"].get("repository_name") or ""]
    what = " ".join(part for part in (ran["kind"], "/".join(part for part in parts if part)) if part)
    return printable(what if ran["error"] is None else f"{what}: failed: {ran['error']}")


def clock(config: Config, options: argparse.Namespace) -> int:
    """Prints what the clock shows, after it was frozen or given back to the real time."""
    if options.time is not None and options.mode != "freeze":
        raise RemoteError(f"a time goes with freeze alone: ecrsim clock freeze {options.time}")
    match options.mode:
        case "freeze":
            now = {} if options.time is None else {"now": options.time}
            found = ask(config, "PUT", "/_ecrsim/clock", {"mode": "frozen", **now})
        case "real":
            found = ask(config, "PUT", "/_ecrsim/clock", {"mode": "real"})
        case _:
            found = ask(config, "GET", "/_ecrsim/clock")
    print(_shown(found))
    return 0


def _shown(found: dict[str, Any]) -> str:
    return f"{found['now']} {found['mode']}"


def reset(config: Config, _: argparse.Namespace) -> int:
    """Forgets every registry, and what the clock was turned to."""
    ask(config, "POST", "/_ecrsim/reset", timeout=None)
    print("ecrsim is empty")
    return 0
