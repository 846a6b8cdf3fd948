"""Garbage collection while pushes are under way, in another process as fast as it can.

What a grace period covers is never taken: a layer that was acknowledged, or that a HEAD said is there, waits for its
manifest. Without a grace period a layer may go before its manifest comes, and the manifest is then refused. In both
cases an image that was acknowledged keeps every layer, and no other repository loses what one has given up.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.images.garbage import collect
from ecrsim.testing import Response, build_image, call_application
from tests.aging import age
from tests.concurrency.conftest import at_once
from tests.engine import settings, soon
from tests.faults.client import Client, manifest_of
from tests.faults.serving import Serving, clean_environment, run_gc
from tests.pushing import digest_of

#: The command itself, over and over until its standard input ends, without the start of a process each time.
LOOP = """
import select, sys
from ecrsim.cli import main
while not select.select([sys.stdin], [], [], 0)[0]:
    status = main(["gc", "--data-dir", sys.argv[1], "--grace", sys.argv[2]])
    if status:
        sys.exit(status)
    sys.stdout.flush()
"""
#: How many collections a test waits for, and how many turns of a pusher are enough for that.
ROUNDS, TURNS = 5, range(500)
CONFIG = b'{"architecture":"amd64","os":"linux"}'
PUSHERS = 4


@contextlib.contextmanager
def collecting(data_dir: Path, grace: int) -> Iterator[threading.Event]:
    """`ecrsim gc --grace N` in a loop, in a process of its own. The event says that there were `ROUNDS` of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(data_dir), str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment() | settings(data_dir),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines, enough = process.stdout, threading.Event()

    def count() -> None:
        for number, line in enumerate(lines, 1):
            assert line.startswith("collected ")
            if number == ROUNDS:
                enough.set()

    counter = threading.Thread(target=count)
    counter.start()
    try:
        yield enough
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)
        counter.join(60)
        process.stdout.close()
        process.stdin.close()
    assert enough.is_set()


def whole_image(client: Client, repository: str, reference: str) -> bool:
    """Whether the image is there; if it is, then with every layer."""
    pulled = client.registry("GET", f"{repository}/manifests/{reference}")
    if pulled.status == 404:
        return False
    document = pulled.json()
    for each in (document["config"], *document["layers"]):
        blob = client.registry("GET", f"{repository}/blobs/{each['digest']}")
        assert (blob.status, digest_of(blob.body)) == (200, each["digest"])
    return True


@pytest.mark.slow
def test_what_the_grace_period_covers_is_never_taken(server: Serving, client: Client, repository: str):
    """Layers wait for their manifest, sessions for their bytes, while everything that is due goes."""

    def push(other: Client, number: int) -> tuple[int, set[int]]:
        statuses = set()
        for turn in TURNS:
            layers = [b"%d %d %d" % (number, turn, part) * 2000 for part in range(3)]
            session = other.registry("POST", f"{repository}/blobs/uploads/").headers["Location"]
            statuses.add(other.registry("PATCH", session, CONFIG).status)
            for layer in layers:
                statuses.add(other.push_layer(repository, layer).status)
                statuses.add(other.registry("HEAD", f"{repository}/blobs/{digest_of(layer)}").status)
            statuses.add(other.registry("PUT", f"{session}?digest={digest_of(CONFIG)}").status)
            manifest = manifest_of(CONFIG, *layers)
            statuses.add(other.push_manifest(repository, f"t{number}-{turn}", manifest).status)
            if turn % 3 == 0:
                statuses.add(other.registry("DELETE", f"{repository}/manifests/{digest_of(manifest)}").status)
                # Its layers are still there: the period begins anew with the deletion.
                statuses.add(other.push_manifest(repository, f"t{number}-{turn}", manifest).status)
            if enough.is_set():
                return turn, statuses
        return turn, statuses

    with collecting(server.data_dir, 3600) as enough:
        results = at_once(server, PUSHERS, push)
    for number, (last, statuses) in enumerate(results):
        assert statuses == {200, 201, 202}
        for turn in range(last + 1):
            assert whole_image(client, repository, f"t{number}-{turn}")


@pytest.mark.slow
def test_without_a_grace_period_an_image_is_whole_or_refused(server: Serving, client: Client, repository: str):
    """The layers are shared by all pushers, so that each one's deletion is a chance to lose another's layer."""
    shared = [b"shared layer %d" % number * 3000 for number in range(3)]

    def push(other: Client, number: int) -> Counter[tuple[int, str]]:
        seen = Counter[tuple[int, str]]()
        for turn in TURNS:
            own = b"%d %d" % (number, turn)
            for data in (own, *shared):
                assert other.push_layer(repository, data).status == 201
            answer = other.push_manifest(repository, f"z{number}", manifest_of(own, *shared))
            seen[answer.status, answer.code] += 1
            if answer.status == 201:
                assert whole_image(other, repository, f"z{number}")
                if turn % 2:
                    deleted = other.registry(
                        "DELETE", f"{repository}/manifests/{answer.headers['Docker-Content-Digest']}"
                    )
                    assert deleted.status == 202
            if enough.is_set() and seen[201, ""] > 1:
                break
        return seen

    with collecting(server.data_dir, 0) as enough:
        seen = sum(at_once(server, PUSHERS, push), Counter[tuple[int, str]]())
    assert set(seen) <= {(201, ""), (404, "BLOB_UPLOAD_UNKNOWN")}
    assert seen[201, ""] > 0
    for number in range(PUSHERS):
        whole_image(client, repository, f"z{number}")


