"""A hundred pullers of a new image at a real server: one fetch for all of them, while its upstream takes its time.

None of them has a thread, and nobody else waits for them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ecrsim.testing import build_image
from tests.core.upstream.servers import Registry, Site, serving
from tests.faults.client import Client
from tests.faults.serving import Serving, open_files

PULLERS, LEAVE = 100, 40
REPOSITORY = "cache/library/app"
IMAGE = build_image(bytes(range(256)) * 8192)  # 2 MiB
LAYER, DATA = max(IMAGE.blobs.items(), key=lambda blob: len(blob[1]))
HALF = len(DATA) // 2
#: Of the parent, the loop, granian and its runtime, the crews, and of what fetches.
MOST_THREADS = 45


class Gates:
    """An upstream that gives its manifest, and the second half of its layer, when it is let."""

    def __init__(self) -> None:
        self.registry = Registry({"library/app": {"v1": IMAGE}})
        self.manifest, self.layer = threading.Event(), threading.Event()

    def __call__(self, handler):
        if "/manifests/" in handler.path:
            self.manifest.wait(60)
        if not handler.path.endswith(LAYER):
            return self.registry(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:HALF])
        handler.wfile.flush()
        self.layer.wait(60)
        handler.wfile.write(DATA[HALF:])
        return None


@pytest.fixture
def gates() -> Iterator[Gates]:
    made = Gates()
    yield made
    made.manifest.set()
    made.layer.set()


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


class Puller:
    """One connection that asks, and reads when it is told to."""

    def __init__(self, stack: ExitStack, server: Serving, token: str) -> None:
        self.connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        self.token, self.got = token, b""

    def ask(self, path: str) -> None:
        head = f"GET /v2/{REPOSITORY}/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {self.token}\r\n\r\n"
        self.connection.sendall(head.encode())
        self.got = b""

    def read(self, size: int) -> bytes:
        """Of the body, so many bytes; empty where the answer is no success."""
        while b"\r\n\r\n" not in self.got or len(self.got) < self.got.index(b"\r\n\r\n") + 4 + size:
            piece = self.connection.recv(1 << 20)
            if not piece:
                break
            self.got += piece
        head, _, body = self.got.partition(b"\r\n\r\n")
        return body if head.startswith(b"HTTP/1.1 200") else b""


@pytest.mark.crash
@pytest.mark.parametrize(("jobs", "workers"), [("worker", 1), ("settle", 1), ("worker", 2)])
def test_a_hundred_pullers_of_a_slow_upstream(tmp_path: Path, gates: Gates, jobs: str, workers: int) -> None:
    """Where jobs are settled with each answer, the thread of the writer does all the work: nothing may hold it.

    Of two workers one brings it all, whichever of them is asked.
    """
    with serving(gates) as upstream, ExitStack() as stack:
        server = stack.enter_context(
            Serving(tmp_path / "data", workers=workers, upstream=f"quay.io={upstream.url}", jobs=jobs)
        )
        client = Client(server.url)
        client.api("CreatePullThroughCacheRule", ecrRepositoryPrefix="cache", upstreamRegistryUrl="quay.io")
        pullers = connected(stack, server, client.token())
        check_manifests(pullers, gates, client, server)
        check_layers(pullers, gates, client, server)
        check_fetched_once(upstream)
        (detail,) = client.api("DescribeImages", repositoryName=REPOSITORY).json()["imageDetails"]
        assert detail["imageDigest"] == IMAGE.digest
        client.close()
        assert server.stop() == 0


def connected(stack: ExitStack, server: Serving, token: str) -> list[Puller]:
    """Pullers, once all workers take connections: one that has just begun may listen later than the others."""
    workers = server.workers()
    before = {worker: sockets_of(worker) for worker in workers}
    with ExitStack() as probes:
        for _ in range(1000):
            if all(sockets_of(worker) > before[worker] for worker in workers):
                break
            Puller(probes, server, token)
            threading.Event().wait(0.01)
    return [Puller(stack, server, token) for _ in range(PULLERS)]


def sockets_of(worker: int) -> int:
    return sum(name.startswith("socket:") for name in open_files(worker))


def check_manifests(pullers: list[Puller], gates: Gates, client: Client, server: Serving) -> None:
    for puller in pullers:
        puller.ask("manifests/v1")
    nobody_waits(client, server)
    everybody_is_asked(server)
    gates.manifest.set()
    assert {puller.read(len(IMAGE.manifest)) for puller in pullers} == {IMAGE.manifest}


def check_layers(pullers: list[Puller], gates: Gates, client: Client, server: Serving) -> None:
    for puller in pullers:
        puller.ask(f"blobs/{LAYER}")
    assert {puller.read(HALF) for puller in pullers} == {DATA[:HALF]}
    for puller in pullers[:LEAVE]:
        puller.connection.close()
    nobody_waits(client, server)
    gates.layer.set()
    assert {puller.read(len(DATA)) for puller in pullers[LEAVE:]} == {DATA}


def nobody_waits(client: Client, server: Serving) -> None:
    """Reads and writes are answered, and threads are few."""
    assert client.api("CreateRepository", repositoryName=f"other/{len(names(client))}").status == 200
    assert client.registry("GET", "other/0/tags/list").status == 200
    for worker in server.workers():
        assert threads_of(worker) <= MOST_THREADS


def everybody_is_asked(server: Serving) -> None:
    """Each worker has a share of the pullers."""
    workers = server.workers()
    for worker in workers:
        assert sockets_of(worker) > PULLERS / len(workers) / 4


def names(client: Client) -> list[str]:
    return [found["repositoryName"] for found in client.api("DescribeRepositories").json()["repositories"]]


def check_fetched_once(upstream: Site) -> None:
    paths = upstream.paths()
    assert sorted(paths) == sorted(set(paths))
    assert len(paths) == 1 + len(IMAGE.blobs)
