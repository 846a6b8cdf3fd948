"""Two workers over one data directory: one clock, each job once, and streams that hold up nobody."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.concurrency.conftest import at_once
from tests.engine import soon
from tests.faults.client import Client, manifest_of
from tests.faults.serving import Serving

pytestmark = pytest.mark.slow

IMAGES = 10
POLICY = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
                "action": {"type": "expire"},
            }
        ]
    }
)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A server of the test's own, whose clock the others need not see."""
    with Serving(tmp_path / "data", clock="frozen@2026-01-01") as serving:
        assert len(serving.workers()) == 2
        yield serving


def admin(client: Client, method: str, path: str, body: Any = None) -> Any:
    answer = client.send(method, f"/_ecrsim/{path}", b"" if body is None else json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return answer.json()


def everywhere(serving: Serving, count: int = 24) -> set[str]:
    """What the clock shows to as many connections, which both workers have a share of."""
    return set(at_once(serving, count, lambda client, _: admin(client, "GET", "clock")["now"]))


def test_all_workers_turn_at_once(serving: Serving):
    client = Client(serving.url)
    assert everywhere(serving) == {"2026-01-01T00:00:00.000Z"}
    for day in range(2, 12):
        moment = f"2026-01-{day:02}T00:00:00.000Z"
        admin(client, "PUT", "clock", {"now": moment})
        soon(lambda moment=moment: everywhere(serving, 8) == {moment})
    client.close()


def test_a_worker_that_comes_again_finds_the_clock_as_it_was_turned(serving: Serving):
    client = Client(serving.url)
    admin(client, "PUT", "clock", {"now": "2027-01-01"})
    client.close()
    before = serving.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        while pid in serving.workers():
            threading.Event().wait(0.02)
    assert set(serving.workers()).isdisjoint(before)
    assert everywhere(serving) == {"2027-01-01T00:00:00.000Z"}


def test_many_who_advance_run_every_job_once(serving: Serving):
    """And the threads of both workers look for jobs all the while."""
    client = Client(serving.url)
    for name in ("app", "web"):
        assert client.api("CreateRepository", repositoryName=name).status == 200
        assert client.api("PutLifecyclePolicy", repositoryName=name, lifecyclePolicyText=POLICY).status == 200
    answers = at_once(serving, 5, lambda each, _: admin(each, "POST", "clock/advance", {"days": 2}))
    assert everywhere(serving) == {"2026-01-11T00:00:00.000Z"}
    deadline = time.monotonic() + 30
    while (jobs := admin(client, "GET", "jobs?limit=1000"))["counts"]["DONE"] < 20 and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    client.close()
    done = Counter((job["payload"]["repository_name"], job["ranAt"]) for job in jobs["jobs"] if job["state"] == "DONE")
    assert done == {(name, f"2026-01-{day:02}T00:00:00.000Z"): 1 for name in ("app", "web") for day in range(2, 12)}
    assert sum(len(answer["ran"]) for answer in answers) <= 20


def test_pushes_and_pulls_go_on_while_the_clock_is_advanced(serving: Serving):
    client = Client(serving.url)
    assert client.api("CreateRepository", repositoryName="app").status == 200
    assert client.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=POLICY).status == 200
    assert client.push_layer("app", b"{}").status == 201
    token = client.token()

    def push(number: int) -> int:
        mine = Client(serving.url)
        mine.use_token(token)
        try:
            manifest = manifest_of(b"{}", annotations={"n": str(number)})
            return mine.push_manifest("app", f"v{number}", manifest).status
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        pushing = [pool.submit(push, number) for number in range(40)]
        # Within the life of the token, so that none of them is refused.
        for _ in range(10):
            admin(client, "POST", "clock/advance", {"seconds": 3600})
        assert {each.result(60) for each in pushing} == {201}
    ran = admin(client, "POST", "clock/advance", {"days": 1})["ran"]
    client.close()
    assert [(each["kind"], each["error"]) for each in ran] == [("evaluate-lifecycle-policy", None)]


# --- streams ----------------------------------------------------------------------------------------------------------


def open_stream(serving: Serving) -> socket.socket:
    """A client that asks for the stream and then reads nothing."""
    connection = socket.create_connection(("127.0.0.1", serving.port), timeout=30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(b"GET /_ecrsim/events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection


def test_slow_clients_hold_up_nobody(serving: Serving):
    """They read nothing while more is sent than the kernel keeps for them."""
    slow = [open_stream(serving) for _ in range(20)]
    client = Client(serving.url)
    text = "x" * 100_000
    begun = time.monotonic()
    for number in range(60):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [], "Id": f"{number}"})
        assert client.api("CreateRepository", repositoryName=f"app-{number}").status == 200
        client.api("SetRepositoryPolicy", repositoryName=f"app-{number}", policyText=policy)
        manifest = json.dumps({"schemaVersion": 2, "annotations": {"text": text}})
        client.api("PutImage", repositoryName=f"app-{number}", imageManifest=manifest)
    assert len(at_once(serving, 20, lambda each, _: admin(each, "GET", "health"))) == 20
    assert time.monotonic() - begun < 30
    client.close()
    begun = time.monotonic()
    assert serving.stop() == 0
    assert time.monotonic() - begun < 20
    for each in slow:
        each.close()


def test_clients_that_died_leave_their_places(serving: Serving):
    """More of them than there are places, one after the other, without a word of parting."""
    for _ in range(50):
        connection = open_stream(serving)
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    deadline, status = time.monotonic() + 40, b""
    while status != b"HTTP/1.1 200":
        assert time.monotonic() < deadline, "the places of the dead are taken for ever"
        connection = open_stream(serving)
        status = connection.recv(12)
        connection.close()
        threading.Event().wait(0.2)


def test_streams_end_when_the_server_is_told_to_stop(serving: Serving):
    address = urlsplit(serving.url).netloc
    connections = [http.client.HTTPConnection(address, timeout=30) for _ in range(6)]
    answers = []
    for connection in connections:
        connection.request("GET", "/_ecrsim/events/stream")
        answers.append(connection.getresponse())
        assert answers[-1].readline() == b"id: 0\n"
    begun = time.monotonic()
    assert serving.stop() == 0
    assert time.monotonic() - begun < 10
    for connection, answer in zip(connections, answers, strict=True):
        assert answer.read() in (b"", b"\n")
        connection.close()
