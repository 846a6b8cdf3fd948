"""The lifecycle rows: what the engine needs, how fast a run is, and what others feel of a run that is under way.

ecrsim alone, beside itself: moto and ministack keep a policy but never run it. The engine is measured in a process of
its own. A run under way is one of the server's own thread for jobs, as in daily use; each load must be over before the
run is, or there is no figure.
"""

import http.client
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmark.api import fill_images
from benchmark.figures import BenchError, Comparison, Figure, Goal, Row
from benchmark.images import ImageSet
from benchmark.load import run_load
from benchmark.processes import Server, stopping
from benchmark.registry import Registry
from benchmark.run import Run
from benchmark.runs import middle_of, seconds_of_run, start_for_days, under_a_run, waits
from benchmark.targets import ECRSIM, ECRSIM_2
from benchmark.wire import DOCKER_MANIFEST, Api, get_request, put_request

PLAN_ROWS = ("lifecycle-plan", "lifecycle-plan-memory")
RUN_ROWS = ("lifecycle-run", "lifecycle-pull", "lifecycle-push")
ROWS = (*PLAN_ROWS, *RUN_ROWS)
LABELS = (ECRSIM, ECRSIM_2)
MIB = 1024 * 1024
#: Connections of the load: with one request in flight on each.
PULLING, PUSHING = 16, 4
#: Seconds of one load, so that three of them are over before a run is; and requests, more than it comes to.
SECONDS, MANIFESTS = 0.7, 3_000
#: What is pulled and pushed, and what runs work on: alone, under pulls, under pushes.
REPOSITORIES = KEPT, ALONE, PULLED, PUSHED = ("bench/kept", "bench/alone", "bench/pulled", "bench/pushed")
IDLE = "without a run"


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    if set(PLAN_ROWS) & set(wanted):
        rows += [row for row in _plan_rows(run) if row.name in wanted]
    if set(RUN_ROWS) & set(wanted):
        rows += [row for row in _run_rows(run) if row.name in wanted]
    return rows


# --- the engine -------------------------------------------------------------------------------------------------------


def _plan_rows(run: Run) -> list[Row]:
    """For each number of images, beside the smallest."""
    sizes = run.plan.planned
    run.say(f"lifecycle engine: {', '.join(f'{size:,}' for size in sizes)} images")
    try:
        found = _planned(run, sizes)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        missing = Figure(None, f"skipped: {error}")
        found = dict.fromkeys(sizes, (missing, missing))
    rows = []
    for number, (name, what, unit, goal) in enumerate(
        (
            (PLAN_ROWS[0], "lifecycle plan, 5 rules, images:", "s", Goal("<", 1, of="value")),
            (PLAN_ROWS[1], "memory of a lifecycle plan, images:", "MiB", None),
        )
    ):
        itself = f"itself at {sizes[0]:,}"
        for size in sizes:
            figures = {ECRSIM: found[size][number], itself: found[sizes[0]][number]}
            peer = itself if size != sizes[0] else ""
            rows.append(Row(name, f"{what} {size:,}", unit, figures, (Comparison(ECRSIM, peer, goal),)))
    return rows


