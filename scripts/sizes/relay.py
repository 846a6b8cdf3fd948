"""A relay between a node and PostgreSQL that counts what passes: bytes both ways, statements, connections."""

from __future__ import annotations

import contextlib
import socket
import threading

#: Messages of PostgreSQL's protocol by which a client has a statement run: Query and Execute.
_RUN = (b"Q", b"E")


class Counts:
    """What has passed so far; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes = self.statements = self.connections = self.most_connections = 0

    def passed(self, size: int, statements: int = 0) -> None:
        with self._lock:
            self.bytes += size
            self.statements += statements

    def changed(self, connections: int) -> None:
        with self._lock:
            self.connections += connections
            self.most_connections = max(self.most_connections, self.connections)


class Relay:
    """Listens on a port of its own and passes everything on to the server."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.counts = Counts()
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.counts.changed(1)
                threading.Thread(target=self._forth, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(client, server), daemon=True).start()

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                self.counts.passed(len(data))
                client.sendall(data)
        client.close()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        is_started, waiting = False, b""
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                waiting += data
                statements = 0
                # Each message has a type and a length, but the first one, and a question for TLS, which have no type.
                while len(waiting) >= 5:
                    begin = 1 if is_started else 0
                    size = begin + int.from_bytes(waiting[begin : begin + 4], "big")
                    if len(waiting) < size:
                        break
                    if is_started:
                        statements += waiting[:1] in _RUN
                    elif waiting[4:8] == (196608).to_bytes(4, "big"):
                        is_started = True
                    waiting = waiting[size:]
                self.counts.passed(len(data), statements)
                server.sendall(data)
        server.close()
        self.counts.changed(-1)
