"""Clients that go away in the middle: what they sent is kept for them, and what nobody continues is cleared away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.client import Client
from tests.faults.serving import Serving, run_gc
from tests.pushing import digest_of, numbered

# Servers are started and stopped.
pytestmark = pytest.mark.slow

DATA = bytes(range(256)) * 8192  # 2 MiB
DIGEST = digest_of(DATA)
SENT = 1_500_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("interruptions") / "data") as serving:
        client = Client(serving.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        client.close()
        yield serving
        log = serving.log.read_text()
        assert serving.stop() == 0
    assert "Traceback" not in log, log[-4000:]


@pytest.fixture
def client(server: Serving) -> Iterator[Client]:
    made = Client(server.url)
    yield made
    made.close()


def eventually(serving: Serving, condition: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds, during which the server must not end."""
    for _ in range(200):
        if condition():
            return True
        with pytest.raises(subprocess.TimeoutExpired):
            serving.process.wait(0.05)
    return False


def send_a_part(server: Serving, client: Client, request: str, *headers: str, body: bytes = DATA[:SENT]) -> None:
    """The head of a request and a part of its body; then the client is gone."""
    head = [f"{request} HTTP/1.1", "Host: localhost", f"Authorization: Basic {client.token()}", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall("\r\n".join(head).encode() + body)


def uploads(server: Serving) -> list[Path]:
    return list((server.data_dir / "uploads").iterdir())


def test_a_chunk_that_breaks_off_is_continued(server: Serving, client: Client):
    location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
    send_a_part(server, client, f"PATCH {location}", f"Content-Length: {len(DATA)}")
    wanted = f"0-{SENT - 1}"
    assert eventually(server, lambda: client.registry("GET", location).headers["Range"] == wanted)
    rest = {"Content-Range": f"{SENT}-{len(DATA) - 1}"}
    assert eventually(server, lambda: client.registry("PATCH", location, DATA[SENT:], rest).status == 202)
    assert client.registry("PUT", f"{location}?digest={DIGEST}").status == 201
    assert client.registry("GET", f"app/blobs/{DIGEST}").body == DATA


def test_a_stream_that_breaks_off_is_continued(server: Serving, client: Client):
    """In chunks of the transfer encoding, as docker sends it."""
    location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
    body = b"%x\r\n%s\r\n" % (SENT, DATA[:SENT])
    send_a_part(server, client, f"PATCH {location}", "Transfer-Encoding: chunked", body=body)
    wanted = f"0-{SENT - 1}"
    assert eventually(server, lambda: client.registry("GET", location).headers["Range"] == wanted)
    rest = f"{location}?digest={DIGEST}"
    span = {"Content-Range": f"{SENT}-{len(DATA) - 1}"}
    assert eventually(server, lambda: client.registry("PUT", rest, DATA[SENT:], span).status == 201)
    assert client.registry("GET", f"app/blobs/{DIGEST}").body == DATA


def test_a_last_request_that_breaks_off_is_continued(server: Serving, client: Client):
    data = DATA[::-1]
    location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
    finish = f"{location}?digest={digest_of(data)}"
    send_a_part(server, client, f"PUT {finish}", f"Content-Length: {len(data)}", body=data[:SENT])
    wanted = f"0-{SENT - 1}"
    assert eventually(server, lambda: client.registry("GET", location).headers.get("Range") == wanted)
    span = {"Content-Range": f"{SENT}-{len(data) - 1}"}
    assert eventually(server, lambda: client.registry("PUT", finish, data[SENT:], span).status == 201)
    assert client.registry("GET", f"app/blobs/{digest_of(data)}").body == data


def test_a_single_post_that_breaks_off_leaves_nothing(server: Serving, client: Client):
    """Its client was never told of a session, so nobody could continue it."""
    before = set(uploads(server))
    data = DATA + b"another"
    request = f"POST /v2/app/blobs/uploads/?digest={digest_of(data)}"
    send_a_part(server, client, request, f"Content-Length: {len(data)}", body=data[:SENT])
    assert eventually(server, lambda: set(uploads(server)) <= before)
    assert client.registry("HEAD", f"app/blobs/{digest_of(data)}").status == 404


def test_a_manifest_that_breaks_off_is_not_there(server: Serving, client: Client):
    send_a_part(server, client, "PUT /v2/app/manifests/cut", "Content-Length: 1000", body=b'{"schemaVersion":2,')
    assert client.registry("GET", "app/manifests/cut").status == 404
    assert client.registry("GET", "/v2/").status == 200


def test_many_that_only_connect_stop_nobody(server: Serving, client: Client):
    """Connections without a request, and with half of one, beside clients that work."""
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(100)]
    for connection in idle[::2]:
        connection.sendall(b"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: ")
    try:
        for _ in range(20):
            assert client.registry("GET", "app/tags/list").status == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_download_that_breaks_off_stops_nobody(server: Serving, client: Client):
    data = bytes(1 << 20) * 16
    assert client.push_layer("app", data).status == 201
    for _ in range(10):
        send_a_part(server, client, f"GET /v2/app/blobs/{digest_of(data)}", body=b"")
    assert client.registry("GET", f"app/blobs/{digest_of(data)}").body == data


