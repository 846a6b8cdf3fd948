"""Raw bytes on the socket of `ecrsim serve`: damaged requests, other protocols, lengths that lie, bodies that end.

The server answers or hangs up, never with an error of its own and never by falling silent; its worker lives on with
what it had, and in bounds.
"""

import os
import random
import re
from pathlib import Path

import pytest

from tests.faults.client import Client, manifest_of
from tests.faults.serving import Serving
from tests.fuzz.budget import RAW, SEED
from tests.fuzz.raw import STRANGE, Bytes, Spoken, exchange
from tests.pushing import digest_of

REQUESTS = max(RAW, len(STRANGE))
PATIENCE = 30
#: What a worker may hold more at the end than at the beginning: the memory of bodies is bounded, and given back.
MOST_MEMORY = 256 << 20
STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)
CONFIG, LAYER = b'{"kept":true}', b"a layer that stays"


@pytest.fixture
def serving(tmp_path):
    with Serving(tmp_path / "data", workers=1) as serving:
        yield serving
        assert serving.stop() == 0


@pytest.fixture
def client(serving):
    client = Client(serving.url)
    yield client
    client.close()


def memory(pid: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_nothing_breaks(serving, client):
    (worker,) = serving.workers()
    assert client.api("CreateRepository", repositoryName="kept").status == 200
    manifest = manifest_of(CONFIG, LAYER)
    for data in (CONFIG, LAYER):
        client.push_layer("kept", data)
    assert client.push_manifest("kept", "v1", manifest).status == 201
    before = memory(worker)
    chance = random.Random(f"{SEED}/socket")  # noqa: S311 - the same bytes for the same seed
    source = Bytes(chance, client.token(), serving.port)
    for number in range(REQUESTS):
        spoken = Spoken((STRANGE[number],)) if number < len(STRANGE) else source.next()
        try:
            answer = exchange(serving.port, spoken, PATIENCE)
        except TimeoutError:
            answer = f"nothing within {PATIENCE} s, or no end".encode()
        bad = [status for status in STATUS.findall(answer) if int(status) >= 500 and status != b"501"]
        log = serving.log.read_text()[-3_000:]
        told = f"FUZZ_SEED={SEED}, number {number}\n{spoken}\n-> {answer[:2_000]!r}\n{log}"
        assert not bad, told
        assert b"no end" not in answer[:40], told
    assert serving.workers() == [worker], serving.log.read_text()[-3_000:]
    assert memory(worker) - before < MOST_MEMORY
    assert "Traceback" not in serving.log.read_text()
    client.close()
    assert client.registry("GET", "kept/manifests/v1").body == manifest
    assert client.registry("GET", f"kept/blobs/{digest_of(LAYER)}").body == LAYER
