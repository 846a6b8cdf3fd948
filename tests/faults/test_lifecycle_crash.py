"""`kill -9` of the whole server in the middle of a lifecycle run, again and again over one data directory.

A restart ends the run by itself, and then everything is as if nobody had been killed: exactly the images that were
planned are gone or archived, what is kept can be pulled, each event is there once and was delivered, each job is done
once and the next run is due.

`LIFECYCLE_CRASH_ROUNDS` sets the number of rounds, `CRASH_SEED` where they begin: a round that failed names its seed.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecrsim.core.clock import iso, parse_iso
from ecrsim.core.durations import DAY, SECOND
from tests.faults.client import Client, Gone
from tests.faults.outbox import Deliveries, check_told, outbox
from tests.faults.serving import Serving
from tests.faults.stock import Run, Stock
from tests.faults.test_crash import check_files

ROUNDS = int(os.environ.get("LIFECYCLE_CRASH_ROUNDS") or 5)
SEED = int(os.environ.get("CRASH_SEED") or 20260101)
#: Rounds over one data directory: long enough for images to be expired from the archive.
TOGETHER = 10
BEGIN = parse_iso("2026-01-01T00:00:00Z")
#: Rounds after which what was archived in the first one has been expired.
ENOUGH = 5
#: A month between two runs, so that a few rounds fill the 90 days of the archive.
INTERVAL = 30 * DAY
SETTINGS = {
    "lifecycle_interval": INTERVAL // SECOND,
    "token_lifetime": 3650 * DAY // SECOND,
    "events_limit": 1_000_000,
    "gc_interval": 1,
}
#: Images that are pushed to each repository: at first, and before each run.
STOCKS = {"app": (60, 30), "tools": (9, 9)}
#: Pushes between two runs, each at its own time.
GROUPS = 3
EVALUATE = "evaluate-lifecycle-policy"
#: Seconds for what takes a moment on a machine that has nothing else to do.
PATIENCE = 60


class Place:
    """One data directory, its stocks, and the server over it, now with one worker and now with two."""

    def __init__(self, data_dir: Path, seed: int) -> None:
        self.data_dir = data_dir
        self.deliveries = Deliveries(data_dir / "events.jsonl")
        self.instants = random.Random(seed)  # noqa: S311 - the same instants for the same seed
        self.stocks = [Stock(name, seed + number) for number, name in enumerate(STOCKS)]
        self.starts = self.kills = 0
        #: Evaluations that must have been done, by key.
        self.done: Counter[str] = Counter()
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.serving = Serving(self.data_dir, workers=1 + self.starts % 2, **SETTINGS)
        self.client = Client(self.serving.url)

    def kill(self) -> None:
        self.client.close()
        self.serving.kill()
        self.kills += 1

    def close(self) -> None:
        self.client.close()
        self.deliveries.close()

    def admin(self, method: str, path: str, **members: Any) -> Any:
        body = json.dumps(members).encode() if members else b""
        answer = self.client.send(method, f"/_ecrsim/{path}", body, {"Content-Type": "application/json"})
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json()

    def jobs(self) -> list[dict[str, Any]]:
        found, after = [], 0
        while page := self.admin("GET", f"jobs?after={after}&limit=1000")["jobs"]:
            found += page
            after = page[-1]["id"]
        return found

    def last_event(self) -> int:
        """Its number in the outbox."""
        return int(self.admin("GET", "events?type=none")["next"])

    def alive(self, seconds: float) -> None:
        """Let the server go on for a moment, in which it must not end by itself."""
        with pytest.raises(subprocess.TimeoutExpired):
            self.serving.process.wait(seconds)


def prepare(place: Place) -> None:
    """Two repositories whose policies are due at the same instant."""
    place.admin("PUT", "clock", mode="frozen", now=iso(BEGIN))
    place.admin("PUT", "targets", **place.deliveries.document())
    for stock in place.stocks:
        stock.create(place.client)
        stock.push(place.client, STOCKS[stock.repository][0])


def fill(place: Place) -> list[Run]:
    """New images, and some from the archive again. What the runs must do that are due a month after those before."""
    now = parse_iso(place.admin("GET", "clock")["now"])
    for stock in place.stocks:
        stock.restore(place.client, stock.images(place.client), 2)
    for group in range(GROUPS):
        place.admin("PUT", "clock", now=iso(now + (1 + group * 9) * DAY))
        for stock in place.stocks:
            stock.push(place.client, STOCKS[stock.repository][1] // GROUPS * 3)
    place.admin("POST", "jobs/run")  # the end of the restores, if no worker has come to it yet
    jobs = place.jobs()
    return [stock.run_to_come(place.client, jobs, parse_iso) for stock in place.stocks]


class Progress:
    """How far a run is, read from the database while it goes on: 0 when the clock was turned, 1 when it is planned,
    and one more for each event."""

    def __init__(self, data_dir: Path, due: int, before: int) -> None:
        self._database = sqlite3.connect(f"file:{data_dir / 'ecrsim.db'}?mode=ro", uri=True, isolation_level=None)
        self._due, self._before = due, before

    def close(self) -> None:
        self._database.close()

    def _value(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]

    def __call__(self) -> int:
        told = self._value("SELECT max(sequence) FROM events") - self._before
        if told:
            return 1 + int(told)
        if self.is_planned:
            return 1
        return 0 if json.loads(self._value("SELECT value FROM properties WHERE name = 'clock'"))[1] >= self._due else -1

    @property
    def is_planned(self) -> bool:
        """A plan is written down that is not carried out to its end."""
        return bool(self._value("SELECT count(*) FROM lifecycle_runs"))


def turn(place: Place, due: int) -> None:
    """Make the runs due: they go on in this request, or in a thread of whichever worker sees it first."""
    client = Client(place.serving.url)
    try:
        if place.instants.random() < 0.5:
            now = parse_iso(place.admin("GET", "clock")["now"])
            body = {"seconds": (due - now) / SECOND}
            answer = client.send("POST", "/_ecrsim/clock/advance", json.dumps(body).encode())
        else:
            answer = client.send("PUT", "/_ecrsim/clock", json.dumps({"now": iso(due)}).encode())
        assert answer.status == 200, answer.body
    except Gone:
        pass
    finally:
        client.close()


def crash(place: Place, due: int, before: int, most: int) -> bool:
    """Begin the runs and kill the server at some point of their way, and perhaps again when they go on.

    True when a run was cut off that had been planned.
    """
    cut = False
    with closing(Progress(place.data_dir, due, before)) as progress, ThreadPoolExecutor(1) as pool:
        turning = pool.submit(turn, place, due)
        while True:
            begun = min(max(0, progress()), most)
            wait_for(place, progress, place.instants.randint(begun, most))
            place.alive(place.instants.random() / 200)
            place.kill()
            turning.result(PATIENCE)
            cut = cut or progress.is_planned
            if begun >= most or place.instants.random() < 0.7:
                return cut
            place.start()


def wait_for(place: Place, progress: Progress, wanted: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while progress() < wanted:
        place.alive(0.0005)
        assert time.monotonic() < deadline, f"the run has come to a halt:\n{place.serving.log.read_text()[-4000:]}"


def wait_for_the_end(place: Place, due: int) -> None:
    """Nobody tells the server to go on."""
    assert parse_iso(place.admin("GET", "clock")["now"]) == due
    deadline = time.monotonic() + PATIENCE
    while any(parse_iso(job["runAt"]) <= due for job in place.admin("GET", "jobs?state=PENDING&limit=1000")["jobs"]):
        place.alive(0.02)
        assert time.monotonic() < deadline, f"the run does not end:\n{place.serving.log.read_text()[-4000:]}"


# --- what must be true then -------------------------------------------------------------------------------------------


def check_jobs(place: Place, runs: list[Run]) -> None:
    """Every evaluation was done once, at its instant, and the next one waits."""
    jobs = place.jobs()
    place.done.update(run.key for run in runs)
    assert {job["state"] for job in jobs} <= {"DONE", "PENDING"}, jobs
    assert all(job["attempts"] == 0 and job["error"] is None for job in jobs)
    evaluations = [job for job in jobs if job["kind"] == EVALUATE]
    done = [job for job in evaluations if job["state"] == "DONE"]
    assert Counter(job["key"] for job in done) == place.done
    assert all(job["ranAt"] == job["runAt"] for job in done)
    for run in runs:
        waiting = [job["runAt"] for job in evaluations if job["key"] == run.key and job["state"] == "PENDING"]
        assert waiting == [iso(run.due + INTERVAL)]
        policy = place.client.api("GetLifecyclePolicy", repositoryName=run.repository).json()
        assert round(policy["lastEvaluatedAt"] * SECOND) == run.due


def check(place: Place, runs: list[Run], before: int) -> None:
    for stock, run in zip(place.stocks, runs, strict=True):
        assert stock.images(place.client) == run.after(), run.repository
        stock.check_pulls(place.client, run)
    check_told([event for _, event in outbox(place.client, before)], runs)
    check_jobs(place, runs)
    place.admin("POST", "targets/settle", seconds=PATIENCE)
    place.deliveries.check(place.client, place.kills)


def one_round(place: Place) -> tuple[bool, list[Run]]:
    """Whether a run was cut off, and what was to be done."""
    runs = fill(place)
    before = place.last_event()
    due = runs[0].due
    assert {run.due for run in runs} == {due}
    cut = crash(place, due, before, sum(run.told().total() for run in runs))
    check_files(place.data_dir)
    place.start()
    wait_for_the_end(place, due)
    check(place, runs, before)
    return cut, runs


@pytest.mark.crash
def test_a_run_that_was_killed_ends_after_the_restart(tmp_path: Path):
    cuts, rules = 0, set[int | None]()
    for first in range(0, ROUNDS, TOGETHER):
        seed = SEED + first
        place = Place(tmp_path / f"data-{first}", seed)
        note = f"the beginning of CRASH_SEED={seed}"
        try:
            prepare(place)
            for number in range(first, min(first + TOGETHER, ROUNDS)):
                note = f"round {number} of CRASH_SEED={seed}"
                cut, runs = one_round(place)
                cuts += cut
                rules.update(each.rule_priority for run in runs for each in run.decisions)
        except BaseException as error:
            error.add_note(note)
            if place.serving.process.poll() is None:
                place.kill()
            raise
        finally:
            place.close()
        log = place.serving.log.read_text()
        assert place.serving.stop() == 0
        assert "Traceback" not in log, log[-4000:]
    if ROUNDS >= ENOUGH:
        assert cuts * 5 >= ROUNDS, f"only {cuts} of {ROUNDS} runs were cut off"
        # Each rule has acted, and something has followed its subject.
        assert rules == {1, 2, 3, 4, 5, None}
