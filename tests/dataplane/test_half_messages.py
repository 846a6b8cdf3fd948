"""Half messages, stalls and limits at the door of `ecrsim serve`: each is refused in the form of its plane.

A body that did not come whole changes nothing, but that an upload keeps what came; and nobody who waits keeps others
waiting.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from ecrsim import Ecrsim
from ecrsim.core.peer import canonical
from ecrsim.door.adapter import Door
from ecrsim.door.relayed import Relayed
from tests.delivery.receivers import wait_until
from tests.faults.client import OCI_MANIFEST, Answer, Client, manifest_of
from tests.faults.serving import Serving
from tests.pushing import digest_of

# Peers stall until a time is over.
pytestmark = pytest.mark.slow

LAYER = os.urandom(3 << 20)
KEY = "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0"


class Place(NamedTuple):
    serving: Serving
    client: Client

    def connect(self, *, buffer: int = 0) -> socket.socket:
        """A connection; `buffer`: bytes that its client takes before it reads."""
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(20)
        try:
            made.connect(("127.0.0.1", self.serving.port))
        except BaseException:
            made.close()
            raise
        return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server of little patience."""
    limits = {"body_grace": 1, "body_rate": 1_000_000, "write_timeout": 2, "header_timeout": 10, "max_headers": 8000}
    folder = tmp_path_factory.mktemp("halves")
    with Serving(folder / "data", workers=1, max_body=100_000, connections=2000, **limits) as serving:
        client = Client(serving.url, timeout=20)
        client.api("CreateRepository", repositoryName="app")
        assert client.push_layer("app", LAYER).status == 201
        client.close()
        yield serving
        assert serving.stop() == 0


@pytest.fixture
def place(served: Serving) -> Iterator[Place]:
    client = Client(served.url, timeout=20)
    yield Place(served, client)
    client.close()