def test_a_worker_that_dies_is_replaced(tmp_path: Path):
    """Its requests break off; the other worker goes on, and after a moment there are two again."""
    with Serving(tmp_path / "data") as server:
        client = Client(server.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
        assert client.registry("PATCH", location, DATA[:SENT]).status == 202
        token = client.token()
        for victim in server.workers():
            os.kill(victim, signal.SIGKILL)
            assert eventually(server, lambda victim=victim: len(set(server.workers()) - {victim}) == 2)
        client.close()
        client.use_token(token)
        assert client.registry("GET", location).headers["Range"] == f"0-{SENT - 1}"
        assert client.registry("PUT", f"{location}?digest={DIGEST}", DATA[SENT:]).status == 201
        client.close()
        assert server.stop() == 0


def test_a_session_expires_and_is_collected(tmp_path: Path):
    """By the command, at once."""
    with Serving(tmp_path / "data", workers=1, upload_lifetime=0) as server:
        client = Client(server.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
        assert client.registry("GET", location).status == 404
        assert client.registry("PATCH", location, b"late").status == 404
        assert len(uploads(server)) == 1
        assert "1 unfinished uploads" in run_gc(server.data_dir)
        assert uploads(server) == []
        client.close()
        assert server.stop() == 0


def test_the_server_collects_by_itself(tmp_path: Path):
    settings = {"upload_lifetime": 0, "gc_interval": 1, "gc_grace": 0}
    with Serving(tmp_path / "data", **settings) as server:
        client = Client(server.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        assert client.registry("POST", "app/blobs/uploads/").status == 202
        assert eventually(server, lambda: uploads(server) == [])
        client.close()
        log = server.log.read_text()
        assert server.stop() == 0
    assert "Traceback" not in log, log[-4000:]


def test_a_clean_stop_writes_what_the_last_pull_left(tmp_path: Path):
    """Its time is noted, and written 0.2 s later; the stop comes before that."""
    with Serving(tmp_path / "data") as serving:
        client = Client(serving.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        for data in numbered(1).blobs.values():
            assert client.push_layer("app", data).status == 201
        assert client.push_manifest("app", "v1", numbered(1).manifest).status == 201
        assert client.registry("GET", "app/manifests/v1").status == 200
        client.close()
        assert serving.stop() == 0
        assert "Traceback" not in serving.log.read_text()
    with Serving(tmp_path / "data") as serving:
        client = Client(serving.url)
        (image,) = client.api("DescribeImages", repositoryName="app").json()["imageDetails"]
        assert "lastRecordedPullTime" in image
        client.close()
