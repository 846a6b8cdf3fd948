"""The scrub of a server: it finds damage by itself, says so, and lets a push mend it, while everything is served."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.client import Client, manifest_of
from tests.faults.serving import Serving
from tests.pushing import digest_of

# A server is started.
pytestmark = pytest.mark.slow

LAYER, CONFIG = b"a layer that a disk will lose", b"{}"


def layers(client: Client) -> dict[str, object]:
    answer = client.send("GET", "/_ecrsim/health")
    assert answer.status == 200
    found: dict[str, object] = answer.json()["layers"]
    return found


def until(client: Client, damaged: int) -> None:
    """Health is asked until it says so."""
    deadline = time.monotonic() + 60
    while (found := layers(client))["damaged"] != damaged or found["checkedAt"] is None:
        assert time.monotonic() < deadline, found


def test_damage_is_found_and_mended_while_it_serves(tmp_path: Path):
    with Serving(tmp_path / "data", scrub_interval=1) as server:
        client = Client(server.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        for data in (CONFIG, LAYER):
            assert client.push_layer("app", data).status == 201
        assert client.push_manifest("app", "v1", manifest_of(CONFIG, LAYER)).status == 201
        until(client, damaged=0)
        digest = digest_of(LAYER)
        place = server.data_dir / "blobs" / "sha256" / digest[7:9] / digest[7:]
        place.write_bytes(LAYER.upper())
        until(client, damaged=1)
        assert client.registry("HEAD", f"app/blobs/{digest}").status == 404
        assert client.registry("GET", "app/manifests/v1").status == 200
        assert client.push_layer("app", LAYER).status == 201
        until(client, damaged=0)
        assert client.registry("GET", f"app/blobs/{digest}").body == LAYER
        client.close()
        log = server.log.read_text()
        assert server.stop() == 0
    assert "1 layers are missing or damaged" in log
    assert "Traceback" not in log