class Kind(NamedTuple):
    """A message with a body, and how its plane words a refusal."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    code: Callable[[bytes], str]
    codes: dict[int, str]


def _json(name: str) -> Callable[[bytes], str]:
    return lambda body: str(json.loads(body)[name])


def _registry(body: bytes) -> str:
    return str(json.loads(body)["errors"][0]["code"])


def _xml(body: bytes) -> str:
    return body.decode().partition("<Code>")[2].partition("</Code>")[0]


API = {
    "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": KEY,
}
MANIFEST = manifest_of(LAYER, LAYER)
KINDS = {
    "API": Kind(
        "POST",
        "/",
        API,
        b'{"repositoryName": "half"}',
        _json("__type"),
        {
            400: "SerializationException",
            408: "RequestTimeoutException",
            413: "RequestEntityTooLargeException",
            431: "RequestHeaderFieldsTooLargeException",
        },
    ),
    "registry": Kind(
        "PUT",
        "/v2/app/manifests/half",
        {"Content-Type": OCI_MANIFEST},
        MANIFEST,
        _registry,
        dict.fromkeys((400, 408, 413, 431), "SIZE_INVALID"),
    ),
    "STS": Kind(
        "POST",
        "/",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"Action=GetCallerIdentity&Version=2011-06-15",
        _xml,
        {400: "MalformedInput", 408: "RequestTimeout", 413: "RequestEntityTooLarge", 431: "MalformedInput"},
    ),
    "admin": Kind(
        "POST",
        "/_ecrsim/reset",
        {},
        b"{}",
        lambda body: body.decode().partition(" ")[0],
        dict.fromkeys((400, 408, 413, 431), "The"),
    ),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def head(place: Place, method: str, path: str, headers: dict[str, str]) -> bytes:
    given = {"Host": "localhost", "Authorization": f"Basic {place.client.token()}"} | headers
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in given.items()), "", ""]
    ).encode()


def answer_on(connection: socket.socket, method: str = "GET") -> Answer:
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def is_unchanged(place: Place) -> bool:
    """Nothing of the half messages was done: the repository of a reset would be gone."""
    names = [each["repositoryName"] for each in place.client.api("DescribeRepositories").json()["repositories"]]
    return names == ["app"] and place.client.registry("GET", "app/manifests/half").status == 404


#: How a message breaks off: its framing, what is sent of the body, and whether the client ends its side then.
HALVES: dict[str, tuple[dict[str, str], Callable[[bytes], bytes], bool]] = {
    "half of its length": ({"Content-Length": "{length}"}, lambda body: body[: len(body) // 2], True),
    "none of its length": ({"Content-Length": "{length}"}, lambda _: b"", True),
    "no last chunk": ({"Transfer-Encoding": "chunked"}, lambda body: b"%x\r\n%s\r\n" % (len(body), body), True),
    "half a chunk": ({"Transfer-Encoding": "chunked"}, lambda body: b"%x\r\n%s" % (len(body) + 9, body), True),
    "a malformed chunk": (
        {"Transfer-Encoding": "chunked"},
        lambda body: b"%x\r\n%s\r\nnonsense\r\n" % (len(body), body),
        False,
    ),
}
halves = pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)


def send_half(place: Place, kind: Kind, half: tuple[Any, Any, bool], connection: socket.socket) -> None:
    framing, part, ends = half
    framing = {name: text.format(length=len(kind.body)) for name, text in framing.items()}
    connection.sendall(head(place, kind.method, kind.path, kind.headers | framing) + part(kind.body))
    if ends:
        connection.shutdown(socket.SHUT_WR)


@kinds
@halves
def test_half_a_message_is_refused_and_changes_nothing(place: Place, kind: Kind, half: tuple[Any, Any, bool]):
    with place.connect() as connection:
        send_half(place, kind, half, connection)
        # Whoever has ended its side may get no answer at all; never one that says it was done.
        with contextlib.suppress(http.client.BadStatusLine, ConnectionError):
            refused = answer_on(connection)
            assert (refused.status, kind.code(refused.body)) == (400, kind.codes[400])
            assert connection.recv(1) == b""
    assert is_unchanged(place)


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("half", list(HALVES.values())[:4], ids=list(HALVES)[:4])
def test_a_message_that_stalls_is_let_go(place: Place, kind: Kind, half: tuple[Any, Any, bool]):
    with place.connect() as connection:
        send_half(place, kind, (*half[:2], False), connection)
        refused = answer_on(connection)
        assert (refused.status, kind.code(refused.body)) == (408, kind.codes[408])
        assert refused.headers["Connection"] == "close"
        assert connection.recv(1) == b""
    assert is_unchanged(place)


@kinds
def test_a_message_that_is_too_large_is_refused(place: Place, kind: Kind):
    large = 5 << 20
    for framing, body in (
        ({"Content-Length": str(large)}, bytes(large)),
        ({"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n0\r\n\r\n" % (large, bytes(large))),
    ):
        with place.connect() as connection:
            connection.sendall(head(place, kind.method, kind.path, kind.headers | framing) + body)
            refused = answer_on(connection)
            assert (refused.status, kind.code(refused.body)) == (413, kind.codes[413])
    assert is_unchanged(place)


@kinds
def test_headers_that_are_too_large_are_refused(place: Place, kind: Kind):
    framing = {"Content-Length": str(len(kind.body)), "X-Long": "x" * 9000}
    with place.connect() as connection:
        connection.sendall(head(place, kind.method, kind.path, kind.headers | framing) + kind.body)
        refused = answer_on(connection)
    assert (refused.status, kind.code(refused.body)) == (431, kind.codes[431])
    assert is_unchanged(place)


@pytest.mark.parametrize("headers", [{"X-Long": "x" * 200_000}, {f"X-{number}": "x" for number in range(300)}])
def test_headers_beyond_all_measure_are_refused_by_the_server(place: Place, headers: dict[str, str]):
    with place.connect() as connection:
        connection.sendall(head(place, "GET", "/v2/", headers))
        assert answer_on(connection).status == 431


@pytest.mark.slow
def test_headers_that_do_not_come_are_not_waited_for(place: Place):
    with place.connect() as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert connection.recv(1) in (b"", b"H")  # ended, with 408 or without


# Uploads


def begin(place: Place) -> str:
    return place.client.registry("POST", "app/blobs/uploads/").headers["Location"]


def received(place: Place, location: str) -> str:
    answer = place.client.registry("GET", location)
    assert answer.status == 204
    return answer.headers["Range"]


UPLOAD_HALVES = {
    "half of its length": ({"Content-Length": str(len(LAYER))}, LAYER[: 2 << 20]),
    "no last chunk": ({"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n" % (2 << 20, LAYER[: 2 << 20])),
    "a malformed chunk": ({"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\nno\r\n" % (2 << 20, LAYER[: 2 << 20])),
}
upload_halves = pytest.mark.parametrize(("framing", "sent"), UPLOAD_HALVES.values(), ids=UPLOAD_HALVES)


@upload_halves
@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
def test_half_a_patch_keeps_what_came_and_is_not_accepted(
    place: Place, framing: dict[str, str], sent: bytes, stalls: bool
):
    location = begin(place)
    with place.connect() as connection:
        connection.sendall(head(place, "PATCH", location, framing) + sent)
        if not stalls:
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(http.client.BadStatusLine, ConnectionError):
            refused = answer_on(connection)
            malformed = sent.endswith(b"no\r\n")
            assert refused.status == (408 if stalls and not malformed else 400)
            assert _registry(refused.body) == "SIZE_INVALID"
    assert received(place, location) == f"0-{(2 << 20) - 1}"
    assert place.client.registry("PATCH", location, LAYER[2 << 20 :]).status == 202
    assert place.client.registry("PUT", f"{location}?digest={digest_of(LAYER)}").status == 201


@upload_halves
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_half_a_layer_is_no_layer(place: Place, framing: dict[str, str], sent: bytes, method: str):
    content = b"another layer " + LAYER
    path = (begin(place) if method == "PUT" else "/v2/app/blobs/uploads/") + f"?digest={digest_of(content)}"
    with place.connect() as connection:
        connection.sendall(head(place, method, path, framing) + sent)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(http.client.BadStatusLine, ConnectionError):
            assert answer_on(connection).status == 400
    assert place.client.registry("HEAD", f"app/blobs/{digest_of(content)}").status == 404


def test_a_stream_that_is_longer_than_its_range_is_refused(place: Place):
    location = begin(place)
    headers = {"Content-Range": "0-9"}
    answer = place.client.registry("PATCH", location, iter([b"0123456789", b"more"]), headers)
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    assert place.client.registry("PATCH", location, iter([b"01234", b"56789"]), headers).status == 202


def test_who_sends_at_a_pace_is_waited_for(place: Place):
    """Three megabytes at once are a head start of three seconds: the rest may come when the grace is long over."""
    location = begin(place)
    with place.connect() as connection, place.connect() as stalled:
        connection.sendall(head(place, "PATCH", location, {"Content-Length": str(len(LAYER))}) + LAYER[:-1])
        stalled.sendall(head(place, "POST", "/", API | {"Content-Length": "10"}))
        assert answer_on(stalled).status == 408  # so the grace is over
        connection.sendall(LAYER[-1:])
        assert answer_on(connection).status == 202


# Whoever is slow


def test_a_reader_that_takes_nothing_is_let_go(place: Place):
    large = os.urandom(64 << 20)
    assert place.client.push_layer("app", large).status == 201
    [worker] = place.serving.workers()
    with place.connect(buffer=4096) as connection:
        connection.sendall(head(place, "GET", f"/v2/app/blobs/{digest_of(large)}", {}))
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        port = connection.getsockname()[1]
        while is_open(worker, port):
            assert place.client.registry("GET", "").status == 200
        # A part of what was sent before, and then the end.
        taken = 0
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                taken += len(piece)
        assert taken < len(large)


def is_open(process: int, port: int) -> bool:
    """Whether the process has an established connection from that port."""
    with open(f"/proc/{process}/net/tcp", encoding="ascii") as table:  # noqa: PTH123 - it has no size
        rows = [line.split() for line in table]
    return any(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows[1:])


def test_stalled_peers_keep_nobody_waiting(place: Place, tmp_path_factory: pytest.TempPathFactory):
    """Bodies that stop, uploads that stop, answers that nobody takes: more of each than there are threads."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with Serving(tmp_path_factory.mktemp("stalled") / "data", workers=1) as serving, contextlib.ExitStack() as held:
        there = Place(serving, Client(serving.url, timeout=20))
        there.client.api("CreateRepository", repositoryName="app")
        assert there.client.push_layer("app", LAYER).status == 201
        messages = (
            head(there, "POST", "/", API | {"Content-Length": "100"}) + b"{",
            head(there, "PATCH", begin(there), {"Content-Length": str(len(LAYER))}) + LAYER[: 1 << 17],
            head(there, "GET", f"/v2/app/blobs/{digest_of(LAYER)}", {}),
            head(there, "GET", "/_ecrsim/events/stream", {}),
        )
        for number in range(600):
            connection = held.enter_context(there.connect(buffer=4096))
            connection.sendall(messages[number % 3] if number < 585 else messages[3])
        assert there.client.push_layer("app", b"small").status == 201
        assert there.client.registry("GET", f"app/blobs/{digest_of(LAYER)}").body == LAYER
        assert there.client.api("DescribeRepositories").status == 200
        assert there.client.send("GET", "/_ecrsim/health").status == 200
        there.client.close()


