"""Every row of the wire table over a socket, to `ecrsim serve`: the answers are those of the application in process.

The conformance suite of specification release v1.1.1 cannot be built here (scripts/tools says why); what it asks is
among the rows.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from requests.structures import CaseInsensitiveDict

from ecrsim.testing import Response
from tests.dataplane.test_wire import TABLE
from tests.dataplane.wire import Row, Settings, World, assert_row, settings_of
from tests.e2e.server import REGION, ServerProcess


class ServedWorld(World):
    """An account of a server process, on a connection that stays open from one exchange to the next."""

    def __init__(self, server: ServerProcess, connection: http.client.HTTPConnection) -> None:
        self.server, self.connection = server, connection
        self.begin(REGION)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self.connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        given = {"Host": parts.netloc, "Content-Length": str(len(body))} | dict(headers)
        for name, value in given.items():
            if value:
                self.connection.putheader(name, value)
        self.connection.endheaders([body], encode_chunked="Transfer-Encoding" in given)
        answer = self.connection.getresponse()
        joined: Any = CaseInsensitiveDict()
        for name, value in answer.getheaders():
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return Response(answer.status, joined, answer.read())

    def another(self) -> World:
        return ServedWorld(self.server, self.connection)

    def advance(self, seconds: int) -> None:
        headers = {"Authorization": f"Bearer {self.server.admin_token}", "Content-Type": "application/json"}
        body = json.dumps({"seconds": seconds}).encode()
        answer = self.send("POST", "http://localhost/_ecrsim/clock/advance", headers, body)
        assert answer.status == 200, answer


class Servers:
    """One server at a time: the rows come ordered by their settings."""

    def __init__(self, start: Callable[..., ServerProcess]) -> None:
        self.start = start
        self.settings: Settings | None = None
        self.server: ServerProcess | None = None

    def get(self, settings: Settings) -> ServerProcess:
        if self.server is None or settings != self.settings:
            self.stop()
            environ = {f"ECRSIM_{name.upper()}": str(value) for name, value in settings}
            self.settings, self.server = settings, self.start(**environ)
        return self.server

    def stop(self) -> None:
        if self.server is not None:
            server, self.server = self.server, None
            assert server.stop() == 0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made = Servers(lambda **environ: ServerProcess(tmp_path_factory.mktemp("wire"), **environ))
    yield made
    made.stop()


def is_cut_off(entry: Row) -> bool:
    """A body shorter than its length, whose answer nobody waits for: test_half_messages.py has these."""
    return any(int(each.send.get("Content-Length") or 0) > len(each.body) for each in entry.exchanges)


ROWS = [
    pytest.param(entry, id=f"{part}: {entry.id}")
    for part, module in TABLE.items()
    for entry in module.ROWS
    if not is_cut_off(entry)
]
ROWS.sort(key=lambda each: repr(settings_of(each.values[0])))


@pytest.mark.parametrize("entry", ROWS)
def test_row(servers: Servers, entry: Row):
    served = servers.get(settings_of(entry))
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        assert_row(entry, ServedWorld(served, connection))
