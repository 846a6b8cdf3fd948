"""The form of a row of the wire table, and how it is run: in an account of its own, in process or over a socket.

A row is a sentence (its id), where the expectation comes from, what is given, and the exchanges that follow. `{name}`
in a path or header stands for a value of the world: digests that never change (`{layer}`), and what was kept from an
answer before (`{upload}`).

Sources: `OCI end-N` is a row of the endpoint table of the OCI distribution specification, `OCI` with a heading a
section of it; `conformance` names a test of its conformance suites; `ECR` says how ECR's answer is known (recorded,
documented, inferred); `RFC` is HTTP's own. The name of a client or of a setting means that it is the reason.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any, NamedTuple

from ecrsim import Ecrsim
from ecrsim.testing import Response, call_application
from tests.planes.catalogue import FIXTURES, Fixture, with_needs
from tests.pushing import digest_of

LAYER = b"0123456789abcdef"
OTHER_LAYER = b"another layer"
EMPTY = b""
#: 3,000 bytes in which every range is a text of its own.
LONG = b"".join(b"%06d" % number for number in range(500))

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

VALUES = {
    "layer": digest_of(LAYER),
    "layer512": digest_of(LAYER, "sha512"),
    "other": digest_of(OTHER_LAYER),
    "empty": digest_of(EMPTY),
    "empty512": digest_of(EMPTY, "sha512"),
    "long": digest_of(LONG),
    "nowhere": "sha256:" + "0" * 64,
    "nowhere512": "sha512:" + "0" * 128,
    "no-upload": "12345678-1234-1234-1234-123456789012",
} | {name: fixture.digest for name, fixture in FIXTURES.items()}

_accounts = itertools.count(100_000_000_000)


SIMS = ExitStack()
#: Names and values, in order.
Settings = tuple[tuple[str, Any], ...]


@cache
def shared_sim(settings: Settings) -> Ecrsim:
    """One ecrsim for each set of settings: accounts are apart, so that a row may begin with one that is new."""
    return SIMS.enter_context(Ecrsim(socket=False, **dict(settings)))


class World:
    """An account of its own with the repository `app`, and a token for it; in process, unless `send` is another's."""

    def __init__(self, sim: Ecrsim) -> None:
        self.sim = sim
        self.begin(sim.runtime.config.region)

    def begin(self, region: str) -> None:
        self.account = f"{next(_accounts):012d}"
        self.region = region
        self.values = VALUES | {"account": self.account, "region": self.region}
        self.token = self.log_in()
        self.api("CreateRepository", repositoryName="app")

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        return call_application(self.sim.app, method, url, dict(headers), body)

    def advance(self, seconds: int) -> None:
        self.sim.advance(seconds=seconds)

    def another(self) -> World:
        """Another account of the same ecrsim."""
        return World(self.sim)

    def log_in(self, region: str | None = None) -> str:
        answer = self.api("GetAuthorizationToken", region=region)
        return str(answer["authorizationData"][0]["authorizationToken"])

    def api(self, operation: str, region: str | None = None, **members: Any) -> Any:
        """An answer of the JSON API; an error fails the test."""
        scope = f"{self.account}/20260101/{region or self.region}/ecr/aws4_request"
        headers = {
            "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        answer = self.send("POST", "http://localhost/", headers, json.dumps(members).encode())
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        host: str = "localhost",
    ) -> Response:
        """An answer of the registry, with the token unless the headers have an Authorization of their own."""
        given = {"Authorization": f"Basic {self.token}"} | dict(headers or {})
        return self.send(method, f"http://{host}{path}", given, body)

    # What rows are given

    def layer(self, data: bytes = LAYER, repository: str = "app") -> None:
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(data)}", body=data)
        assert answer.status == 201, answer.body

    def session(self, data: bytes = b"", repository: str = "app") -> None:
        """An upload session that has these bytes; its URL is `{upload}`."""
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        self.values["upload"] = answer.headers["Location"]
        if data:
            assert self.ask("PATCH", answer.headers["Location"], body=data).status in (201, 202)

    def image(self, name: str = "oci-image", *tags: str, repository: str = "app") -> None:
        """A fixture with all that it needs, under these tags."""
        for fixture in with_needs(FIXTURES[name]):
            self._push(fixture, repository)
        for tag in tags:
            self.tag(FIXTURES[name], tag, repository)

    def _push(self, fixture: Fixture, repository: str) -> None:
        for digest, data in fixture.layers.items():
            answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", body=data)
            assert answer.status == 201, answer.body
        self.tag(fixture, fixture.digest, repository)

    def tag(self, fixture: Fixture, reference: str, repository: str = "app") -> None:
        headers = {"Content-Type": fixture.media_type}
        answer = self.ask("PUT", f"/v2/{repository}/manifests/{reference}", headers, fixture.manifest)
        assert answer.status == 201, answer.body

    def repository(self, name: str, **members: Any) -> None:
        self.api("CreateRepository", repositoryName=name, **members)

    def mounting(self) -> None:
        self.api("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED")


