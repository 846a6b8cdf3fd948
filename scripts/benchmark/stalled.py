"""The rows of stalled peers: what one client waits for a manifest while 500 others hold a connection and do nothing.

Three sorts, each at its worst place: bodies that stop in the middle of an upload, readers that take nothing of a blob,
and requests whose headers do not end. Every server is put beside itself without them.
"""

import contextlib
import http.client
import resource
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.images import ImageSet
from benchmark.load import run_load
from benchmark.processes import Server, stopping
from benchmark.registry import Blob, BlobSource, Registry, open_registry
from benchmark.run import Run
from benchmark.targets import ECRSIM, REGISTRY
from benchmark.wire import DOCKER_MANIFEST, HOST, get_request

ROWS = ("stalled-bodies", "stalled-readers", "stalled-headers")
LABELS = (ECRSIM, REGISTRY)
PEERS = 500
CONNECTIONS = 4
MIB = 1024 * 1024
#: Seconds of computing in three tenths of a second, below which a server is at rest.
_QUIET = 0.02
REPOSITORY = "bench/stalled"


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if not set(ROWS) & set(wanted):
        return []
    servers: dict[str, Server] = {}
    with stopping(servers):
        reasons = run.start(LABELS, run.two_cores, servers)
        registries: dict[str, Registry] = {}
        blobs: dict[str, Blob] = {}
        source = BlobSource(64 * MIB)
        for label, server in servers.items():
            try:
                registries[label] = open_registry(server.port, REPOSITORY, is_ecr=label != REGISTRY)
                registries[label].push_image(ImageSet(2), 1, "bench")
                blobs[label] = source.blob()
                registries[label].push_whole(blobs[label])
            except (BenchError, OSError, http.client.HTTPException) as error:
                reasons[label] = str(error)
        rows = [_row(run, name, servers, registries, blobs, reasons) for name in ROWS if name in wanted]
    run.clear()
    return rows


def _row(
    run: Run,
    name: str,
    servers: Mapping[str, Server],
    registries: Mapping[str, Registry],
    blobs: Mapping[str, Blob],
    reasons: Mapping[str, str],
) -> Row:
    sort = name.removeprefix("stalled-")
    what = f"manifest GET beside {PEERS} stalled {sort}, p99"
    run.say(what)
    figures: dict[str, Figure] = {}
    for among, suffix in ((0, ", without them"), (PEERS, "")):

        def sample(label: str, among: int = among) -> Figure:
            with _stalling(registries[label], blobs[label], sort, among):
                _settle(servers[label])
                return _waited(run, registries[label])

        taken = best_of(run.plan.trials, LABELS, sample, "less", reasons)
        figures |= {f"{label}{suffix}": figure for label, figure in taken.items()}
    compared = tuple(
        Comparison(label, f"{label}, without them", Goal("≤", 3) if label == ECRSIM else None) for label in LABELS
    )
    return Row(name, what, "ms", figures, compared)


def _settle(server: Server) -> None:
    """Until what the peers' sockets take is in them: they have stalled, and not just begun."""
    deadline = time.monotonic() + 30
    before = -1.0
    while server.cpu_seconds() - before > _QUIET and time.monotonic() < deadline:
        before = server.cpu_seconds()
        time.sleep(0.3)


def _waited(run: Run, registry: Registry) -> Figure:
    headers = {**registry.headers, "Accept": DOCKER_MANIFEST}
    request = get_request(f"/v2/{REPOSITORY}/manifests/bench", headers)
    outcome = run_load(registry.port, [request], CONNECTIONS, run.plan.seconds, run.load_beside_two)
    detail = {"/s": round(outcome.rate), "p50 ms": round(outcome.percentile(0.5), 2), "answers": outcome.answers}
    return Figure(outcome.percentile(0.99), detail=detail)


@contextlib.contextmanager
def _stalling(registry: Registry, blob: Blob, sort: str, count: int) -> Iterator[None]:
    """That many peers, each of which has said its first words and says no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * PEERS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * PEERS), hard))
    with contextlib.ExitStack() as held:
        for _ in range(count):
            peer = held.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.settimeout(30)
            peer.connect((HOST, registry.port))
            peer.sendall(_first_words(registry, blob, sort))
        yield


def _first_words(registry: Registry, blob: Blob, sort: str) -> bytes:
    base = f"/v2/{registry.repository}/blobs"
    if sort == "readers":
        return get_request(f"{base}/{blob.digest}", registry.headers)
    if sort == "headers":
        return get_request(f"{base}/{blob.digest}", registry.headers)[:-3]
    return registry.begun_upload(MIB) + bytes(MIB // 16)