def test_connections_are_bounded(tmp_path_factory: pytest.TempPathFactory):
    """Who comes when there are as many as there may be waits until one has left."""
    folder = tmp_path_factory.mktemp("bounded")
    with Serving(folder / "data", workers=1, connections=8) as serving, contextlib.ExitStack() as held:
        there = Place(serving, Client(serving.url))
        ping = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connections = [held.enter_context(there.connect()) for _ in range(30)]
        for connection in connections:
            connection.sendall(ping)
        answered = 0
        for connection in connections:
            # In order: each one that leaves lets one in.
            assert answer_on(connection).status == 401
            connection.close()
            answered += 1
        assert answered == 30


@pytest.fixture
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port for HTTPS of a server that lets two in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("secured")
    with Serving(folder / "data", "--tls", "--tls-port", str(port), workers=1, connections=2) as serving:
        yield port
        assert serving.stop() == 0


def test_whoever_has_not_agreed_upon_tls_counts(secured: int):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def status() -> int | None:
        """None when the door is shut."""
        client = http.client.HTTPSConnection("127.0.0.1", secured, timeout=20, context=context)
        try:
            client.request("GET", "/v2/")
            return client.getresponse().status
        except (ConnectionError, ssl.SSLError):
            return None
        finally:
            client.close()

    with contextlib.ExitStack() as held:
        first, _, third = [
            held.enter_context(socket.create_connection(("127.0.0.1", secured), timeout=20)) for _ in "123"
        ]
        # Two are in and say nothing: the next is turned away.
        with contextlib.suppress(ConnectionError):
            assert third.recv(1) == b""
        assert status() is None
        first.close()
        wait_until(lambda: status() == 401)


