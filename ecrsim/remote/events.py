"""The events of a running ecrsim, as lines: those that there are, or those that come."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from ecrsim.config import Config
from ecrsim.core.printable import printable
from ecrsim.remote import RemoteError, Unreachable, answering, ask

_PAGE = 1000
#: Seconds of silence after which a stream, which says each ten that it lives, is dead.
_SILENCE = 30
#: Seconds between two attempts to come back to a stream.
_PAUSE = 0.5

Envelope = dict[str, Any]


def events(config: Config, options: argparse.Namespace) -> int:
    """Prints a line for each event. Ctrl-C and a reader that has seen enough are ends like any other."""
    wanted = {"type": options.type, "repository": options.repository, "pattern": options.pattern}
    filters = {name: value for name, value in wanted.items() if value is not None}
    find = _coming if options.follow else _present
    try:
        for sequence, event in find(config, filters, options.after):
            print(json.dumps(event) if options.json else line(sequence, event), flush=options.follow)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def line(sequence: int, event: Envelope) -> str:
    """`12 2026-01-31T12:00:00Z ECR Image Action app:latest PUSH`."""
    detail = event["detail"]
    parts = [str(sequence), event["time"], event["detail-type"], *_subject(detail)]
    return printable(" ".join(part for part in parts if part))


def _subject(detail: dict[str, Any]) -> tuple[str, str]:
    """The subject of the event, and its result."""
    if "action-type" in detail:
        tag = detail.get("image-tag")
        image = f":{tag}" if tag else f"@{detail['image-digest']}"
        return detail["repository-name"] + image, detail.get("target-storage-class") or detail["action-type"]
    details = detail.get("serviceEventDetails") or {}
    request = detail.get("requestParameters") or {}
    repository = details.get("repositoryName") or request.get("repositoryName") or ""
    tag = request.get("imageTag")
    return f"{repository}:{tag}" if tag else repository, detail.get("eventName", "")


def _present(config: Config, filters: dict[str, str], after: int | None) -> Iterator[tuple[int, Envelope]]:
    after = after or 0
    while True:
        query = urlencode({**filters, "after": after, "limit": _PAGE})
        found = ask(config, "GET", f"/_ecrsim/events?{query}")
        for entry in found["events"]:
            yield entry["sequence"], entry["event"]
        if found["next"] == after:
            return
        after = found["next"]


def _coming(config: Config, filters: dict[str, str], after: int | None) -> Iterator[tuple[int, Envelope]]:
    """Events as they come, for ever: while ecrsim restarts, it is waited for."""
    query = urlencode(filters if after is None else {**filters, "after": after})
    last: str | None = None
    is_lost = False
    while True:
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        try:
            path = f"/_ecrsim/events/stream?{query}"
            with answering(config, "GET", path, headers=headers, timeout=_SILENCE) as answer:
                is_lost = False
                for number, data in messages(answer):
                    last = number
                    if data:
                        yield int(number), json.loads(data)
        except Unreachable as error:
            if last is None:
                raise RemoteError(str(error)) from error
        if not is_lost:
            print("ecrsim: the connection was lost, and is tried again", file=sys.stderr)
            is_lost = True
        time.sleep(_PAUSE)


def messages(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Number and data of each server-sent message; data is empty where only the number has gone on."""
    found: dict[str, str] = {}
    for text in lines:
        field, _, value = text.decode().rstrip("\n").partition(": ")
        if field in ("id", "data"):
            found[field] = value
        elif text == b"\n" and "id" in found:
            yield found["id"], found.get("data", "")
            found = {}
