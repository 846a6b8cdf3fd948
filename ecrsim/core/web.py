"""A request and an answer: what both planes and the routes in front of Flask know of HTTP.

Nothing here knows the server. `ecrsim serve` makes a Request of what granian hands over (`door/`), a test and
werkzeug's server one of a WSGI environment (`of_wsgi`). Flask's own objects cost four fifths of a small answer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, BinaryIO, Generic, Literal, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import parse_qs

from ecrsim.blobs.base import CHUNK, ByteSource, Sink
from ecrsim.core.numbers import whole_or_more
from ecrsim.core.peer import Arrival, Forwarded, arrival

Headers = list[tuple[str, str]]

#: Where work is done under `ecrsim serve`. Short reads: on the loop that all connections share. What waits for a lock
#: or a commit: on the thread of writers. What hashes and moves bytes, what computes long, and what waits for a store
#: that is behind a network: on threads of their own.
Runs = Literal["loop", "writer", "bytes", "long", "remote"]

#: In seconds, with an answer 503.
RETRY_LATER = ("Retry-After", "1")
_T = TypeVar("_T")


def runs_where(runs: Runs, *, waits: bool) -> Runs:
    """Where work that asks the blob store runs: as it says, or where a store behind a network is waited for."""
    return "remote" if waits and runs != "bytes" else runs


_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Pieces(Protocol):
    """A body that is sent piece by piece, and closed afterwards."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class FilePart:
    """`length` bytes of an open file from `first` on, as a body. A server may send them by the file's descriptor.

    Not a generator: one that was never begun would leave the file open when the server closes it.
    """

    def __init__(self, file: BinaryIO, first: int, length: int) -> None:
        self.file, self.first, self.length = file, first, length
        self._left = length
        if first:
            file.seek(first)

    def __iter__(self) -> FilePart:
        return self

    def __next__(self) -> bytes:
        piece = self.file.read(min(1 << 18, self._left)) if self._left else b""
        if not piece:
            self.close()
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._left = 0
        self.file.close()


class Feed:
    """A body without an end: what `look` finds, again and again, until it gives None.

    A server that has a loop looks every `pause` seconds and needs no thread in between; others iterate, and wait with
    `wait(pause)`, which tells whether ecrsim is stopping. `close` is called when the client has left.
    """

    #: Whether it ends by itself. One that does not is looked at, when ecrsim stops, for a client that takes nothing.
    ends = False
    room = 1 << 18  # bytes that may be on their way to the client when it goes on

    def __init__(
        self, look: Callable[[], bytes | None], wait: Callable[[float], bool], pause: float, close: Callable[[], None]
    ) -> None:
        self.look, self.pause, self.close = look, pause, close
        self._wait = wait

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self.look()) is not None:
            if piece:
                yield piece
            else:
                self._wait(self.pause)


class Answer(NamedTuple):
    """Status, headers and body."""

    status: int
    headers: Headers
    body: bytes | Pieces = b""

    @property
    def status_line(self) -> str:
        return _REASONS.get(self.status) or f"{self.status} Unknown"


