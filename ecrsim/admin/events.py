"""Admin routes of events: the outbox as EventBridge would deliver it, in pages and as a live stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from ecrsim.admin.arguments import check_query, number
from ecrsim.core import outbox
from ecrsim.core.numbers import whole
from ecrsim.core.runtime import Runtime
from ecrsim.core.web import Feed
from ecrsim.delivery.pattern import PatternError
from ecrsim.delivery.selection import Selection, select_events

_MAX_PAGE = 1000
#: Bytes after which a page ends, and events that are read at once, by a stream as well: each may have 200 KiB.
_PAGE_BYTES, _AT_ONCE = 16 * 1024 * 1024, 50
#: Seconds between two looks at the outbox, and looks after which a silent stream says that it lives.
_GLANCE, _SILENCE = 0.2, 50
#: Streams of one worker.
_STREAMS = 16
_FILTERS = ("type", "repository", "account", "region")
_PARAMETERS = (*_FILTERS, "pattern", "after", "limit")


def event_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("events", __name__, url_prefix="/_ecrsim")
    streams: Iterator[int] = count()
    open_streams: set[int] = set()

    @routes.get("/events")
    def get_events() -> Response:
        """Events after the number `after` that pass the filters, oldest first, and the number to go on after."""
        selection = _selection()
        after, limit = number("after", 0), min(max(number("limit", 100), 1), _MAX_PAGE)
        if request.accept_mimetypes.best == "text/event-stream":
            return stream_from(selection, after)
        entries: list[bytes] = []
        while len(entries) < limit and sum(map(len, entries)) < _PAGE_BYTES:
            wanted = min(_AT_ONCE, limit - len(entries))
            found, after = select_events(runtime.database, selection, after, wanted)
            entries += (orjson.dumps({"sequence": entry.sequence, "event": entry.envelope}) for entry in found)
            if len(found) < wanted:
                break
        return Response(b'{"events":[%s],"next":%d}' % (b",".join(entries), after), mimetype="application/json")

    @routes.get("/events/stream")
    def stream_events() -> Response:
        """The same as server-sent events, and then those that are still to come; without `after` only these."""
        selection = _selection()
        with runtime.database.read() as connection:
            newest = outbox.newest(connection)
        if "Last-Event-ID" in request.headers:
            after = whole(request.headers["Last-Event-ID"]) or 0
            # Of an outbox that was there before this one: all that is in this one is news.
            after = after if after <= newest else 0
        else:
            after = number("after", newest)
        return stream_from(selection, after)

    def stream_from(selection: Selection, after: int) -> Response:
        if len(open_streams) >= _STREAMS:
            raise ServiceUnavailable(f"{_STREAMS} streams are open already")
        name = next(streams)
        open_streams.add(name)
        look = _Stream(runtime, selection, after).look
        feed = Feed(look, runtime.stopping.wait, _GLANCE, lambda: open_streams.discard(name))
        answer = Response(mimetype="text/event-stream", direct_passthrough=True)
        answer.response = feed
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return routes


def _selection() -> Selection:
    """The filters of a request: `type` (detail-type), `repository`, `account`, `region`, and an event `pattern`."""
    check_query(*_PARAMETERS)
    arguments = request.args
    try:
        pattern: Any = orjson.loads(arguments["pattern"]) if "pattern" in arguments else None
        if "pattern" in arguments and not isinstance(pattern, dict):
            raise BadRequest("pattern is not a JSON object")
        return Selection(**{name: arguments.get(name) for name in _FILTERS}, pattern=pattern)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"pattern is not JSON: {error}") from None
    except PatternError as error:
        raise BadRequest(str(error)) from None


class _Stream:
    """One client's place in the outbox."""

    def __init__(self, runtime: Runtime, selection: Selection, after: int) -> None:
        self._runtime, self._selection, self._after = runtime, selection, after
        self._silent: int | None = None

    def look(self) -> bytes | None:
        """The events since the last look, as lines of the stream; None when ecrsim stops."""
        if self._silent is None:
            self._silent = 0
            # A number without data is no event, but it is where a client goes on that has to come again.
            return b"id: %d\n\n" % self._after
        if self._runtime.stopping.is_set():
            return None
        found, self._after = select_events(self._runtime.database, self._selection, self._after, _AT_ONCE)
        self._silent = 0 if found else self._silent + 1
        if self._silent >= _SILENCE:
            # A client that has left is noticed by writing to it.
            self._silent = 0
            return b"id: %d\n\n" % self._after
        return b"".join(b"id: %d\ndata: %s\n\n" % (each.sequence, orjson.dumps(each.envelope)) for each in found)
