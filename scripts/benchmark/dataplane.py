"""The registry rows: pushes and pulls of one large blob, and manifest GETs, on the same two cores for every server.

Blobs are new in each trial, and dirty pages of earlier ones are written out before a trial begins, so that no server
waits for another's bytes.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.images import ImageSet
from benchmark.load import run_load, run_wrk
from benchmark.processes import Server, stopping
from benchmark.registry import Blob, BlobSource, Registry, open_registry, timed_megabytes
from benchmark.run import Run
from benchmark.targets import ECRSIM, ECRSIM_2, REGISTRY
from benchmark.wire import DOCKER_MANIFEST, HOST, get_request

BLOB_ROWS = ("blob-push-whole", "blob-push-chunked", "blob-pull")
MANIFEST_ROWS = ("manifest-by-tag", "manifest-by-digest")
ROWS = (*BLOB_ROWS, *MANIFEST_ROWS)
LABELS = (ECRSIM, ECRSIM_2, REGISTRY)
REPOSITORY = "bench/registry"
CONNECTIONS = 16


@dataclass(frozen=True)
class _Plane:
    """The servers of these rows, and a client for each."""

    run: Run
    servers: Mapping[str, Server]
    registries: Mapping[str, Registry]
    reasons: Mapping[str, str]

    def row(self, name: str, what: str, unit: str, sample: Callable[[str], Figure], goal: float) -> Row:
        self.run.say(what)
        figures = best_of(self.run.plan.trials, LABELS, sample, "more", self.reasons)
        compared = tuple(Comparison(label, REGISTRY, Goal("≥", goal)) for label in (ECRSIM, ECRSIM_2))
        return Row(name, what, unit, figures, compared)


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    if not set(ROWS) & set(wanted):
        return rows
    servers: dict[str, Server] = {}
    with stopping(servers):
        reasons = run.start(LABELS, run.two_cores, servers)
        registries = {}
        for label, server in servers.items():
            try:
                registries[label] = open_registry(server.port, REPOSITORY, is_ecr=label != REGISTRY)
            except BenchError as error:
                reasons[label] = str(error)
        plane = _Plane(run, servers, registries, reasons)
        if set(BLOB_ROWS) & set(wanted):
            rows += _blob_rows(plane, wanted)
        rows += _manifest_rows(plane, wanted)
    run.clear()
    return rows


def _blob_rows(plane: _Plane, wanted: Sequence[str]) -> list[Row]:
    source = BlobSource(plane.run.plan.blob_bytes)
    blob = plane.run.plan.blob
    last: dict[str, Blob] = {}

    def pushing(push: Callable[[Registry, Blob], None]) -> Callable[[str], Figure]:
        def sample(label: str) -> Figure:
            last[label] = source.blob()
            os.sync()
            return Figure(timed_megabytes(last[label].size, lambda: push(plane.registries[label], last[label])))

        return sample

    def pulling(label: str) -> Figure:
        registry = plane.registries[label]
        if label not in last:
            last[label] = source.blob()
            registry.push_whole(last[label])
        registry.pull(last[label].digest, check=True)
        os.sync()
        return Figure(timed_megabytes(last[label].size, lambda: registry.pull(last[label].digest)))

    rows = []
    if "blob-push-whole" in wanted:
        what = f"blob push {blob}, one PUT"
        rows.append(plane.row("blob-push-whole", what, "MB/s", pushing(Registry.push_whole), 2.5))
    if "blob-push-chunked" in wanted:
        what = f"blob push {blob}, chunked PATCH"
        rows.append(plane.row("blob-push-chunked", what, "MB/s", pushing(Registry.push_chunked), 1.2))
    if "blob-pull" in wanted:
        rows.append(plane.row("blob-pull", f"blob pull {blob}", "MB/s", pulling, 1))
    return rows


def _manifest_rows(plane: _Plane, wanted: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    if not set(MANIFEST_ROWS) & set(wanted):
        return rows
    images = ImageSet(10)
    digest = ""
    reasons = dict(plane.reasons)
    for label, registry in plane.registries.items():
        try:
            digest = registry.push_image(images, 1234, "bench")
            if any(
                registry.get_manifest(reference) != images.manifest(1234).encode() for reference in ("bench", digest)
            ):
                reasons[label] = "answers another manifest than was pushed"
        except (BenchError, OSError) as error:
            reasons[label] = str(error)
    plane = _Plane(plane.run, plane.servers, plane.registries, reasons)
    for name, reference in zip(MANIFEST_ROWS, ("bench", digest), strict=True):
        if name in wanted:
            what = f"manifest GET {name[9:].replace('-', ' ')}, {CONNECTIONS} connections"
            rows.append(plane.row(name, what, "/s", _getting(plane, reference), 5))
    return rows


def _getting(plane: _Plane, reference: str) -> Callable[[str], Figure]:
    run = plane.run

    def sample(label: str) -> Figure:
        port = plane.servers[label].port
        path = f"/v2/{REPOSITORY}/manifests/{reference}"
        headers = {**plane.registries[label].headers, "Accept": DOCKER_MANIFEST}
        if run.wrk:
            rate = run_wrk(run.wrk, f"http://{HOST}:{port}{path}", headers, CONNECTIONS, run.plan.seconds)
            return Figure(rate, detail={"load": "wrk"})
        cores = run.load_beside_two
        outcome = run_load(
            port, [get_request(path, headers)], CONNECTIONS, run.plan.seconds, cores, min(2, len(cores) or 1)
        )
        return Figure(outcome.rate, detail={"load": "own", "load busy": round(outcome.busy, 2)})

    return sample
