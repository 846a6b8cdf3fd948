"""The clock of a running ecrsim: advance, clock; and back to the beginning: reset."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ecrsim.config import Config
from ecrsim.core.printable import printable
from ecrsim.remote import RemoteError, address, ask

#: Jobs that are listed one by one; more are counted.
_LISTED = 20
#: Seconds between two looks at a clock that is being advanced.
_GLANCE = 0.5
#: Back to the beginning of a terminal's line, which is empty then.
_CLEARED = "\r\x1b[K"


def advance(config: Config, options: argparse.Namespace) -> int:
    """Prints the new time, and what ran on the way. However long that takes."""
    with _progress(config):
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


@contextlib.contextmanager
def _progress(config: Config) -> Iterator[None]:
    """Where somebody looks, and it takes long: a line of standard error says where the clock has come to."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    shown = threading.Thread(target=_show_clock, args=(config, over), daemon=True)
    shown.start()
    try:
        yield
    finally:
        over.set()
        shown.join()


def _show_clock(config: Config, over: threading.Event) -> None:
    is_shown = False
    while not over.wait(_GLANCE):
        with contextlib.suppress(RemoteError):
            now = ask(config, "GET", "/_ecrsim/clock")["now"]
            sys.stderr.write(f"{_CLEARED}advancing: {now}")
            sys.stderr.flush()
            is_shown = True
    if is_shown:
        sys.stderr.write(_CLEARED)
        sys.stderr.flush()


def reset(config: Config, options: argparse.Namespace) -> int:
    """Forgets every registry, and what the clock was turned to. A person is asked first, and a program is not."""
    if sys.stdin.isatty() and not options.yes:
        sys.stderr.write(f"Forget every repository, image and setting of the ecrsim on {address(config)}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise RemoteError("nothing was forgotten")
    ask(config, "POST", "/_ecrsim/reset", timeout=None)
    print("ecrsim is empty")
    return 0
