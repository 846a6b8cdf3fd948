"""`kill -9` while jobs run: of the worker that runs them, and of the whole server. None is lost, none is done twice.

The jobs are runs of lifecycle policies, which take several transactions each. `CRASH_ROUNDS` sets the number of rounds,
up to twenty.
"""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import Client, Gone, manifest_of
from tests.faults.serving import Serving

ROUNDS = min(int(os.environ.get("CRASH_ROUNDS") or 4), 20)
SEED = int(os.environ.get("CRASH_SEED") or 20260101)
REPOSITORIES = ("app", "web", "batch")
#: Images that each run expires: more than it deletes in one transaction.
IMAGES = 70
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
            "action": {"type": "expire"},
        }
    ]
}
RAN = "AWS%20Service%20Event%20via%20CloudTrail"


class Registry:
    """Three repositories with a policy, on a server that may go and come again."""

    def __init__(self, url: str) -> None:
        self._client = Client(url)
        self._pushed = 0
        for name in REPOSITORIES:
            assert self._client.api("CreateRepository", repositoryName=name).status == 200
            assert self._client.push_layer(name, b"{}").status == 201
            policy = json.dumps(POLICY)
            answer = self._client.api("PutLifecyclePolicy", repositoryName=name, lifecyclePolicyText=policy)
            assert answer.status == 200, answer.body

    def connect(self, url: str) -> None:
        self.close()
        self._client = Client(url)

    def close(self) -> None:
        self._client.close()

    def push(self) -> None:
        # The clock has been turned since, and the worker of the connection may be gone.
        self._client.use_token("")
        self._client.close()
        for name in REPOSITORIES:
            for _ in range(IMAGES):
                self._pushed += 1
                manifest = manifest_of(b"{}", annotations={"number": str(self._pushed)})
                answer = self._client.push_manifest(name, f"v{self._pushed}", manifest)
                assert answer.status == 201, answer.body

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of the admin surface; asked again where a worker was killed that had the connection."""
        content = b"" if body is None else json.dumps(body).encode()
        # Where no worker is left, another takes half a second to come: a refused connection is no reason to hurry.
        for _ in range(600):
            try:
                answer = self._client.send(method, f"/_ecrsim/{path}", content)
            except Gone:
                threading.Event().wait(0.05)
                continue
            assert answer.status == 200, answer.body
            return answer.json()
        raise AssertionError("nobody answers")

    def turn_by_a_day(self) -> None:
        """Without running what becomes due: that is for the workers."""
        day = self.admin("GET", "clock")["now"][:10]
        year, month, number = map(int, day.split("-"))
        assert number < 28
        self.admin("PUT", "clock", {"now": f"{year}-{month:02}-{number + 1:02}T00:00:00Z"})

    def done(self) -> int:
        jobs = self.admin("GET", "jobs?limit=1000")
        assert jobs["counts"]["FAILED"] == 0, jobs
        return int(jobs["counts"]["DONE"])

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        pause = threading.Event()
        while self.done() < count:
            assert time.monotonic() < deadline, self.admin("GET", "jobs?limit=1000")
            pause.wait(0.05)

    def assert_all_ran(self, rounds: int) -> None:
        """As many runs of each policy as there were days; each image that is gone was expired once, by one event."""
        jobs = self.admin("GET", "jobs?limit=1000")["jobs"]
        states = collections.Counter((job["payload"]["repository_name"], job["state"]) for job in jobs)
        assert states == {
            **{(name, "DONE"): rounds for name in REPOSITORIES},
            **{(name, "PENDING"): 1 for name in REPOSITORIES},
        }
        expired = collections.Counter[str]()
        deleted = collections.Counter[str]()
        after = 0
        while entries := (page := self.admin("GET", f"events?limit=1000&after={after}"))["events"]:
            after = page["next"]
            for detail in (entry["event"]["detail"] for entry in entries):
                actions = (detail.get("serviceEventDetails") or {}).get("lifecycleEventImageActions", ())
                expired.update(each["lifecycleEventImage"]["digest"] for each in actions)
                if detail.get("action-type") == "DELETE":
                    deleted[detail["image-digest"]] += 1
        assert set(expired.values()) | set(deleted.values()) == {1}
        assert expired.keys() == deleted.keys()
        assert len(expired) == rounds * len(REPOSITORIES) * IMAGES - len(REPOSITORIES)
        for name in REPOSITORIES:
            left = self._client.api("ListImages", repositoryName=name).json()["imageIds"]
            assert len(left) == 1


SETTINGS = {"clock": "frozen@2026-01-01", "events_limit": 1_000_000}


@pytest.fixture
def instants() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - the same instants for the same seed


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "data", **SETTINGS) as serving:
        yield serving


def lock_holder(serving: Serving) -> int:
    """The worker that runs jobs now, or else any."""
    lock, workers = serving.data_dir / "ecrsim.db-jobs", serving.workers()
    locked = lock.stat().st_ino if lock.exists() else None
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(locked) and int(fields[4]) in workers:
            return int(fields[4])
    return workers[0]


@pytest.mark.crash
def test_a_worker_that_runs_jobs_is_killed(serving: Serving, instants: random.Random):
    registry = Registry(serving.url)
    for number in range(1, ROUNDS + 1):
        registry.push()
        registry.turn_by_a_day()
        for _ in range(2):
            threading.Event().wait(0.05 + instants.random() / 4)
            os.kill(lock_holder(serving), signal.SIGKILL)
        registry.wait_for(number * len(REPOSITORIES))
    registry.assert_all_ran(ROUNDS)
    registry.close()


@pytest.mark.crash
def test_the_server_is_killed_and_started_again(tmp_path: Path, instants: random.Random):
    """The clock goes on where it was, as the setting is one of the first start alone."""
    serving = Serving(tmp_path / "data", **SETTINGS)
    registry = Registry(serving.url)
    for number in range(1, ROUNDS + 1):
        registry.push()
        registry.turn_by_a_day()
        threading.Event().wait(0.05 + instants.random() / 3)
        serving.kill()
        serving = Serving(tmp_path / "data", **(SETTINGS | {"clock": ""}))
        registry.connect(serving.url)
        registry.wait_for(number * len(REPOSITORIES))
    registry.assert_all_ran(ROUNDS)
    assert registry.admin("GET", "clock")["now"] == f"2026-01-{ROUNDS + 1:02}T00:00:00.000Z"
    registry.close()
    assert serving.stop() == 0


@pytest.mark.crash
def test_advancing_goes_on_where_it_was_killed(tmp_path: Path, instants: random.Random):
    """Whoever advances by the rest of the way has the runs of all days, each once."""
    serving = Serving(tmp_path / "data", **SETTINGS, jobs="manual")
    registry = Registry(serving.url)
    registry.push()
    advancing = threading.Thread(target=_advance, args=(serving.url, 20))
    advancing.start()
    threading.Event().wait(0.1 + instants.random() / 5)
    serving.kill()
    advancing.join(60)
    serving = Serving(tmp_path / "data", **(SETTINGS | {"clock": ""}), jobs="manual")
    registry.connect(serving.url)
    day = int(registry.admin("GET", "clock")["now"][8:10])
    registry.admin("POST", "clock/advance", {"days": 21 - day})
    registry.admin("POST", "jobs/run", {})
    jobs = registry.admin("GET", "jobs?limit=1000")["jobs"]
    done = collections.Counter(job["payload"]["repository_name"] for job in jobs if job["state"] == "DONE")
    assert done == dict.fromkeys(REPOSITORIES, 20)
    assert {job["ranAt"][11:] for job in jobs if job["state"] == "DONE"} == {jobs[0]["ranAt"][11:]}
    registry.close()
    assert serving.stop() == 0


def _advance(url: str, days: int) -> None:
    client = Client(url)
    try:
        client.send("POST", "/_ecrsim/clock/advance", json.dumps({"days": days}).encode())
    except Gone:
        return
    finally:
        client.close()
