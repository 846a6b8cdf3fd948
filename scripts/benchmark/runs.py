"""Runs of a lifecycle policy that expires all images of a repository but one: begun, loaded meanwhile, waited for."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from benchmark.figures import BenchError, Figure
from benchmark.load import Outcome
from benchmark.processes import Server
from benchmark.run import Run
from benchmark.wire import HOST, Api

POLICY = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}


def start_for_days(run: Run, label: str) -> Server:
    """With tokens that outlive the days that the clock is turned."""
    target = run.targets[label]

    def environment(port: int) -> dict[str, str]:
        return {**target.environment(port), "ECRSIM_TOKEN_LIFETIME": str(30 * 24 * 3600)}

    return replace(target, environment=environment).start(run.directory(label), run.two_cores)


def middle_of(trials: int, load: Callable[[], Figure]) -> Figure:
    """The middle one of some loads. The best would be one that has missed the planning, or the longest batches."""
    taken = sorted((load() for _ in range(trials)), key=lambda figure: figure.value or 0.0)
    chosen = taken[len(taken) // 2]
    spread = " ".join(f"{figure.value:.4g}" for figure in taken if figure.value is not None)
    return replace(chosen, detail={**chosen.detail, "trials, sorted": spread})


def seconds_of_run(port: int, api: Api, repository: str, meanwhile: Callable[[], None] | None = None) -> float:
    """From turning the clock by a day until the job is done. `meanwhile` must be over before that."""
    _set_policy(api, repository)
    began = time.perf_counter()
    _turn_a_day(port)
    if meanwhile is not None:
        meanwhile()
        if _count(api, repository) < 2:
            raise BenchError("the run was over before the load was: it needs more images")
    _wait_until_done(port)
    took = time.perf_counter() - began
    if _count(api, repository) != 1:
        raise BenchError("the run has left something else than the newest image")
    return took


def under_a_run(port: int, api: Api, repository: str, load: Callable[[], Figure]) -> Figure:
    """What the load sees, and in the detail how long the run took with it."""
    figures: list[Figure] = []
    took = seconds_of_run(port, api, repository, lambda: figures.append(load()))
    return replace(figures[0], detail={**figures[0].detail, "run s": round(took, 2)})


def waits(outcome: Outcome) -> Figure:
    """The p99 of a load, in milliseconds."""
    detail = {
        "/s": round(outcome.rate),
        "p50 ms": round(outcome.percentile(0.5), 2),
        "longest ms": round(max(outcome.latencies) * 1000, 1),
        "answers": outcome.answers,
        "load busy": round(outcome.busy, 2),
    }
    return Figure(outcome.percentile(0.99), detail=detail)


def _set_policy(api: Api, repository: str) -> None:
    rules = [{"rulePriority": 1, "selection": POLICY, "action": {"type": "expire"}}]
    api.call("PutLifecyclePolicy", repositoryName=repository, lifecyclePolicyText=json.dumps({"rules": rules}))


def _count(api: Api, repository: str) -> int:
    return len(api.call("ListImages", repositoryName=repository, maxResults=100)["imageIds"])


def _turn_a_day(port: int) -> None:
    """And a moment more: whatever is due within a day is due now."""
    now = datetime.fromisoformat(_admin(port, "GET", "clock")["now"])
    _admin(port, "PUT", "clock", {"mode": "offset", "now": (now + timedelta(days=1, seconds=1)).isoformat()})


def _wait_until_done(port: int, seconds: float = 600) -> None:
    def is_done() -> bool:
        now = datetime.fromisoformat(_admin(port, "GET", "clock")["now"])
        waiting = _admin(port, "GET", "jobs?state=PENDING")["jobs"]
        return all(datetime.fromisoformat(job["runAt"]) > now for job in waiting)

    _wait(is_done, seconds)


def _wait(is_done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            raise BenchError(f"the run does not end within {seconds:.0f} s")
        time.sleep(0.05)


def _admin(port: int, method: str, path: str, members: Mapping[str, Any] | None = None) -> Any:
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    try:
        connection.request(method, f"/_ecrsim/{path}", json.dumps(members) if members else None)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchError(f"{method} {path} answered {answer.status}: {content[:200].decode(errors='replace')}")
    return json.loads(content)
