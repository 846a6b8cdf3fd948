"""The replication rows: how many copies are made in a minute while others push, and what those pushes feel of it.

ecrsim alone, beside itself: no peer makes copies. All copies are due at one instant, so that the thread for jobs makes
one after the other, as fast as it can, for as long as the pushes go on; they must be over before the copies are.
"""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from benchmark.api import fill_images
from benchmark.figures import BenchError, Comparison, Figure, Goal, Row
from benchmark.images import ImageSet
from benchmark.load import run_load
from benchmark.processes import Server, stopping
from benchmark.registry import Registry
from benchmark.run import Run
from benchmark.targets import ECRSIM, ECRSIM_2
from benchmark.wire import DOCKER_MANIFEST, HOST, Api, put_request

ROWS = ("replication-rate", "replication-push")
LABELS = (ECRSIM, ECRSIM_2)
IDLE = "without copies"
#: What is copied, and what is pushed beside it.
COPIED, PUSHED = "bench/copied", "bench/pushed"
#: Connections of the pushes, with one request in flight on each; seconds of one load; and more manifests than it needs.
PUSHING, SECONDS, MANIFESTS = 4, 1.5, 3_000
#: Seconds until a copy is due: none is, before all are there.
DELAY = 3_600
DESTINATION = {"region": "eu-west-1", "registryId": "000000000000"}


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if not set(ROWS) & set(wanted):
        return []
    rates: dict[str, Figure] = {}
    waits: dict[str, Figure] = {}
    for label in LABELS:
        servers: dict[str, Server] = {}
        with stopping(servers):
            try:
                server = servers[label] = _start(run, label)
                waits[f"{label}, {IDLE}"], waits[label], rates[label] = _beside_copies(run, server)
            except (BenchError, OSError, http.client.HTTPException) as error:
                missing = Figure(None, f"skipped: {error}")
                rates[label] = waits[label] = waits[f"{label}, {IDLE}"] = missing
    run.clear()
    alone = tuple(Comparison(label, goal=Goal("≥", 1_000, of="value")) for label in LABELS)
    beside = tuple(Comparison(label, f"{label}, {IDLE}", Goal("≤", 2)) for label in LABELS)
    rows = [
        Row(ROWS[0], f"replications beside pushes on {PUSHING} connections", "/min", rates, alone),
        Row(ROWS[1], f"manifest PUT beside replications, {PUSHING} connections, p99", "ms", waits, beside),
    ]
    return [row for row in rows if row.name in wanted]


def _start(run: Run, label: str) -> Server:
    target = run.targets[label]

    def environment(port: int) -> dict[str, str]:
        return {**target.environment(port), "ECRSIM_REPLICATION_DELAY": str(DELAY)}

    return replace(target, environment=environment).start(run.directory(label), run.two_cores)


def _beside_copies(run: Run, server: Server) -> tuple[Figure, Figure, Figure]:
    """p99 of a push without and with copies, and copies in a minute meanwhile."""
    images = ImageSet(20)
    api = Api(server.port)
    for repository in (COPIED, PUSHED):
        images.create_repository(api, repository)
    filters = [{"filter": COPIED, "filterType": "PREFIX_MATCH"}]
    rules = [{"destinations": [DESTINATION], "repositoryFilters": filters}]
    api.call("PutReplicationConfiguration", replicationConfiguration={"rules": rules})
    count = run.plan.expired // 2
    run.say(f"replication: {count:,} images to copy")
    fill_images(run, images, server.port, COPIED, range(count))
    token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    registry = Registry(server.port, PUSHED, token)
    headers = {**registry.headers, "Content-Type": DOCKER_MANIFEST}
    trials = run.plan.trials
    puts = [
        put_request(f"/v2/{PUSHED}/manifests/v{number}", headers, images.manifest(number).encode())
        for number in range(2 * trials * MANIFESTS)
    ]
    idle = _middle([_push(run, server, puts) for _ in range(trials)])
    _admin(server.port, "PUT", "clock", {"mode": "offset", "now": _later(server.port)})
    before, began = _waiting(server.port), time.perf_counter()
    busy = _middle([_push(run, server, puts) for _ in range(trials)])
    left, took = _waiting(server.port), time.perf_counter() - began
    api.close()
    if not left:
        raise BenchError("the copies were made before the load was over: it needs more of them")
    return idle, busy, Figure((before - left) / took * 60, detail={"copies": before - left, "s": round(took, 2)})


def _push(run: Run, server: Server, puts: list[bytes]) -> Figure:
    taken, puts[:] = puts[:MANIFESTS], puts[MANIFESTS:]
    outcome = run_load(server.port, taken, PUSHING, SECONDS, run.load_beside_two)
    if outcome.answers > len(taken):
        raise BenchError("more was pushed than there was")
    detail = {"/s": round(outcome.rate), "p50 ms": round(outcome.percentile(0.5), 2)}
    return Figure(outcome.percentile(0.99), detail=detail)


def _middle(figures: list[Figure]) -> Figure:
    return sorted(figures, key=lambda figure: figure.value or 0.0)[len(figures) // 2]


def _waiting(port: int) -> int:
    """Copies that are still to be made."""
    found: int = _admin(port, "GET", "jobs?limit=1")["counts"]["PENDING"]
    return found


def _later(port: int) -> str:
    now = datetime.fromisoformat(_admin(port, "GET", "clock")["now"])
    return (now + timedelta(seconds=DELAY + 60)).isoformat()


def _admin(port: int, method: str, path: str, members: Mapping[str, Any] | None = None) -> Any:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request(method, f"/_ecrsim/{path}", json.dumps(members) if members else None)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchError(f"{method} {path} answered {answer.status}: {content[:200].decode(errors='replace')}")
    return json.loads(content)
