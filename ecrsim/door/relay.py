"""The doors beside the main one: ::1, and HTTPS. Bytes are passed on to the address that the server listens on.

The HTTP server takes one address and cannot choose a certificate by the name that a client asks for; a few lines of
asyncio can do both without knowing HTTP. They run in a thread of the parent process, which is otherwise idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading

from ecrsim.door.relayed import Relayed
from ecrsim.door.stalled import let_go

log = logging.getLogger("ecrsim.door.relay")

_PIECE = 1 << 18
#: Seconds in which a client must have taken what the server said before it stopped.
_PATIENCE = 5
#: Seconds for which a connection that has ended is remembered.
_REMEMBERED = 10
#: Seconds until the next try to let somebody in, when the system has no file or memory left.
_BREATH = 0.5


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            if writer.can_write_eof():
                writer.write_eof()
            else:
                writer.close()  # TLS has no half-close: the other direction has ended, or the client is gone


class Relay:
    """Doors that lead to a server's main one."""

    def __init__(self, host: str, port: int, relayed: Relayed, *, connections: int, write_timeout: int) -> None:
        self._host, self._port, self._relayed = host, port, relayed
        self._connections, self._write_timeout = connections, write_timeout
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._doors: set[asyncio.Task[None]] = set()
        self._relays: set[asyncio.Task[None]] = set()

    def open(self, address: str, port: int, context: ssl.SSLContext | None = None) -> None:
        """Listen at all that the address is a name of; OSError when one is taken or not there."""
        if not self._thread.is_alive():
            self._thread.start()
        with contextlib.ExitStack() as opened:
            listeners = []
            for family, _, _, _, place in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM):
                listener = opened.enter_context(socket.create_server(place, family=family, backlog=1024))
                listener.setblocking(False)
                let_go(listener, self._write_timeout)
                listeners.append(listener)
            opened.pop_all()
        for listener in listeners:
            self._loop.call_soon_threadsafe(self._serve, listener, context)

    def close(self) -> None:
        """Once the server behind has stopped: let nobody in, and pass on what it said to those who are."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _finish(self) -> None:
        for door in self._doors:
            door.cancel()
        if self._doors:
            await asyncio.wait(self._doors)
        if self._relays:
            await asyncio.wait(self._relays, timeout=_PATIENCE)

    def _serve(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        self._doors.add(self._loop.create_task(self._let_in(listener, context)))

    async def _let_in(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        """Whoever comes, who counts from then on: `asyncio.start_server` tells of nobody before TLS is agreed upon."""
        with listener:
            while True:
                try:
                    connection, _ = await self._loop.sock_accept(listener)
                except OSError as error:
                    log.warning("nobody can be let in: %s", error)
                    await asyncio.sleep(_BREATH)
                    continue
                if len(self._relays) >= self._connections:
                    connection.close()
                    continue
                relay = self._loop.create_task(self._enter(connection, context))
                self._relays.add(relay)
                relay.add_done_callback(self._relays.discard)

    async def _enter(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        reader = asyncio.StreamReader(limit=_PIECE)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
        except OSError:  # no TLS, or none in a minute
            connection.close()
            return
        await self._relay(reader, asyncio.StreamWriter(transport, protocol, reader, self._loop))

    async def _connect(self, writer: asyncio.StreamWriter) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server, which can look up for whom it is."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        inner = socket.socket(family, socket.SOCK_STREAM)
        try:
            inner.setblocking(False)
            inner.bind((self._host, 0))
            port = inner.getsockname()[1]
            peer, is_secure = writer.get_extra_info("peername")[0], writer.get_extra_info("ssl_object") is not None
            self._relayed.note(port, peer, is_secure=is_secure)
            await self._loop.sock_connect(inner, (self._host, self._port))
            return await asyncio.open_connection(sock=inner, limit=_PIECE)
        except BaseException:
            inner.close()
            raise

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await self._connect(writer)
        except OSError as error:
            log.warning("the server cannot be reached: %s", error)
            writer.close()
            return
        # When the client has sent all, that is passed on, and the answer may follow; the server's end is the end.
        inward = asyncio.ensure_future(_copy(reader, inner_writer))
        with contextlib.suppress(OSError, ssl.SSLError):
            await _copy(inner_reader, writer)
        inward.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, ssl.SSLError):
            await inward
        port = inner_writer.get_extra_info("sockname")[1]
        for side in (writer, inner_writer):
            side.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await side.wait_closed()
        # Requests that the server has read and not yet begun with are still this client's.
        self._loop.call_later(_REMEMBERED, self._relayed.forget, port)
