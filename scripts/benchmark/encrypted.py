"""The rows of encryption at rest: one large blob pushed and pulled with `--encrypt`, beside the same ecrsim without."""

import os
from collections.abc import Sequence
from dataclasses import replace

from benchmark.dataplane import REPOSITORY
from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.processes import Server, stopping
from benchmark.registry import Blob, BlobSource, Registry, open_registry, timed_megabytes
from benchmark.run import Run
from benchmark.targets import ECRSIM

ROWS = ("blob-push-encrypted", "blob-pull-encrypted")
ENCRYPTED = "ecrsim --encrypt"
LABELS = (ENCRYPTED, ECRSIM)


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if not set(ROWS) & set(wanted):
        return []
    servers: dict[str, Server] = {}
    registries: dict[str, Registry] = {}
    rows = []
    with stopping(servers):
        reasons = run.start([ECRSIM], run.two_cores, servers)
        if ECRSIM in servers:
            servers[ENCRYPTED] = _start_encrypted(run)
        else:
            reasons[ENCRYPTED] = reasons[ECRSIM]
        for label, server in servers.items():
            try:
                registries[label] = open_registry(server.port, REPOSITORY, is_ecr=True)
            except BenchError as error:
                reasons[label] = str(error)
        source, last = BlobSource(run.plan.blob_bytes), dict[str, Blob]()

        def push(label: str) -> Figure:
            blob = last[label] = source.blob()
            os.sync()
            return Figure(timed_megabytes(blob.size, lambda: registries[label].push_whole(blob)))

        def pull(label: str) -> Figure:
            if label not in last:
                last[label] = source.blob()
                registries[label].push_whole(last[label])
            registries[label].pull(last[label].digest, check=True)
            os.sync()
            return Figure(timed_megabytes(last[label].size, lambda: registries[label].pull(last[label].digest)))

        for name, verb, sample in zip(ROWS, ("push", "pull"), (push, pull), strict=True):
            if name in wanted:
                what = f"blob {verb} {run.plan.blob}, encrypted at rest"
                run.say(what)
                figures = best_of(run.plan.trials, LABELS, sample, "more", reasons)
                rows.append(Row(name, what, "MB/s", figures, (Comparison(ENCRYPTED, ECRSIM, Goal("≥", 0.6)),)))
    run.clear()
    return rows


def _start_encrypted(run: Run) -> Server:
    target = run.targets[ECRSIM]

    def environment(port: int) -> dict[str, str]:
        return {**target.environment(port), "ECRSIM_ENCRYPT": "1"}

    return replace(target, environment=environment).start(run.directory(ENCRYPTED), run.two_cores)
