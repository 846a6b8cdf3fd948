"""Bytes on a socket: requests of HTTP/1.1 that were damaged, and what was never a request."""

from __future__ import annotations

import random
import socket
from typing import NamedTuple

from tests.fuzz.requests import Requests, Sent
from tests.fuzz.values import Known

#: Beginnings of other protocols, and requests that a server has to refuse or to read with care.
STRANGE = (
    b"",
    b"\r\n" * 40,
    b"\0" * 64,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 64,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"PROXY TCP4 203.0.113.1 203.0.113.2 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\x00\x0c" + b"\x7f\0\0\1" * 3,
    b"GET /v2/ HTTP/0.9\r\n\r\n",
    b"GET /v2/\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET http://[::1/v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //v2//_catalog?n=\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /_ecrsim/audit?\xff\xfe=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xfe\r\nX-\xe9: 1\r\n\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 2_000 + b"\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
    b"PUT /v2/app/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\n folded: yes\r\n\r\n",
    b"GET /v2/ HTTP/1.1\nHost: x\n\n",
    b"G\xc3\x89T /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
)


class Spoken(NamedTuple):
    """What is sent, in pieces; a pause of nothing lies between two."""

    pieces: tuple[bytes, ...]


class Bytes:
    """An endless supply of them, from one source of chance."""

    def __init__(self, chance: random.Random, token: str, port: int) -> None:
        self._chance = chance
        self._port = port
        self._requests = Requests(chance, Known(), token)

    def next(self) -> Spoken:
        values = self._requests.values
        if values.happens(25):
            data = self._chance.choice(STRANGE)
            return self._cut(values.spoiled(data) if data and values.happens(40) else data)
        data = self._written(self._requests.next())
        if values.happens(30):
            data += self._written(self._requests.next())
        return self._cut(values.spoiled(data) if values.happens(70) else data)

    def _cut(self, data: bytes) -> Spoken:
        """In one piece, in two, or byte by byte at its beginning."""
        at = self._chance.randrange(len(data) + 1)
        way = self._chance.randrange(6)
        if way == 0:
            return Spoken((data[:at], data[at:]))
        if way == 1:
            return Spoken((*(data[:30][number : number + 1] for number in range(30)), data[30:]))
        return Spoken((data,))

    def _written(self, sent: Sent) -> bytes:
        """The request as HTTP/1.1; the length is right, wrong or told by chunks."""
        headers = {"Host": f"localhost:{self._port}", **sent.headers}
        body, way = sent.body, self._chance.randrange(20)
        if way < 3:
            headers["Transfer-Encoding"] = "chunked"
            body = (
                b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:9], body[9:]) if piece)
                + b"0\r\n\r\n"
            )
        elif way < 5:
            headers["Content-Length"] = self._chance.choice(
                (str(len(body) + 5), str(len(body) // 2), "x", "1" * 25, "+3")
            )
        elif body or way < 12:
            headers["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{sent.method} {sent.path} HTTP/1.1\r\n{lines}\r\n"
        return head.encode("utf-8", "replace") + body


def exchange(port: int, spoken: Spoken, patience: float) -> bytes:
    """Everything that the server says until it closes, which it is told to do by the end of what it is sent.

    TimeoutError when it does not. A connection that it resets is closed.
    """
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        connection.settimeout(patience)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = []
        try:
            for piece in spoken.pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                found.append(piece)
        except TimeoutError:
            raise
        except OSError:  # it was reset: the server wants no more of it
            pass
        return b"".join(found)
