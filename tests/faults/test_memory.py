"""Layers pass through in constant memory: many large ones at once cost less than one of them has bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.client import Client
from tests.faults.serving import Serving

MIB = 1 << 20
SIZE, MANY = 64 * MIB, 10
BLOCK = bytes(range(256)) * (MIB // 256)


def body_of(number: int) -> Iterator[bytes]:
    """`SIZE` bytes that are another layer for each number."""
    yield bytes([number]) * MIB
    for _ in range(SIZE // MIB - 1):
        yield BLOCK


def digest_of(number: int) -> str:
    hashed = hashlib.sha256()
    for piece in body_of(number):
        hashed.update(piece)
    return f"sha256:{hashed.hexdigest()}"


def peak(pid: int) -> int:
    """The most memory that the process had resident since `forget_peak`, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has ended")


def forget_peak(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError as error:
        pytest.skip(f"the peak cannot be reset here: {error}")


def upload(client: Client, number: int, gate: threading.Barrier) -> None:
    location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
    gate.wait(30)
    answer = client.registry("PATCH", location, body_of(number), {"Content-Length": str(SIZE)})
    assert (answer.status, answer.headers["Range"]) == (202, f"0-{SIZE - 1}")
    assert client.registry("PUT", f"{location}?digest={digest_of(number)}").status == 201


def download(client: Client, number: int, gate: threading.Barrier) -> None:
    gate.wait(30)
    answer = client.registry("GET", f"app/blobs/{digest_of(number)}")
    assert (answer.status, len(answer.body)) == (200, SIZE)


def at_once(serving: Serving, work: Callable[[Client, int, threading.Barrier], None], numbers: range) -> None:
    gate = threading.Barrier(len(numbers))

    def run(number: int) -> None:
        client = Client(serving.url)
        client.token()
        try:
            work(client, number, gate)
        finally:
            client.close()

    with ThreadPoolExecutor(len(numbers)) as pool:
        list(pool.map(run, numbers))


@pytest.mark.slow
def test_many_large_layers_at_once(tmp_path: Path):
    with Serving(tmp_path / "data", workers=1) as serving:
        client = Client(serving.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        client.close()
        at_once(serving, upload, range(100, 101))
        (worker,) = serving.workers()
        forget_peak(worker)
        before = peak(worker)
        at_once(serving, upload, range(MANY))
        during_uploads = peak(worker) - before
        forget_peak(worker)
        at_once(serving, download, range(3))
        during_downloads = peak(worker) - before
        assert serving.stop() == 0
    # Measured: 22 to 29 MiB, which is buffers of connections and threads.
    assert during_uploads < 48 * MIB
    assert during_downloads < 48 * MIB
