"""Measures the unit costs: one worker of this checkout over PostgreSQL, asked for one kind of request after the other.

CPU time is that of the processes as Linux counts it, in hundredths of a second over thousands of requests, so a machine
that others use as well disturbs it little. Statements and bytes are counted by a relay between node and database.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
from benchmark.wire import Api

from sizes.relay import Counts, Relay

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
#: Seconds in which a node comes to rest.
REST = 2
#: Requests of a kind, images that are there meanwhile, and bytes of the layer that is moved to weigh a byte.
COUNT, IMAGES, BIG = 2000, 500, 256 * 1024 * 1024
_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Cost(NamedTuple):
    """What one request took: seconds of the node and of the database server, statements, bytes between the two."""

    node: float
    database: float
    statements: float
    wire: float
    answer: float


class Client:
    """One connection to a node."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": "Basic " + base64.b64encode(f"AWS:{token}".encode()).decode()}

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, bytes]:
        """Status, headers, content."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, {**self._headers, **named})
        answer = self._connection.getresponse()
        content = b"" if answer.status == 307 and method == "HEAD" else answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return answer.status, answer.headers, content

    def close(self) -> None:
        self._connection.close()

    def upload(self, repository: str, data: bytes) -> str:
        """Upload a layer as containerd does; its digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        _, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        place = urlsplit(headers["Location"])
        query = f"{place.query}&" if place.query else ""
        self.ask("PUT", f"{place.path}?{query}digest={digest}", data)
        return digest


def login(port: int) -> str:
    """A token for the registry."""
    found = Api(port).call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(found).decode().partition(":")[2]


class Measured:
    """Asks, and weighs what the asking cost."""

    def __init__(self, node: int, database: psycopg.Connection[Any], counts: Counts) -> None:
        self._node, self._database, self._counts = node, database, counts
        directory = Path(str(self._one("SHOW data_directory")))
        self._postmaster = int((directory / "postmaster.pid").read_text().split()[0])
        time.sleep(REST)
        before = self._seen()
        time.sleep(5 * REST)
        #: What goes on in a second while nobody asks: node, database, statements, bytes.
        self.idle = [(new - old) / (5 * REST) for old, new in zip(before, self._seen(), strict=True)]

    def cost(self, count: int, work: Callable[[int], int]) -> Cost:
        """Of each of `count` works; a work returns the bytes of its answer."""
        before, began = self._seen(), time.perf_counter()
        answers = sum(work(number) for number in range(count))
        # Notes of pulls are written a moment later.
        time.sleep(1)
        seconds = time.perf_counter() - began
        node, database, statements, wire = (
            max(new - old - idle * seconds, 0) / count
            for old, new, idle in zip(before, self._seen(), self.idle, strict=True)
        )
        return Cost(node, database, statements, wire, answers / count)

    def _seen(self) -> tuple[float, float, float, float]:
        node, database = cpu_of(self._node), cpu_of(self._postmaster)
        return node, database, self._counts.statements, self._counts.bytes

    def backends(self) -> list[int]:
        """The processes of the server that serve ecrsim."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ecrsim'"
        return [pid for (pid,) in self._database.execute(query).fetchall()]

    def size(self) -> int:
        """Bytes of the database."""
        return int(self._one("SELECT pg_database_size(current_database())"))

    def _one(self, query: LiteralString) -> Any:
        row = self._database.execute(query).fetchone()
        return None if row is None else row[0]


def cpu_of(root: int) -> float:
    """Seconds of a process and all its descendants, those that have ended too."""
    parents: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found = (entry / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            parents.setdefault(int(found[1]), []).append(int(entry.name))
            used[int(entry.name)] = sum(map(int, found[11:15]))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0)
        waiting += parents.get(pid, [])
    return total / TICKS


def pss_of(pid: int) -> int:
    """Bytes of a process, what it shares counted in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def serving(url: str, data_dir: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A node with one worker over this database, and its port."""
    command = [sys.executable, "-m", "ecrsim", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ECRSIM_", "AWS_"))}
    environment |= {"PYTHONPATH": str(ROOT), "ECRSIM_DATABASE_URL": url, "ECRSIM_SCRUB_RATE": "0"}
    environment |= {"ECRSIM_QUOTA_LAYER_PART_MIN": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        line = process.stdout.readline() if process.stdout else ""
        try:
            yield process, int(line.rsplit(":", 1)[1])
        finally:
            process.terminate()


def machine(url: str) -> str:
    """Where it was measured, and when, in a line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    with psycopg.connect(url, autocommit=True) as database:
        server = database.info.server_version // 10_000
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(names)} cores of {names[0]}, load {os.getloadavg()[0]:.0f}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, PostgreSQL {server}"
    )


def measure(url: str, data_dir: Path) -> dict[str, float]:
    """The unit costs, by the names of `model.Units`. `url`: of an empty database on this machine, as its superuser."""
    parts = urlsplit(url)
    relay = Relay((parts.hostname or "127.0.0.1", parts.port or 5432))
    through = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{relay.port}"))
    with psycopg.connect(url, autocommit=True) as database:
        with serving(through, data_dir) as (process, port):
            found = _of_requests(Measured(process.pid, database, relay.counts), port, relay.counts)
        with serving(through, data_dir, "--blob-redirect") as (process, port):
            found |= _of_redirects(Measured(process.pid, database, relay.counts), port)
    relay.close()
    return found