def _planned(run: Run, sizes: Sequence[int]) -> dict[int, tuple[Figure, Figure]]:
    python, variables = run.python_of_ecrsim()
    done = subprocess.run(
        [*python, "-m", "benchmark.planning", *map(str, sizes)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"the engine cannot be measured: {done.stderr.strip()[-200:]}")
    return {int(size): _plan_figures(content) for size, content in json.loads(done.stdout).items()}


def _plan_figures(content: Mapping[str, Any]) -> tuple[Figure, Figure]:
    trials = " ".join(f"{value:.4g}" for value in content["seconds"])
    decided = {"decisions": int(content["decisions"])}
    return Figure(min(content["seconds"]), detail={"trials": trials, **decided}), Figure(content["peak"] / MIB)


# --- runs -------------------------------------------------------------------------------------------------------------


def _run_rows(run: Run) -> list[Row]:
    servers: dict[str, Server] = {}
    figures: dict[str, dict[str, Figure]] = {name: {} for name in RUN_ROWS}
    with stopping(servers):
        reasons: dict[str, str] = {}
        for label in LABELS:
            try:
                servers[label] = start_for_days(run, label)
                for name, taken in _beside_a_run(run, servers[label]).items():
                    figures[name] |= {_named(label, what): figure for what, figure in taken.items()}
            except (BenchError, OSError, http.client.HTTPException) as error:
                reasons[label] = str(error)
            if label in servers:
                servers[label].stop()
    run.clear()
    for label, reason in reasons.items():
        for taken in figures.values():
            taken[label] = taken[_named(label, IDLE)] = Figure(None, f"skipped: {reason}")
    return _rows(run, figures)


def _named(label: str, what: str) -> str:
    return f"{label}, {what}" if what else label


def _rows(run: Run, figures: dict[str, dict[str, Figure]]) -> list[Row]:
    alone, beside = (
        tuple(Comparison(label) for label in LABELS),
        tuple(Comparison(label, _named(label, IDLE), Goal("≤", 3)) for label in LABELS),
    )
    rates = {label: _rate(figure) for label, figure in figures[RUN_ROWS[1]].items()}
    slower = tuple(replace(each, goal=None) for each in beside)
    during = f"under a lifecycle run over {run.plan.expired:,} images"
    return [
        Row(RUN_ROWS[0], "lifecycle run, for 10,000 images expired", "s", figures[RUN_ROWS[0]], alone),
        Row(RUN_ROWS[1], f"manifest GET {during}, {PULLING} connections", "/s", rates, slower),
        Row(RUN_ROWS[1], f"manifest GET {during}, p99", "ms", figures[RUN_ROWS[1]], beside),
        Row(RUN_ROWS[2], f"manifest PUT {during}, {PUSHING} connections, p99", "ms", figures[RUN_ROWS[2]], beside),
    ]


def _rate(figure: Figure) -> Figure:
    rate = figure.detail.get("/s")
    return Figure(float(rate)) if rate is not None else figure


def _beside_a_run(run: Run, server: Server) -> dict[str, dict[str, Figure]]:
    """By row: the figure under a run, with the name "", and the one without."""
    images = ImageSet(20)
    api = Api(server.port)
    for repository in REPOSITORIES:
        images.create_repository(api, repository)
    token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    registry = Registry(server.port, KEPT, token)
    registry.push_image(images, 0, "bench")
    get = [get_request(f"/v2/{KEPT}/manifests/bench", {**registry.headers, "Accept": DOCKER_MANIFEST})]
    trials = run.plan.trials
    puts = [_put(registry, images, number) for number in range(1, 2 * trials * MANIFESTS + 1)]
    expired = run.plan.expired
    for repository, count in ((ALONE, expired // 2), (PULLED, expired), (PUSHED, expired)):
        run.say(f"lifecycle: {count:,} images to expire")
        fill_images(run, images, server.port, repository, range(count))

    def pull() -> Figure:
        return waits(run_load(server.port, get, PULLING, SECONDS, run.load_beside_two))

    def push() -> Figure:
        taken, puts[:] = puts[:MANIFESTS], puts[MANIFESTS:]
        outcome = run_load(server.port, taken, PUSHING, SECONDS, run.load_beside_two)
        if outcome.answers > len(taken):
            raise BenchError("more was pushed than there was")
        return waits(outcome)

    idle = {RUN_ROWS[1]: middle_of(trials, pull), RUN_ROWS[2]: middle_of(trials, push)}
    alone = seconds_of_run(server.port, api, ALONE) * 10_000 / (expired // 2)
    busy = {
        RUN_ROWS[1]: under_a_run(server.port, api, PULLED, partial(middle_of, trials, pull)),
        RUN_ROWS[2]: under_a_run(server.port, api, PUSHED, partial(middle_of, trials, push)),
    }
    api.close()
    return {RUN_ROWS[0]: {"": Figure(alone)}, **{name: {"": busy[name], IDLE: idle[name]} for name in idle}}


def _put(registry: Registry, images: ImageSet, number: int) -> bytes:
    headers = {**registry.headers, "Content-Type": DOCKER_MANIFEST}
    return put_request(f"/v2/{KEPT}/manifests/v{number}", headers, images.manifest(number).encode())
