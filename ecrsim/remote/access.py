"""Questions of access to a running ecrsim: explain, policy minimal."""

from __future__ import annotations

import argparse
import json
import urllib.parse
from datetime import UTC, datetime
from typing import Any

from ecrsim.config import Config
from ecrsim.core.clock import parse_iso
from ecrsim.core.printable import printable
from ecrsim.remote import RemoteError, ask
from ecrsim.remote.durations import seconds_of


def explain(config: Config, options: argparse.Namespace) -> int:
    """Prints the decision and what made it. Exit code 0 when it is allowed, 3 when it is denied."""
    context: dict[str, list[str]] = {}
    for pair in options.context or ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise RemoteError(f"--context is KEY=VALUE, not {pair}")
        context.setdefault(key, []).append(value)
    asked = {"principal": options.principal, "action": options.action, "resource": options.resource}
    found = ask(config, "POST", "/_ecrsim/explain", {**asked, "context": context})
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        _print_explanation(found)
    return 0 if found["allowed"] else 3


def _print_explanation(found: dict[str, Any]) -> None:
    print(printable(f"{'allowed' if found['allowed'] else 'denied'}: {found['reason']}"))
    if found["message"]:
        print(printable(found["message"]))
    if found["statement"]:
        print(json.dumps(found["statement"], indent=2))
    for change in found["changes"] or ():
        print(printable(f"it would be allowed if you {change['description']}:"))
        print(json.dumps(change["statement"], indent=2))


def minimal_policy(config: Config, options: argparse.Namespace) -> int:
    """Prints the least-privilege policy of what a principal did, ready to paste."""
    query = urllib.parse.urlencode({"principal": options.principal, "since": _since(config, options.since)})
    print(json.dumps(ask(config, "GET", f"/_ecrsim/policy/minimal?{query}"), indent=2))
    return 0


def _since(config: Config, text: str | None) -> int:
    """Epoch milliseconds of `2h` ago, or of an ISO 8601 time; 0 for all there is."""
    if text is None:
        return 0
    try:
        ago = seconds_of(text)
    except ValueError:
        pass
    else:
        # Ago by the clock of the one that is asked, which may have been turned.
        now = parse_iso(ask(config, "GET", "/_ecrsim/clock")["now"])
        return max(now - ago * 1000, 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RemoteError(f"--since is a time such as 2026-01-31T12:00:00Z, or 30m, 12h, 7d; not {text}") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
