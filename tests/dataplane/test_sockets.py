"""What only shows on a connection that is kept: the framing of answers, refused bodies, bodies without a length.

Held by both servers: the one of `ecrsim serve`, and the one that `Ecrsim` runs in the process of a test. The latter,
werkzeug's, ends each connection after its answer and says so.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ecrsim import Ecrsim
from tests.dataplane.wire import VALUES
from tests.faults.client import Client
from tests.faults.serving import Serving
from tests.pushing import digest_of

LAYER = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(scope="module", params=["serve", "Ecrsim"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "Ecrsim":
        with Ecrsim() as sim:
            yield sim.endpoint_url
    else:
        with Serving(tmp_path_factory.mktemp("sockets") / "data", workers=1) as serving:
            yield serving.url
            assert serving.stop() == 0


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    made = Client(url, timeout=10)
    made.api("CreateRepository", repositoryName="app")
    yield made
    made.close()


def test_the_connection_is_kept(client: Client, request: pytest.FixtureRequest):
    closes = client.send("GET", "/v2/").headers.get("Connection") == "close"
    assert closes == (request.node.callspec.params["url"] == "Ecrsim")


@pytest.fixture
def connection(client: Client) -> Iterator[http.client.HTTPConnection]:
    """One connection, which is opened again only where the server said that it ends."""
    made = http.client.HTTPConnection(client._address, timeout=10)
    made.connect()
    made.auto_open = int(client.send("GET", "/v2/").headers.get("Connection") == "close")
    yield made
    made.close()


def exchange(
    connection: http.client.HTTPConnection, client: Client, method: str, path: str, **more: Any
) -> tuple[int, bytes]:
    headers = {"Authorization": f"Basic {client.token()}"} | more.pop("headers", {})
    connection.request(method, path, headers=headers, **more)
    response = connection.getresponse()
    return response.status, response.read()


def test_a_connection_goes_on_after_every_kind_of_answer(client: Client, connection: http.client.HTTPConnection):
    """A HEAD has no body, whatever its status; what follows on the connection is the next answer."""
    nowhere = VALUES["nowhere"]
    expected = [
        ("GET", "/v2/", 200),
        ("HEAD", f"/v2/app/blobs/{nowhere}", 404),
        ("HEAD", "/v2/app/manifests/none", 404),
        ("HEAD", "/v2/none/manifests/none", 404),
        ("HEAD", "/v2/app/blobs/sha256:bad", 400),
        ("GET", f"/v2/app/blobs/{nowhere}", 404),
        ("HEAD", "/v2/", 200),
        ("DELETE", f"/v2/app/blobs/{nowhere}", 404),
        ("PUT", "/v2/", 405),
        ("GET", "/v2/app/tags/list", 200),
    ]
    for _ in range(2):
        for method, path, status in expected:
            found, body = exchange(connection, client, method, path)
            assert found == status, (method, path)
            assert (method == "HEAD") == (body == b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_challenge_does_not_end_the_connection(client: Client, connection: http.client.HTTPConnection, method: str):
    assert exchange(connection, client, method, "/v2/", headers={"Authorization": ""})[0] == 401
    assert exchange(connection, client, "GET", "/v2/") == (200, b"{}")


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_small_body_that_is_refused_is_read(client: Client, connection: http.client.HTTPConnection, size: int):
    """Clients that send first and log in later keep their connection."""
    body = bytes(size)
    refused = exchange(connection, client, "PUT", "/v2/app/manifests/v1", headers={"Authorization": ""}, body=body)
    assert refused[0] == 401
    status, answer = exchange(connection, client, "POST", "/v2/none/blobs/uploads/", body=body)
    assert (status, json.loads(answer)["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
    assert exchange(connection, client, "GET", "/v2/") == (200, b"{}")


def test_a_body_in_chunks(client: Client):
    location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
    pieces = (LAYER[first : first + 100_000] for first in range(0, len(LAYER), 100_000))
    answer = client.registry("PATCH", location, pieces)
    assert (answer.status, answer.headers["Range"]) == (202, f"0-{len(LAYER) - 1}")
    assert client.registry("PUT", f"{location}?digest={digest_of(LAYER)}").status == 201
    found = client.registry("GET", f"app/blobs/{digest_of(LAYER)}")
    assert (found.body, found.headers["Content-Length"]) == (LAYER, str(len(LAYER)))


def test_a_whole_body_in_chunks(client: Client):
    answer = client.registry("POST", f"app/blobs/uploads/?digest={digest_of(LAYER)}", iter([LAYER[:9], LAYER[9:]]))
    assert answer.status == 201
    manifest = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    assert client.registry("PUT", "app/manifests/chunked", iter([manifest[:9], manifest[9:]]), headers).status == 201
    assert client.registry("GET", "app/manifests/chunked").body == manifest


def test_a_client_that_asks_before_it_sends(client: Client, url: str):
    """`Expect: 100-continue`, as curl sends it with large bodies: the client waits for the word."""
    head = (
        f"POST /v2/app/blobs/uploads/?digest={digest_of(LAYER)} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Basic {client.token()}\r\nContent-Length: {len(LAYER)}\r\nExpect: 100-continue\r\n\r\n"
    )
    address = (url.rpartition("/")[2].partition(":")[0], int(url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(LAYER)
        response = http.client.HTTPResponse(connection)
        response.begin()  # one of the servers says 100 twice, which it may
        assert response.status == 201
        response.close()


def test_ranges_and_conditions(client: Client):
    assert client.push_layer("app", LAYER).status == 201
    path = f"app/blobs/{digest_of(LAYER)}"
    part = client.registry("GET", path, headers={"Range": "bytes=100000-300000"})
    assert (part.status, part.body) == (206, LAYER[100_000:300_001])
    beyond = client.registry("GET", path, headers={"Range": f"bytes={len(LAYER)}-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(LAYER)}")
    assert client.registry("GET", path, headers={"If-None-Match": part.headers["ETag"]}).status == 304
    assert client.registry("GET", path).body == LAYER


def test_nothing_is_compressed_and_no_charset_is_added(client: Client):
    assert client.push_layer("app", LAYER).status == 201
    answer = client.registry("GET", f"app/blobs/{digest_of(LAYER)}", headers={"Accept-Encoding": "gzip, deflate, br"})
    assert answer.headers.get("Content-Encoding") is None
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.body == LAYER
