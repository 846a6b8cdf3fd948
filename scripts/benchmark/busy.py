"""The row of a busy server: what clients wait for a manifest while ten layers are pushed and a lifecycle run goes on.

The layers are pushed again and again, in HTTP chunks as docker pushes, by threads of the benchmark on the cores of the
load. ecrsim alone, beside itself with nothing else to do.
"""

import contextlib
import http.client
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from benchmark.api import fill_images
from benchmark.figures import BenchError, Comparison, Figure, Goal, Row
from benchmark.images import ImageSet
from benchmark.load import run_load
from benchmark.processes import Server, pinned, stopping
from benchmark.registry import Blob, BlobSource, Registry
from benchmark.run import Run
from benchmark.runs import middle_of, start_for_days, under_a_run, waits
from benchmark.targets import ECRSIM, ECRSIM_2
from benchmark.wire import DOCKER_MANIFEST, Api, get_request

ROWS = ("busy-pull",)
LABELS = (ECRSIM, ECRSIM_2)
MIB = 1024 * 1024
UPLOADS, LAYER = 10, 64 * MIB
#: One request in flight on each, and seconds of one load: three of them must be over before the run is.
CONNECTIONS, SECONDS = 16, 0.7
KEPT, EXPIRING, PUSHED = "bench/kept", "bench/expiring", "bench/pushed"
IDLE = "idle"


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if ROWS[0] not in wanted:
        return []
    figures: dict[str, Figure] = {}
    servers: dict[str, Server] = {}
    with stopping(servers):
        for label in LABELS:
            try:
                servers[label] = start_for_days(run, label)
                figures |= _pulls(run, label, servers[label])
            except (BenchError, OSError, http.client.HTTPException) as error:
                figures[label] = figures[f"{label}, {IDLE}"] = Figure(None, f"skipped: {error}")
            if label in servers:
                servers[label].stop()
    run.clear()
    what = f"manifest GET while {UPLOADS} layers are pushed and a lifecycle run goes on, p99"
    compared = tuple(Comparison(label, f"{label}, {IDLE}", Goal("≤", 2)) for label in LABELS)
    return [Row(ROWS[0], what, "ms", figures, compared)]


def _pulls(run: Run, label: str, server: Server) -> dict[str, Figure]:
    images = ImageSet(20)
    api = Api(server.port)
    for repository in (KEPT, EXPIRING, PUSHED):
        images.create_repository(api, repository)
    token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    registry = Registry(server.port, KEPT, token)
    registry.push_image(images, 0, "bench")
    get = [get_request(f"/v2/{KEPT}/manifests/bench", {**registry.headers, "Accept": DOCKER_MANIFEST})]
    run.say(f"{label}: {run.plan.expired:,} images to expire, {UPLOADS} layers to push")
    fill_images(run, images, server.port, EXPIRING, range(run.plan.expired))
    source = BlobSource(LAYER)
    blobs = [source.blob() for _ in range(UPLOADS)]
    os.sync()

    def pull() -> Figure:
        return waits(run_load(server.port, get, CONNECTIONS, SECONDS, run.load_beside_two))

    idle = middle_of(run.plan.trials, pull)
    with _pushing(run, Registry(server.port, PUSHED, token), blobs) as count:
        busy = under_a_run(server.port, api, EXPIRING, partial(middle_of, run.plan.trials, pull))
        pushed = count()
    api.close()
    return {f"{label}, {IDLE}": idle, label: replace(busy, detail={**busy.detail, "layers pushed": pushed})}


@contextlib.contextmanager
def _pushing(run: Run, registry: Registry, blobs: list[Blob]) -> Iterator[Callable[[], int]]:
    """While the block lasts; how many layers have come. `BenchError` when one could not be pushed."""
    pushed: list[Blob] = []
    problems: list[str] = []
    begun = threading.Barrier(len(blobs) + 1)
    is_over = threading.Event()

    def push(blob: Blob) -> None:
        try:
            begun.wait(60)
            while not is_over.is_set():
                try:
                    registry.push_chunked(blob)
                except BenchError as error:
                    # The clock is turned by days for the run, which ends the sessions of uploads under way.
                    if "BLOB_UPLOAD_UNKNOWN" not in str(error):
                        raise
                else:
                    pushed.append(blob)
        except (BenchError, OSError, http.client.HTTPException) as error:
            problems.append(str(error) or repr(error))

    threads = [threading.Thread(target=push, args=(blob,), daemon=True) for blob in blobs]
    with pinned(run.load_beside_two):
        for thread in threads:
            thread.start()
    begun.wait(60)
    try:
        yield lambda: len(pushed)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    if problems:
        raise BenchError(f"{len(problems)} pushes failed: {problems[0]}")