def _manifest(layers: list[tuple[str, int]], note: str) -> bytes:
    entries = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}
        for digest, size in layers
    ]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": layers[0][0], "size": layers[0][1]}
    annotations = {"org.opencontainers.image.revision": note}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": _TYPE, "config": config, "layers": entries[1:], "annotations": annotations}
    ).encode()


def _of_requests(measured: Measured, port: int, counts: Counts) -> dict[str, float]:
    client = Client(port, login(port))
    Api(port).call("CreateRepository", repositoryName="app")
    layers = [os.urandom(1000) for _ in range(5)]
    base = [(client.upload("app", each), len(each)) for each in layers]
    manifests = [_manifest(base, f"{number}") for number in range(IMAGES + COUNT)]
    digests = ["sha256:" + hashlib.sha256(each).hexdigest() for each in manifests]

    def put(number: int) -> int:
        client.ask("PUT", f"/v2/app/manifests/v{number}", manifests[number], Content_Type=_TYPE)
        return 0

    def get(path: str) -> int:
        _, headers, content = client.ask("GET", path)
        return len(str(headers)) + len(content)

    def look(number: int) -> int:
        client.ask("HEAD", f"/v2/app/blobs/{base[number % 5][0]}")
        return 0

    def upload(_: int) -> int:
        client.upload("app", os.urandom(1000))
        return 0

    for number in range(IMAGES):
        put(number)
    by_tag = measured.cost(COUNT, lambda number: get(f"/v2/app/manifests/v{number % IMAGES}"))
    by_digest = measured.cost(COUNT, lambda number: get(f"/v2/app/manifests/{digests[number % IMAGES]}"))
    blob = measured.cost(COUNT, lambda number: get(f"/v2/app/blobs/{base[number % 5][0]}"))
    head = measured.cost(COUNT, look)
    pushed = measured.cost(COUNT // 4, upload)
    before = measured.size()
    added = measured.cost(COUNT, lambda number: put(IMAGES + number))
    grown = (measured.size() - before) / COUNT
    big = os.urandom(BIG)
    name = "sha256:" + hashlib.sha256(big).hexdigest()
    one = measured.cost(1, lambda _: len(client.upload("app", big)))
    many = measured.cost(4, lambda _: get(f"/v2/app/blobs/{name}"))
    together = _together(port, manifests[0], layers)
    backends = measured.backends()
    overhead = by_digest.answer - len(manifests[0])
    return {
        "node_manifest_get": (by_tag.node + by_digest.node) / 2,
        "node_blob_get": blob.node,
        "node_manifest_put": added.node,
        "node_blob_head": head.node,
        "node_layer_push": pushed.node,
        "node_byte_pulled": max(many.node - blob.node, 0) / BIG,
        "node_byte_pushed": max(one.node - pushed.node, 0) / BIG,
        "statements_manifest_get": (by_tag.statements + by_digest.statements) / 2,
        "statements_blob_get": blob.statements,
        "statements_manifest_put": added.statements,
        "statements_blob_head": head.statements,
        "statements_layer_push": pushed.statements,
        "database_manifest_get": (by_tag.database + by_digest.database) / 2,
        "database_blob_get": blob.database,
        "database_manifest_put": added.database,
        "database_blob_head": head.database,
        "database_layer_push": pushed.database,
        "idle_statements": measured.idle[2],
        "idle_database": measured.idle[1],
        "wire_manifest_get": (by_tag.wire + by_digest.wire) / 2,
        "wire_blob_get": blob.wire,
        "answer_overhead": overhead,
        "worker_connections": float(counts.most_connections),
        "connection_memory": sum(map(pss_of, backends)) / len(backends),
        "database_image": grown,
        "pushes_per_second": together,
    }


def _together(port: int, manifest: bytes, layers: list[bytes], clients: int = 16, each: int = 100) -> float:
    """Images a second that many clients put at once, each into a repository of its own."""
    token = login(port)
    names = [f"many/{number}" for number in range(clients)]
    parsed = json.loads(manifest)
    for name in names:
        client = Client(port, token)
        Api(port).call("CreateRepository", repositoryName=name)
        for layer in layers:
            client.upload(name, layer)
        client.close()
    barrier = threading.Barrier(clients + 1)

    def work(name: str) -> None:
        client = Client(port, token)
        barrier.wait()
        for number in range(each):
            body = json.dumps({**parsed, "annotations": {"n": f"{name} {number}"}}).encode()
            client.ask("PUT", f"/v2/{name}/manifests/v{number}", body, Content_Type=_TYPE)
        barrier.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    barrier.wait()
    return clients * each / (time.perf_counter() - began)


def _of_redirects(measured: Measured, port: int) -> dict[str, float]:
    client = Client(port, login(port))
    digest = client.upload("app", b"a layer to be led to")

    def get(_: int) -> int:
        status, headers, content = client.ask("GET", f"/v2/app/blobs/{digest}")
        if status != 307:
            raise RuntimeError(f"no redirect, but {status}")
        return len(str(headers)) + len(content)

    found = measured.cost(COUNT, get)
    return {"node_blob_redirect": found.node, "answer_redirect": found.answer}
