"""A request and an answer, as thin as they can be over WSGI.

Both planes and the routes in front of Flask speak these; Flask's own objects cost four fifths of a small answer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import parse_qs

from ecrsim.core.numbers import whole_or_more
from ecrsim.core.peer import Arrival, Forwarded, arrival

Headers = list[tuple[str, str]]

_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Pieces(Protocol):
    """A body that is sent piece by piece, and closed afterwards."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Answer(NamedTuple):
    """Status, headers and body."""

    status: int
    headers: Headers
    body: bytes | Pieces = b""

    @property
    def status_line(self) -> str:
        return _REASONS.get(self.status) or f"{self.status} Unknown"


#: Bytes of a body that nobody wants that are read before the answer: less than what a socket holds anyway.
_SMALL = 1 << 16
#: Bytes of one that are read after the answer. A client that is still sending must not find the connection reset: it
#: would report that, and never read the answer.
_PATIENCE = 1 << 30


class Body:
    """The body of a request. Never read beyond its Content-Length: servers need not mark its end there (PEP 3333)."""

    __slots__ = ("_left", "_source", "begun", "ended")

    def __init__(self, source: Any, length: int | None) -> None:
        self._source = source
        #: Bytes that are still to come; None when only their end will tell.
        self._left = length
        self.begun = False
        self.ended = length == 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end, and where the client stopped."""
        if self.ended or size <= 0:
            return b""
        self.begun = True
        piece = cast(bytes, self._source.read(size if self._left is None else min(size, self._left)))
        if self._left is not None:
            self._left -= len(piece)
        self.ended = not piece or self._left == 0
        return piece

    @property
    def left(self) -> int | None:
        """Bytes that are still to come; None when nobody knows."""
        return 0 if self.ended else self._left

    def skip(self, limit: int) -> None:
        """Read up to `limit` bytes for nothing."""
        try:
            while limit > 0 and (piece := self.read(min(limit, _SMALL))):
                limit -= len(piece)
        except OSError:  # the client is gone
            self.ended = True


class Request:
    """What a WSGI server handed over."""

    def __init__(self, environ: dict[str, Any], trusted_proxies: int = 0, tls_port: int | None = None) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        self._trusted_proxies = trusted_proxies
        self._tls_port = tls_port

    def header(self, name: str) -> str | None:
        """By its CGI name: `CONTENT_RANGE`."""
        return cast("str | None", self.environ.get(f"HTTP_{name}"))

    def headers(self) -> dict[str, str]:
        """All headers, by lower-case name."""
        found = {
            name[5:].replace("_", "-").lower(): value
            for name, value in self.environ.items()
            if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if self.environ.get(name):
                found[name.replace("_", "-").lower()] = self.environ[name]
        return found

    @property
    def peer(self) -> str:
        """The address of who opened the connection: what the server saw, not what a header says."""
        return cast(str, self.environ.get("REMOTE_ADDR") or "127.0.0.1")

    @cached_property
    def arrival(self) -> Arrival:
        """Who sent the request, how, and to which name."""
        forwarded = Forwarded(
            self.header("X_FORWARDED_FOR"), self.header("X_FORWARDED_PROTO"), self.header("X_FORWARDED_HOST")
        )
        host = self.environ.get("HTTP_HOST") or self.environ.get("SERVER_NAME")
        scheme = self.environ.get("wsgi.url_scheme") or "http"
        return arrival(self.peer, scheme, host, forwarded, self._trusted_proxies)

    @property
    def source_ip(self) -> str:
        return self.arrival.address

    @property
    def is_secure(self) -> bool:
        """Whether it came by HTTPS, for all that is known: no name that the client chose makes it so."""
        return self.arrival.scheme == "https"

    @property
    def content_type(self) -> str | None:
        return self.environ.get("CONTENT_TYPE") or self.environ.get("HTTP_CONTENT_TYPE") or None

    @cached_property
    def content_length(self) -> int | None:
        """None when the body is chunked or there is none."""
        text = self.environ.get("CONTENT_LENGTH") or self.environ.get("HTTP_CONTENT_LENGTH")
        return whole_or_more(text) if text else None

    @cached_property
    def _is_chunked(self) -> bool:
        return "chunked" in (self.environ.get("HTTP_TRANSFER_ENCODING") or "").lower()

    @property
    def has_body(self) -> bool:
        return self._is_chunked or bool(self.content_length)

    @cached_property
    def body(self) -> Body:
        return Body(self.environ["wsgi.input"], None if self._is_chunked else self.content_length or 0)

    @property
    def query_text(self) -> str:
        """The query as it was sent."""
        return cast(str, self.environ.get("QUERY_STRING") or "")

    @cached_property
    def query(self) -> dict[str, list[str]]:
        text = self.environ.get("QUERY_STRING")
        return parse_qs(text, keep_blank_values=True) if text else {}

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None

    @property
    def host(self) -> str:
        """Host and port as the client wrote them; `localhost` where that is no host."""
        return self.arrival.host

    @property
    def scheme(self) -> str:
        """For URLs in answers alone. TLS ends before WSGI: who names the TLS port is answered with its URLs."""
        if self._tls_port is not None:
            _, _, port = self.host.rpartition(":")
            if port == str(self._tls_port) or (self._tls_port == 443 and not port.isdigit()):
                return "https"
        return self.arrival.scheme

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    def read(self, limit: int) -> bytes | None:
        """The whole body; None when it is longer than `limit` bytes."""
        if (self.content_length or 0) > limit:
            return None
        pieces, size = [], 0
        while size <= limit and (piece := self.body.read(min(limit + 1 - size, 1 << 20))):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces) if size <= limit else None

    def settle(self, answer: Answer) -> Answer:
        """`answer`, given so that the connection stays in order: what is left of the body is read and dropped."""
        if not self.has_body or self.body.ended:
            return answer
        if not self.body.begun and (self.header("EXPECT") or "").lower() == "100-continue":
            # The client asks before it sends; that the body is not wanted is an answer.
            answer.headers.append(("Connection", "close"))
            return answer
        left = self.body.left
        if left is not None and left <= _SMALL:
            self.body.skip(left)
            return answer
        if left is None or left > _PATIENCE:
            answer.headers.append(("Connection", "close"))
        return answer._replace(body=self._answer_first(answer.body))

    def _answer_first(self, content: bytes | Pieces) -> Generator[bytes, None, None]:
        if isinstance(content, bytes):
            yield content
        else:
            yield from content
        self.body.skip(_PATIENCE)