@pytest.mark.slow
def test_a_stream_of_events_waits_for_its_reader(tmp_path_factory: pytest.TempPathFactory):
    """The server holds nothing of what is to come for readers that take nothing; nor do they miss any of it."""
    policy = {"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}}
    with Serving(tmp_path_factory.mktemp("streams") / "data", workers=1) as serving, contextlib.ExitStack() as held:
        there = Place(serving, Client(serving.url, timeout=20))
        there.client.api("CreateRepository", repositoryName="app")
        for number in range(1, 601):
            rules = [policy | {"action": {"type": "expire"}, "description": str(number)}]
            text = json.dumps({"rules": rules}) + " " * 30_000
            assert there.client.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=text).status == 200
        [worker] = serving.workers()
        before = resident(worker)
        asked = head(there, "GET", "/_ecrsim/events/stream?after=0", {})
        stalled = [held.enter_context(there.connect(buffer=4096)) for _ in range(12)]
        for connection in stalled:
            connection.sendall(asked)
        reader = held.enter_context(there.connect())
        reader.sendall(asked)
        read = all_events(reader, 601)
        assert resident(worker) - before < 96 << 20  # all that there is for the twelve would be more than 200 MiB
        assert all_events(stalled[0], 601) == read
        there.client.close()
        for connection in stalled:
            connection.close()
        reader.close()
        assert serving.stop() == 0