@pytest.mark.slow
def test_an_upload_under_way_is_never_taken(server: Serving, client: Client, repository: str):
    """However short the period: a session is there until it expires."""
    pieces = [b"piece %d" % number * 30_000 for number in range(8)]
    location = client.registry("POST", f"{repository}/blobs/uploads/").headers["Location"]
    received = 0
    for piece in pieces:
        assert client.registry("PATCH", location, piece).status == 202
        received += len(piece)
        run = run_gc(server.data_dir, "--grace", "0") if piece in pieces[::4] else ""
        assert run == "" or run.startswith("collected ")
        assert client.registry("GET", location).headers["Range"] == f"0-{received - 1}"
    assert client.registry("PUT", f"{location}?digest={digest_of(b''.join(pieces))}").status == 201


def test_a_download_goes_on_while_its_layer_is_collected(server: Serving, client: Client, repository: str):
    data = bytes(range(256)) * 64 * 1024  # 16 MiB, more than sockets hold
    assert client.push_layer(repository, data).status == 201
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Basic {client.token()}"}
    with contextlib.closing(connection):
        connection.request("GET", f"/v2/{repository}/blobs/{digest_of(data)}", headers=headers)
        response = connection.getresponse()
        first = response.read(1000)
        run_gc(server.data_dir, "--grace", "0")
        assert client.registry("GET", f"{repository}/blobs/{digest_of(data)}").status == 404
        assert first + response.read() == data


# In one process, where the clock can be turned. Another Ecrsim over the same directory stands for another process.


class Pusher:
    """A registry client of one ecrsim in this process."""

    def __init__(self, sim: Ecrsim) -> None:
        self.sim = sim
        self.client = sim.client("ecr")

    def ask(
        self, method: str, path: str, body: bytes = b"", *, repository: str = "app", stream: io.BytesIO | None = None
    ) -> Response:
        """`stream`: what the server reads the body from, in place of a plain one."""
        token = self.client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        headers = {"Authorization": f"Basic {token}"}

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            return self.sim.app(environ | ({"wsgi.input": stream} if stream else {}), start_response)

        return call_application(application, method, f"http://localhost/v2/{repository}/{path}", headers, body)


class SlowBody(io.BytesIO):
    """Does something before its first byte is read."""

    def __init__(self, data: bytes, first: Callable[[], object]) -> None:
        super().__init__(data)
        self._first = first

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() == 0:
            self._first()
        return super().read(size)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Pusher, Ecrsim]]:
    """A pusher, and a second ecrsim over the same directory."""
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as one, Ecrsim(socket=False, data_dir=str(tmp_path)) as other:
        pusher = Pusher(one)
        pusher.client.create_repository(repositoryName="app")
        yield pusher, other


def turn(pusher: Pusher, other: Ecrsim, hours: float) -> None:
    """Over one data directory there is one clock: who turns it turns it for all."""
    pusher.sim.advance(hours=hours)
    soon(lambda: other.runtime.clock.setting == pusher.sim.runtime.clock.setting)


LAYER = b"a layer that waits"
DIGEST = digest_of(LAYER)


@pytest.mark.parametrize("hours", [4, 13, 23.9, 25, 1000])
@pytest.mark.parametrize("plane", ["HEAD", "BatchCheckLayerAvailability", "CompleteLayerUpload", "POST"])
def test_what_a_pusher_was_told_is_there_is_kept_for_it(two: tuple[Pusher, Ecrsim], plane: str, hours: float):
    """The other process collects right after the answer, however old the layer has become."""
    pusher, other = two
    assert pusher.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER).status == 201
    turn(pusher, other, hours)
    if plane == "HEAD":
        assert pusher.ask("HEAD", f"blobs/{DIGEST}").status == 200
    elif plane == "POST":
        assert pusher.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER).status == 201
    elif plane == "CompleteLayerUpload":
        upload_id = pusher.client.initiate_layer_upload(repositoryName="app")["uploadId"]
        pusher.client.upload_layer_part(
            repositoryName="app", uploadId=upload_id, partFirstByte=0, partLastByte=len(LAYER) - 1, layerPartBlob=LAYER
        )
        with pytest.raises(pusher.client.exceptions.LayerAlreadyExistsException):
            pusher.client.complete_layer_upload(repositoryName="app", uploadId=upload_id, layerDigests=[DIGEST])
    else:
        answer = pusher.client.batch_check_layer_availability(repositoryName="app", layerDigests=[DIGEST])
        assert answer["layers"][0]["layerAvailability"] == "AVAILABLE"
    assert collect(other.runtime).layers == 0
    turn(pusher, other, 2)
    assert collect(other.runtime).layers == 0
    assert pusher.ask("GET", f"blobs/{DIGEST}").body == LAYER


