"""`kill -9` in the middle of a layer that is sent to another site: the next start goes on from the byte that arrived.

Between the two servers is a relay that counts what goes to the other site, and holds it up when it is told to.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.faults.client import ACCOUNT, OCI_MANIFEST, Client, manifest_of
from tests.faults.serving import Serving
from tests.faults.test_crash import check_files
from tests.pushing import digest_of

MIB = 1 << 20
#: A layer of five chunks of 8 MiB, cut off in the third.
SIZE, CUT = 40 * MIB, 20 * MIB
FAR, PATIENCE = "ap-south-1", 90
SETTINGS = {"replication_delay": 0, "gc_interval": 1}


class Relay:
    """Passes bytes between its clients and a server. `passed`: bytes to the server; no more than `limit` go through."""

    def __init__(self, port: int) -> None:
        self._there = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._changed = threading.Condition()
        self.passed, self.limit = 0, CUT
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._there) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            with contextlib.suppress(OSError):
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(64 * 1024)  # type: ignore[union-attr]
                        if not data or (key.fileobj is client and not self._let_through(len(data), client)):
                            return
                        key.data.sendall(data)

    def _let_through(self, count: int, client: socket.socket) -> bool:
        """Wait until there is room; False when the client went away meanwhile."""
        with self._changed:
            while self.passed + count > self.limit:
                self._changed.wait(0.05)
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if not client.recv(1, socket.MSG_PEEK):
                        return False
                client.setblocking(True)
            self.passed += count
            self._changed.notify_all()
            return True

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.passed >= count, PATIENCE), self.passed

    def open(self) -> None:
        with self._changed:
            self.limit = 1 << 60
            self._changed.notify_all()

    def close(self) -> None:
        self._listening.close()


def status_of(client: Client) -> str:
    image = {"imageTag": "v1"}
    answer = client.api("DescribeImageReplicationStatus", repositoryName="app", imageId=image).json()
    [found] = answer["replicationStatuses"]
    return str(found["status"])


@pytest.mark.crash
def test_a_layer_that_was_cut_off_is_gone_on_with_after_the_restart(tmp_path: Path):
    there = Serving(tmp_path / "there", workers=1, **SETTINGS)
    relay = Relay(there.port)
    endpoint = ("--region-endpoint", f"{FAR}={relay.url}")
    here = Serving(tmp_path / "here", *endpoint, workers=2, **SETTINGS)
    try:
        layer, config = os.urandom(SIZE), b'{"architecture":"amd64"}'
        manifest = manifest_of(config, layer)
        with contextlib.closing(Client(here.url)) as client:
            assert client.api("CreateRepository", repositoryName="app").status == 200
            rules = [{"destinations": [{"region": FAR, "registryId": ACCOUNT}]}]
            assert client.api("PutReplicationConfiguration", replicationConfiguration={"rules": rules}).status == 200
            for data in (config, layer):
                assert client.push_layer("app", data).status == 201
            assert client.push_manifest("app", "v1", manifest).status == 201
            relay.wait_for(CUT - 2 * 64 * 1024)
            # What takes long stands in nobody's way: the jobs of this server go on.
            check_that_others_go_on(client)
            assert status_of(client) == "IN_PROGRESS"
        here.kill()
        relay.open()
        here = Serving(tmp_path / "here", *endpoint, workers=2, **SETTINGS)
        with contextlib.closing(Client(here.url)) as client:
            deadline = time.monotonic() + PATIENCE
            while status_of(client) == "IN_PROGRESS":
                with pytest.raises(Exception, match="timed out"):
                    here.process.wait(0.05)
                assert time.monotonic() < deadline, here.log.read_text()[-4000:]
            assert status_of(client) == "COMPLETE"
        # The layer went once, but for what was on its way when the server was killed.
        assert relay.passed < SIZE + MIB
        with contextlib.closing(Client(there.url)) as client:
            name = f"{ACCOUNT}/{FAR}/app"
            found = client.registry("GET", f"{name}/manifests/v1", headers={"Accept": OCI_MANIFEST})
            assert found.body == manifest
            for blob in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
                assert digest_of(client.registry("GET", f"{name}/blobs/{blob['digest']}").body) == blob["digest"]
        here.kill()
        check_files(here.data_dir)
    finally:
        relay.close()
        for serving in (here, there):
            if serving.process.poll() is None:
                serving.kill()


def check_that_others_go_on(client: Client) -> None:
    """A copy within this server is made while the layer is held up on its way to the other one."""
    rules = [{"destinations": [{"region": "eu-west-1", "registryId": ACCOUNT}]}]
    assert client.api("PutReplicationConfiguration", replicationConfiguration={"rules": rules}).status == 200
    assert client.api("CreateRepository", repositoryName="other").status == 200
    config = b"{}"
    assert client.push_layer("other", config).status == 201
    assert client.push_manifest("other", "v1", manifest_of(config)).status == 201
    deadline = time.monotonic() + PATIENCE
    while client.registry("GET", f"{ACCOUNT}/eu-west-1/other/manifests/v1").status != 200:
        assert time.monotonic() < deadline, "another job waits for the layer"
        threading.Event().wait(0.05)