def all_events(connection: socket.socket, count: int) -> list[bytes]:
    """The numbers of as many events as are read until there are `count`."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert response.status == 200, response.read()
    numbers: list[bytes] = []
    number = b""
    while len(numbers) < count:
        line = response.readline()
        assert line, f"the stream ended after {len(numbers)} events"
        if line.startswith(b"id: "):
            number = line
        elif line.startswith(b"data: "):
            numbers.append(number)
    return numbers


def resident(process: int) -> int:
    """Bytes of the process in memory."""
    with open(f"/proc/{process}/statm", encoding="ascii") as file:  # noqa: PTH123 - it has no size
        return int(file.read().split()[1]) * resource.getpagesize()


# Whom the relay speaks for


def test_the_table_of_the_relay(tmp_path_factory: pytest.TempPathFactory):
    file = tmp_path_factory.mktemp("relayed") / "table"
    file.touch()
    ours, theirs = Relayed(file), Relayed(file)
    assert theirs.find(40_000) is None
    ours.note(40_000, "::1", is_secure=True)
    ours.note(65_535, "192.0.2.7", is_secure=False)
    assert [theirs.find(40_000), theirs.find(65_535), theirs.find(40_001)] == [
        ("::1", "https"),
        ("192.0.2.7", "http"),
        None,
    ]
    ours.note(40_000, "fe80::1%eth0", is_secure=False)
    assert theirs.find(40_000) == ("fe80::1", "http")
    ours.forget(40_000)
    assert theirs.find(40_000) is None


@pytest.mark.parametrize(
    ("host", "peer", "known"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),  # a port of another address, which anybody here may take
        ("0.0.0.0", "127.0.0.1", True),  # noqa: S104 - to ask, not to listen
        ("0.0.0.0", "127.0.0.2", False),  # noqa: S104
        ("::", "::1", True),
        ("::", "127.0.0.1", False),
        ("::", "::ffff:127.0.0.1", False),
        ("localhost", "127.0.0.1", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "127.0.0.1", False),
        ("2001:DB8::0001", "2001:db8::1", True),
    ],
)
def test_the_relay_speaks_from_one_address_alone(
    tmp_path_factory: pytest.TempPathFactory, host: str, peer: str, known: bool
):
    """One of another address with that port is not its client."""
    file = tmp_path_factory.mktemp("relayed") / "table"
    file.touch()
    relayed = Relayed(file)
    relayed.note(40_000, "198.51.100.9", is_secure=True)
    with Ecrsim(socket=False, host=host) as sim:
        door = Door(sim.app, relayed, lambda _: None)
        shown = f"[{peer}]" if ":" in peer else peer
        scope = SimpleNamespace(
            client=f"{shown}:40000", headers={"host": "localhost"}, method="GET", path="/", query_string=""
        )
        request = door._request(scope)
        assert (request.source_ip, request.is_secure) == (("198.51.100.9", True) if known else (canonical(peer), False))