#: Headers of an answer: exact, by a pattern, or None where one may not be.
Headers = Mapping[str, str | re.Pattern[str] | None]
#: What an answer has to be: an OCI error code, exact bytes, a JSON document, or a judge that says what is wrong.
Body = str | bytes | dict[str, Any] | Callable[[Response], None] | None


class Exchange(NamedTuple):
    """One request and what the answer must be."""

    request: str
    status: int
    headers: Headers
    answers: Body
    send: Mapping[str, str]
    body: bytes
    keep: Mapping[str, str]


def ask(
    request: str,
    status: int,
    answers: Body = None,
    *,
    body: bytes = b"",
    send: Mapping[str, str] | None = None,
    headers: Headers | None = None,
    keep: Mapping[str, str] | None = None,
) -> Exchange:
    """`send`: headers of the request. `headers`: of the answer; None where one may not be. `keep`: value → header."""
    return Exchange(request, status, headers or {}, answers, send or {}, body, keep or {})


class Row(NamedTuple):
    """One case of the wire table."""

    id: str
    source: str
    given: Callable[[World], object]
    exchanges: tuple[Exchange, ...]
    settings: Mapping[str, Any]


def row(
    id: str,
    source: str,
    *exchanges: Exchange,
    given: Callable[[World], object] = lambda _: None,
    **settings: Any,
) -> Row:
    return Row(id, source, given, exchanges, settings)


def settings_of(entry: Row) -> Settings:
    return tuple(sorted(entry.settings.items()))


def assert_row(entry: Row, world: World) -> None:
    """Make what is given, then hold exchange after exchange against what it must be."""
    entry.given(world)
    for number, exchange in enumerate(entry.exchanges, 1):
        method, path = exchange.request.format(**world.values).split(" ", 1)
        send = {name: value.format(**world.values) for name, value in exchange.send.items()}
        answer = world.ask(method, path, send, exchange.body)
        place = f"exchange {number}, {method} {path}: {answer}"
        assert answer.status == exchange.status, place
        check_form(method, answer, place)
        check_headers(exchange, answer, world, place)
        check_body(exchange, answer, place)
        world.values.update({value: answer.headers[name] for value, name in exchange.keep.items()})


def check_form(method: str, answer: Response, place: str) -> None:
    """What holds for every answer: the version, the length that it tells, no body where none may be, OCI's errors."""
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0", place
    if method == "HEAD" or answer.status in (204, 304):
        assert answer.body == b"", place
        return
    assert answer.headers["Content-Length"] == str(len(answer.body)), place
    if answer.status >= 400 and answer.status != 401:
        assert answer.headers["Content-Type"] == "application/json", place
        (error,) = answer.json()["errors"]
        assert error["code"], place
        assert error["message"], place


def check_headers(exchange: Exchange, answer: Response, world: World, place: str) -> None:
    for name, wanted in exchange.headers.items():
        found = answer.headers.get(name)
        if wanted is None:
            assert found is None, f"{name} in {place}"
        elif isinstance(wanted, str):
            assert found == wanted.format(**world.values), f"{name} in {place}"
        else:
            assert found is not None, f"{name} in {place}"
            assert wanted.fullmatch(found), f"{name} in {place}"


def check_body(exchange: Exchange, answer: Response, place: str) -> None:
    wanted = exchange.answers
    if isinstance(wanted, str):
        assert answer.json()["errors"][0]["code"] == wanted, place
    elif isinstance(wanted, bytes):
        assert answer.body == wanted, place
    elif isinstance(wanted, dict):
        assert answer.json() == wanted, place
    elif wanted is not None:
        wanted(answer)