class RequestRefused(Exception):
    """The server could not read a request: a cut or malformed body (400), a slow one (408), large headers (431)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


#: What takes a body while it comes: it yields the sink that the body is to be written to, and goes on when all of it
#: was; what went wrong is raised at that place. The answer is what it returns.
Steps = Generator[Sink, None, Answer]


class Work(NamedTuple):
    """A request that was looked at: where it is worked on, and how.

    `takes`: bytes of a body that are read whole before, 0 where none is wanted; one that is longer is not read to its
    end. `perform` gives the answer; where the body is to come meanwhile, the steps to it.
    """

    runs: Runs
    takes: int
    perform: Callable[[], Answer | Steps]


def follow(steps: Steps, body: ByteSource) -> Answer:
    """Take the steps to an answer with a body that is read here and now."""
    try:
        sink = next(steps)
        while True:
            try:
                while piece := body.read(CHUNK):
                    sink.write(piece)
            except Exception as error:  # noqa: BLE001 - the steps say what becomes of it
                sink = steps.throw(error)
            else:
                sink = next(steps)
    except StopIteration as end:
        return cast(Answer, end.value)


#: Bytes of an unwanted body that are read before the answer; a socket's buffer holds more than that.
SMALL = 1 << 16
#: Bytes of an unwanted body that are read after the answer. A client that is still sending must not find the
#: connection reset: it would report that, and never read the answer.
PATIENCE = 1 << 30


class Body:
    """The body of a request. Never read beyond its Content-Length: servers need not mark its end there (PEP 3333)."""

    __slots__ = ("_left", "_source", "begun", "ended")

    def __init__(self, source: ByteSource, length: int | None) -> None:
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
        piece = self._source.read(size if self._left is None else min(size, self._left))
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
            while limit > 0 and (piece := self.read(min(limit, SMALL))):
                limit -= len(piece)
        except OSError:  # the client is gone
            self.ended = True


class once(Generic[_T]):  # noqa: N801 - as `functools.cached_property`, which takes a lock before Python 3.12
    """A property that is computed once."""

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self._compute = compute

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, _owner: type) -> _T:
        found = instance.__dict__[self._name] = self._compute(instance)
        return found


class Request:
    """A request: its line, its headers by lower-case name (repeated ones joined by commas), and where it came from.

    `peer` is the address of who opened the connection and `via` the scheme that it came by: what the server saw, not
    what a header says. `source` is where the body is read from.
    """

    def __init__(
        self,
        method: str,
        path: str,
        query_text: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        peer: str = "127.0.0.1",
        via: str = "http",
        source: ByteSource | None = None,
        trusted_proxies: int = 0,
    ) -> None:
        self.method, self.path, self.query_text = method, path, query_text
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.peer, self.via, self._trusted_proxies = peer, via, trusted_proxies
        self._source = source
        #: Bytes of a body that was read elsewhere.
        self.body_size = 0
        #: What was fetched for the request (`core/misses.py`), where the server does the work again; else None.
        self.fetched: dict[Any, Any] | None = None
        self._whole: bytes | None = None  # as it was read to its end

    @classmethod
    def of_wsgi(cls, environ: Mapping[str, Any], *, trusted_proxies: int = 0) -> Request:
        """The request of a WSGI environment."""
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                headers[name.replace("_", "-").lower()] = environ[name]
        headers.setdefault("host", environ.get("SERVER_NAME") or "localhost")
        return cls(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ.get("QUERY_STRING") or "",
            headers,
            peer=environ.get("REMOTE_ADDR") or "127.0.0.1",
            via=environ.get("wsgi.url_scheme") or "http",
            source=environ.get("wsgi.input"),
            trusted_proxies=trusted_proxies,
        )

    def to_wsgi(self, content: bytes) -> dict[str, Any]:
        """A WSGI environment, for Flask. `content` is the body, which was read."""
        name, _, port = self.host.rpartition(":")
        if not port.isdigit():
            name, port = self.host, "443" if self.scheme == "https" else "80"
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return environ | {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path.encode().decode("latin-1"),
            "QUERY_STRING": self.query_text,
            "CONTENT_TYPE": self.content_type or "",
            "CONTENT_LENGTH": str(len(content)),
            "REMOTE_ADDR": self.peer,
            "SERVER_NAME": name,
            "SERVER_PORT": port,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(content),
            "wsgi.input_terminated": True,
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }

    def header(self, name: str) -> str | None:
        """By its name in lower case: `content-range`."""
        return self.headers.get(name)

    @once
    def arrival(self) -> Arrival:
        """Who sent the request, how, and to which name."""
        forwarded = Forwarded(
            self.header("x-forwarded-for"), self.header("x-forwarded-proto"), self.header("x-forwarded-host")
        )
        return arrival(self.peer, self.via, self.header("host"), forwarded, self._trusted_proxies)

    @property
    def source_ip(self) -> str:
        return self.arrival.address

    @property
    def is_secure(self) -> bool:
        """Whether it came by HTTPS, for all that is known: no name that the client chose makes it so."""
        return self.arrival.scheme == "https"

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type") or None

    @once
    def content_length(self) -> int | None:
        """None when the body is chunked or there is none."""
        text = self.headers.get("content-length")
        return whole_or_more(text) if text else None

    @once
    def is_chunked(self) -> bool:
        return "chunked" in (self.headers.get("transfer-encoding") or "").lower()

    @property
    def has_body(self) -> bool:
        return self.is_chunked or bool(self.content_length)

    @property
    def waits_to_be_asked(self) -> bool:
        """The client sends its body when it was asked for it, by 100 (Continue)."""
        return (self.header("expect") or "").lower() == "100-continue"

    @once
    def body(self) -> Body:
        length = None if self.is_chunked else self.content_length or 0
        return Body(io.BytesIO() if self._source is None else self._source, length)

    def holds(self, content: bytes) -> None:
        """The body was read elsewhere: this is it, or as much of it as anybody may ask for."""
        self._source, self.body_size, self._whole = io.BytesIO(content), len(content), None
        self.body = Body(self._source, len(content))

    @once
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.query_text, keep_blank_values=True) if self.query_text else {}

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
        return self.arrival.scheme

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    def read(self, limit: int) -> bytes | None:
        """The whole body; None when it is longer than `limit` bytes. Work that is done again gets it again."""
        if self._whole is None and (self.content_length or 0) <= limit:
            pieces, size = [], 0
            while size <= limit and (piece := self.body.read(min(limit + 1 - size, 1 << 20))):
                pieces.append(piece)
                size += len(piece)
            self._whole = b"".join(pieces) if size <= limit else None
        return self._whole

    def settle(self, answer: Answer) -> Answer:
        """`answer`, given so that the connection stays in order: what is left of the body is read and dropped.

        For servers whose bodies are read where the work is done.
        """
        if not self.has_body or self.body.ended:
            return answer
        if not self.body.begun and self.waits_to_be_asked:
            # The client asks before it sends; that the body is not wanted is an answer.
            answer.headers.append(("Connection", "close"))
            return answer
        left = self.body.left
        if left is not None and left <= SMALL:
            self.body.skip(left)
            return answer
        if left is None or left > PATIENCE:
            answer.headers.append(("Connection", "close"))
        return answer._replace(body=self._answer_first(answer.body))

    def _answer_first(self, content: bytes | Iterable[bytes]) -> Generator[bytes, None, None]:
        if isinstance(content, bytes):
            yield content
        else:
            yield from content
        self.body.skip(PATIENCE)
