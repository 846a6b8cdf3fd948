"""Commands that ask an ecrsim which is running: explain, policy minimal."""

from __future__ import annotations

import argparse
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from typing import Any

from ecrsim.config import Config
from ecrsim.core.clock import Clock

_AGO = re.compile(r"([0-9]+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class RemoteError(Exception):
    """It could not be asked, or would not answer."""


def explain(config: Config, options: argparse.Namespace) -> int:
    """Prints the decision and what made it. Exit code 0 when it is allowed, 3 when it is denied."""
    context: dict[str, list[str]] = {}
    for pair in options.context or ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise RemoteError(f"--context is KEY=VALUE, not {pair}")
        context.setdefault(key, []).append(value)
    asked = {"principal": options.principal, "action": options.action, "resource": options.resource}
    found = _ask(config, "POST", "/_ecrsim/explain", {**asked, "context": context})
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        _print_explanation(found)
    return 0 if found["allowed"] else 3


def _print_explanation(found: dict[str, Any]) -> None:
    print(f"{'allowed' if found['allowed'] else 'denied'}: {found['reason']}")
    if found["message"]:
        print(found["message"])
    if found["statement"]:
        print(json.dumps(found["statement"], indent=2))
    for change in found["changes"] or ():
        print(f"it would be allowed if you {change['description']}:")
        print(json.dumps(change["statement"], indent=2))


def minimal_policy(config: Config, options: argparse.Namespace) -> int:
    """Prints the least-privilege policy of what a principal did, ready to paste."""
    query = urllib.parse.urlencode({"principal": options.principal, "since": _since(options.since)})
    print(json.dumps(_ask(config, "GET", f"/_ecrsim/policy/minimal?{query}"), indent=2))
    return 0


def _since(text: str | None) -> int:
    """Epoch milliseconds of `2h` ago, or of an ISO 8601 time; 0 for all there is."""
    if text is None:
        return 0
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(Clock().now() - int(ago[1]) * _UNITS[ago[2]] * 1000, 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RemoteError(f"--since is a time such as 2026-01-31T12:00:00Z, or 30m, 12h, 7d; not {text}") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def _ask(config: Config, method: str, path: str, body: Any = None) -> Any:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.host, config.host)  # noqa: S104
    request = urllib.request.Request(
        f"http://{host}:{config.port}{path}", method=method, data=None if body is None else json.dumps(body).encode()
    )
    if config.admin_token:
        request.add_header("Authorization", f"Bearer {config.admin_token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RemoteError(_message(error.read()) or f"HTTP {error.code}") from error
    except OSError as error:
        raise RemoteError(f"no ecrsim answers on {host} port {config.port}: {error}") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
