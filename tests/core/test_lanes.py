"""Lanes: jobs that take long stand in nobody's way, and whoever asks for jobs to be run gets an answer."""

from __future__ import annotations

import itertools
import threading

import pytest

from ecrsim.config import with_values
from ecrsim.core import jobs
from ecrsim.core.clock import Setting
from ecrsim.core.clock_advance import advance
from ecrsim.core.durations import SECOND
from ecrsim.core.household import Household
from ecrsim.core.jobs import run_due, run_lane
from ecrsim.core.runtime import root_caller
from tests.core.jobbing import HERE, rows

PATIENCE = 30


@pytest.fixture
def now(runtime):
    return runtime.clock.now()


def put(runtime, key, run_at, lane="", kind="note"):
    with runtime.call(root_caller(*HERE[:2])) as call, call.writing():
        jobs.enqueue(call, kind, run_at, HERE, key, lane=lane)


class Gate:
    """What a job does that waits until somebody lets it go on."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *_):
        self.begun.set()
        assert self.go_on.wait(PATIENCE)


@pytest.fixture
def working(runtime):
    """Jobs are run by threads of a household, as a worker of `ecrsim serve` has them."""
    household = Household(runtime)
    runtime.config = with_values(runtime.config, jobs="worker", gc_interval=0)
    household.work()
    yield runtime
    runtime.stopping.set()
    household.stop()


def test_others_run_while_a_lane_is_busy(working, book, now):
    """Those of the other lanes, and those in none."""
    gate, here, there = Gate(), threading.Event(), threading.Event()
    book.acts |= {"long": gate, "here": lambda *_: here.set(), "there": lambda *_: there.set()}
    put(working, "long", now, "site-a", "note-long")
    try:
        assert gate.begun.wait(PATIENCE)
        put(working, "behind it", now, "site-a")
        put(working, "here", now)
        put(working, "there", now, "site-b")
        assert here.wait(PATIENCE)
        assert there.wait(PATIENCE)
        assert "behind it" not in book.keys
    finally:
        gate.go_on.set()


def test_a_lane_runs_once_among_all_processes(runtime, book, now):
    other = type(runtime)(runtime.config)
    other.open()
    put(runtime, "x", now, "site-a")
    try:
        with other.exclusively("site-a"):
            assert run_lane(runtime, "site-a", wait=False) == []
        with other.exclusively(""):
            assert len(run_lane(runtime, "site-a", wait=False)) == 1
    finally:
        other.close()


def test_all_lanes_are_run_by_whoever_asks(runtime, book, now):
    for key, lane in (("a", "site-a"), ("b", ""), ("c", "site-c")):
        put(runtime, key, now, lane)
    put(runtime, "later", now + 1, "site-a")
    assert sorted(ran.job.key for ran in run_due(runtime)) == ["a", "b", "c"]
    assert jobs.lanes(runtime) == ["site-a"]
    assert [(job.key, job.lane) for job in rows(runtime, "PENDING")] == [("later", "site-a")]


def test_advancing_goes_through_all_lanes_in_the_order_of_time(runtime, book, now):
    for number, lane in enumerate(("site-a", "", "site-b", "site-a", "")):
        put(runtime, str(number), now + number * SECOND, lane)
    advance(runtime, 10 * SECOND)
    assert book.keys == ["0", "1", "2", "3", "4"]


def test_a_job_keeps_its_lane_when_it_is_tried_again(runtime, book, now):
    book.acts["x"] = lambda *_: 1 / 0
    put(runtime, "x", now, "site-a")
    run_due(runtime)
    [job] = rows(runtime, "PENDING")
    assert (job.lane, job.attempts) == ("site-a", 1)


@pytest.mark.sqlite
def test_finding_lanes_and_their_next_jobs_looks_at_no_other(runtime, now):
    with runtime.database.read() as connection:
        for query in (jobs._NEXT, jobs._NEXT_LANE):
            sql = query.prepare(connection.dialect).sql.replace("?", "'PENDING'", 1)
            values = ("", now, 1, 0)[: sql.count("?")]
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
            assert [row[3].startswith("SEARCH jobs USING") and "jobs_by_lane (lane" in row[3] for row in plan] == [True]


class TestUnderLoad:
    """Each job makes another one that is due at once: there is always something to do."""

    @pytest.fixture
    def endless(self, runtime, book, now):
        runtime.clock.set(Setting(False, 0))
        numbers = itertools.count()

        def make_another(call, _job):
            jobs.enqueue(call, "note", call.runtime.clock.now(), HERE, f"more {next(numbers)}")

        for number in range(100_000):
            book.acts[f"more {number}"] = make_another
        book.acts["first"] = make_another
        put(runtime, "first", runtime.clock.now())
        return runtime

    def test_who_asks_for_what_is_due_gets_an_answer(self, endless):
        ran = run_lane(endless, "", wait=True, turn=0.05)
        assert ran
        assert len(rows(endless, "PENDING")) == 1

    def test_whoever_runs_jobs_all_the_time_lets_others_in(self, endless):
        household = Household(endless)
        endless.config = with_values(endless.config, jobs="worker", gc_interval=0)
        household.work()
        try:
            answered = threading.Event()
            asking = threading.Thread(target=lambda: (run_due(endless), answered.set()))
            asking.start()
            assert answered.wait(10)
        finally:
            endless.stopping.set()
            asking.join(PATIENCE)