def test_a_layer_that_nobody_asked_for_goes_after_the_grace_period(two: tuple[Pusher, Ecrsim]):
    pusher, other = two
    pusher.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER)
    turn(pusher, other, 23.9)
    assert collect(other.runtime) == (0, 0, 0, 0)
    turn(pusher, other, 0.2)
    assert collect(other.runtime) == (1, 1, len(LAYER), 0)
    assert pusher.ask("HEAD", f"blobs/{DIGEST}").status == 404
    # Pushed again, it is there again.
    assert pusher.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER).status == 201
    assert pusher.ask("GET", f"blobs/{DIGEST}").body == LAYER


def test_the_period_begins_when_the_bytes_are_there(two: tuple[Pusher, Ecrsim]):
    """A push that takes longer than the period is not collected as soon as it is done."""
    pusher, other = two
    slow = SlowBody(LAYER, lambda: turn(pusher, other, 30))
    assert pusher.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER, stream=slow).status == 201
    assert collect(other.runtime).layers == 0


def test_a_deleted_image_keeps_its_layers_for_a_period(two: tuple[Pusher, Ecrsim]):
    pusher, other = two
    image = build_image(LAYER)
    for digest, data in image.blobs.items():
        pusher.ask("POST", f"blobs/uploads/?digest={digest}", data)
    assert pusher.ask("PUT", "manifests/v1", image.manifest).status == 201
    turn(pusher, other, 100)
    assert collect(other.runtime) == (0, 0, 0, 0)
    pusher.ask("DELETE", f"manifests/{image.digest}")
    turn(pusher, other, 23)
    assert collect(other.runtime) == (0, 0, 0, 0)
    assert pusher.ask("PUT", "manifests/v1", image.manifest).status == 201
    pusher.ask("DELETE", f"manifests/{image.digest}")
    turn(pusher, other, 25)
    assert collect(other.runtime)[:2] == (2, 2)


def test_bytes_that_another_repository_has_stay(two: tuple[Pusher, Ecrsim]):
    pusher, other = two
    pusher.client.create_repository(repositoryName="other")
    for repository in ("app", "other"):
        assert pusher.ask("POST", f"blobs/uploads/?digest={DIGEST}", LAYER, repository=repository).status == 201
    pusher.client.delete_repository(repositoryName="other", force=True)
    assert collect(other.runtime, 3600) == (0, 0, 0, 0)
    assert pusher.ask("GET", f"blobs/{DIGEST}").body == LAYER
    pusher.client.delete_repository(repositoryName="app", force=True)
    # Nothing names them any more: they are kept for the period by their own age.
    assert collect(other.runtime, 3600) == (0, 0, 0, 0)
    age(other.runtime.data_dir, hours=2)
    assert collect(other.runtime, 3600) == (0, 1, len(LAYER), 0)


def test_a_session_expires_unless_somebody_is_at_work_on_it(two: tuple[Pusher, Ecrsim]):
    pusher, other = two
    stale, used = (pusher.ask("POST", "blobs/uploads/").headers["Docker-Upload-UUID"] for _ in range(2))
    found: list[object] = []

    def expire() -> None:
        turn(pusher, other, 25)
        found.append(collect(other.runtime))

    slow = SlowBody(LAYER, expire)
    assert pusher.ask("PUT", f"blobs/uploads/{used}?digest={DIGEST}", LAYER, stream=slow).status == 201
    assert found == [(0, 0, 0, 1)]
    assert pusher.ask("GET", f"blobs/uploads/{stale}").status == 404
    assert list(other.runtime.blobs.uploads()) == []


def test_bytes_whose_process_died_before_their_row_are_collected(two: tuple[Pusher, Ecrsim]):
    pusher, other = two
    blobs = pusher.sim.runtime.blobs
    blobs.put(DIGEST, LAYER)
    blobs.create_upload("5e5510e0-0000-4000-8000-000000000000")
    # They may be what a push is about to name: their own age decides.
    assert collect(other.runtime) == (0, 0, 0, 0)
    turn(pusher, other, 1000)
    assert collect(other.runtime) == (0, 0, 0, 0)
    age(other.runtime.data_dir)
    assert collect(other.runtime) == (0, 1, len(LAYER), 1)
    assert list(blobs.blobs()) == list(blobs.uploads()) == []
