"""The RSGI application of one worker: turns granian's scope and protocol into `Request`, and sends `Answer`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from granian._granian import RSGIProtocolClosed as ProtocolClosed
from granian._granian import RSGIProtocolError as ProtocolError

from ecrsim.app import Application
from ecrsim.core.db import MustWait
from ecrsim.core.misses import Flight, NotYet
from ecrsim.core.peer import canonical
from ecrsim.core.web import (
    PATIENCE,
    SMALL,
    Answer,
    Feed,
    FilePart,
    Headers,
    Request,
    RequestRefused,
    Runs,
    Steps,
    Work,
    runs_where,
)
from ecrsim.door.crew import Crew
from ecrsim.door.held import HeldFiles
from ecrsim.door.incoming import Incoming, follow
from ecrsim.door.outgoing import Outgoing
from ecrsim.door.pace import Pace
from ecrsim.door.relayed import Relayed, relays_from
from ecrsim.door.stalled import let_go_at
from ecrsim.door.watchdog import Watchdog

log = logging.getLogger("ecrsim.door")

#: Seconds between two looks whether a client has taken what it was given: at first, and at most.
_GLANCE, _LONG_GLANCE = 0.001, 0.128
_FAILED = b"An internal error has occurred.\n"


class Door:
    """`started` is called with the loop once there is one."""

    def __init__(
        self, application: Application, relayed: Relayed | None, started: Callable[[asyncio.AbstractEventLoop], None]
    ) -> None:
        self._application = application
        self._config = application.runtime.config
        self._relayed = relayed
        self._relay_at = relays_from(self._config.host_to_ask)
        self._started = started
        self._files = HeldFiles()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        config = self._config
        self._loop = loop
        database, waits = self._application.runtime.database, self._application.runtime.blobs.waits
        self._writer = Crew(loop, "writer", database.writers)
        self._bytes = Crew(loop, "bytes", config.remote_threads if waits else config.threads)
        self._crews = {
            "writer": self._writer,
            "bytes": self._bytes,
            "long": Crew(loop, "long", config.threads),
            "remote": Crew(loop, "remote", config.remote_threads),
        }
        if database.readers:
            # Whoever waits for a server does so in a thread.
            self._crews["loop"] = Crew(loop, "reads", database.readers)
        self._reads_here = not database.readers
        self._pace = Pace(loop, config.body_grace, config.body_rate)
        database.never_wait_in(threading.get_ident())
        if config.loop_limit:
            Watchdog(config.loop_limit / 1000).start()
        # Once granian listens, which it does before the loop runs.
        loop.call_soon(let_go_at, config.port, config.write_timeout)
        self._started(loop)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        request = self._request(scope)
        incoming = Incoming(request, protocol, self._pace) if request.has_body else None
        try:
            if sum(map(len, request.headers.values())) > self._config.max_headers:
                raise RequestRefused(431, f"The headers are longer than {self._config.max_headers} bytes.")
            answer = await self._answer(request, incoming)
        except RequestRefused as error:
            answer = self._application.refuse(request, error)
            # What comes after half a body is no request.
            answer.headers.append(("Connection", "close"))
            incoming = None
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            answer = Answer(500, [("Content-Length", str(len(_FAILED)))], _FAILED)
        self._application.answered(request, answer)
        try:
            if incoming is None or incoming.ended or not await self._send_early(request, protocol, incoming, answer):
                await self._send(scope.client, protocol, answer)
        except (ProtocolClosed, ProtocolError):
            pass  # the client is gone
        except Exception:
            log.exception("the answer to %s %s cannot be sent", request.method, request.path)

    def _request(self, scope: Any) -> Request:
        items = scope.headers.items()
        headers = dict(items)
        if len(headers) != len(items):
            headers = {}
            for name, value in items:
                headers[name] = f"{headers[name]},{value}" if name in headers else value
        host, _, port = scope.client.rpartition(":")
        host = canonical(host.strip("[]"))
        is_relay = host == self._relay_at
        behind = self._relayed.find(int(port)) if self._relayed is not None and is_relay else None
        peer, via = (host, "http") if behind is None else behind
        return Request(
            scope.method,
            scope.path,
            scope.query_string,
            headers,
            peer=peer,
            via=via,
            trusted_proxies=self._config.trusted_proxies,
        )

    async def _answer(self, request: Request, incoming: Incoming | None) -> Answer:
        work = self._application.look(request)
        content = None
        if incoming is not None and work.takes:
            content = await incoming.whole(work.takes)
            if content is not None:
                request.holds(content)
        runs = work.runs
        if runs == "loop":
            # Reading through a large body is no short work.
            runs = "loop" if incoming is None or request.body_size <= SMALL else "long"
        request.fetched = {}
        while True:
            try:
                answer = await self._perform(work, runs)
                break
            except MustWait as elsewhere:
                runs = elsewhere.runs
            except NotYet as unfetched:
                await self._until_over(unfetched.flight)
            if content is not None:
                request.holds(content)  # again from its beginning
        if isinstance(answer, Answer):
            return answer
        if incoming is None:
            return await follow(answer, Incoming(request, None, self._pace), self._bytes)
        return await follow(answer, incoming, self._bytes)

    async def _perform(self, work: Work, runs: Runs) -> Answer | Steps:
        if runs == "loop" and self._reads_here:
            return work.perform()
        found: Answer | Steps = await self._crews[runs].run(work.perform)
        return found

    async def _until_over(self, flight: Flight) -> None:
        """However many requests wait for it, none has a thread."""
        over = self._loop.create_future()

        def settle() -> None:
            if not over.done():
                over.set_result(None)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(settle)

        flight.when_over(tell)
        await over

    async def _send_early(self, request: Request, protocol: Any, incoming: Incoming, answer: Answer) -> bool:
        """An answer to a body that is still coming, so that the connection stays in order: the rest is read.

        False when it is still to be sent.
        """
        left = incoming.left
        if not incoming.begun and request.waits_to_be_asked:
            # The client asks before it sends; that the body is not wanted is an answer.
            answer.headers.append(("Connection", "close"))
        elif left is not None and left <= SMALL:
            await incoming.skip(left)
        elif isinstance(answer.body, bytes):
            if left is None or left > PATIENCE:
                answer.headers.append(("Connection", "close"))
            transport = protocol.response_stream(answer.status, answer.headers)
            if answer.body:
                await transport.send_bytes(answer.body)
            # A client that is still sending must not find the connection reset: it would never read the answer.
            await incoming.skip(PATIENCE)
            return True
        return False

    async def _send(self, client: str, protocol: Any, answer: Answer) -> None:
        status, headers, body = answer
        if isinstance(body, bytes):
            if body:
                protocol.response_bytes(status, headers, body)
            else:
                protocol.response_empty(status, headers)
        elif isinstance(body, FilePart):
            self._send_file(protocol, status, headers, body)
        elif isinstance(body, Feed):
            await self._send_feed(client, protocol, answer, body)
        else:
            protocol.response_bytes(status, headers, await self._crews["long"].run(b"".join, body))
            body.close()

    def _send_file(self, protocol: Any, status: int, headers: Headers, part: FilePart) -> None:
        """By its descriptor: a blob that is deleted meanwhile is still there. The server opens it anew in a moment."""
        if not part.length:
            part.close()
            protocol.response_empty(status, headers)
            return
        path = self._files.hold(part.file, self._loop.time())
        # The end is the byte after the last one.
        protocol.response_file_range(status, headers, path, part.first, part.first + part.length)

    async def _send_feed(self, client: str, protocol: Any, answer: Answer, feed: Feed) -> None:
        runtime = self._application.runtime
        crew, stopping = self._crews[runs_where("long", waits=runtime.blobs.waits)], runtime.stopping
        with contextlib.ExitStack() as held:
            held.callback(feed.close)
            outgoing = await crew.run(Outgoing.to, client, self._config.port, feed.room)
            held.callback(outgoing.close)
            gone = asyncio.ensure_future(self._disconnected(protocol))
            held.callback(gone.cancel)
            transport = protocol.response_stream(answer.status, answer.headers)
            patience = _GLANCE
            while not gone.done():
                if not outgoing.has_room and (feed.ends or not stopping.is_set()):
                    await asyncio.wait([gone], timeout=patience)
                    patience = min(2 * patience, _LONG_GLANCE)
                    continue
                patience = _GLANCE
                piece = await crew.run(feed.look)
                if piece is None:
                    break
                if piece:
                    outgoing.said(len(piece))
                    await transport.send_bytes(piece)
                else:
                    await asyncio.wait([gone], timeout=feed.pause)

    @staticmethod
    async def _disconnected(protocol: Any) -> None:
        await protocol.client_disconnect()
