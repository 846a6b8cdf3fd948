"""The table of jobs: order, retries, failure, being put off, and the right to run them."""

import threading

import pytest

from ecrsim.core import jobs
from ecrsim.core.clock import Setting
from ecrsim.core.durations import DAY, HOUR, MINUTE, SECOND
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.jobs import run_due
from ecrsim.core.runtime import Call, root_caller
from tests.core.jobbing import HERE, put, rows

both_kinds = pytest.mark.parametrize("kind", ["note", "note-long"])


@pytest.fixture
def now(runtime):
    return runtime.clock.now()


@pytest.fixture
def call(runtime):
    with runtime.call(root_caller(*HERE[:2])) as call:
        yield call


def fail(*_):
    raise ValueError("it cannot be done")


def test_what_is_due_runs_in_the_order_of_time_and_then_of_making(runtime, book, now):
    for key, run_at in (("third", now), ("first", now - 2), ("fourth", now), ("second", now - 1), ("later", now + 1)):
        put(runtime, key, run_at)
    ran = run_due(runtime)
    assert book.keys == ["first", "second", "third", "fourth"]
    assert [(each.job.key, each.at, each.error) for each in ran] == [(key, now, None) for key in book.keys]
    assert [(job.key, job.state) for job in rows(runtime) if job.state != "DONE"] == [("later", "PENDING")]
    assert {job.ran_at for job in rows(runtime, "DONE")} == {now}


@both_kinds
def test_a_job_runs_once(kind, runtime, book, now):
    put(runtime, "once", now, kind)
    assert len(run_due(runtime)) == 1
    assert run_due(runtime) == []
    assert book.keys == ["once"]


def test_a_job_that_fails_leaves_nothing_of_what_it_did(runtime, book, now):
    def enqueue_and_fail(call, job):
        jobs.enqueue(call, "note", call.now, HERE, "child")
        fail()

    book.acts["parent"] = enqueue_and_fail
    put(runtime, "parent", now)
    run_due(runtime)
    assert [job.key for job in rows(runtime)] == ["parent"]


@both_kinds
def test_a_failing_job_is_tried_later_and_later_and_is_then_failed(kind, runtime, book, now):
    book.acts["bad"] = fail
    put(runtime, "bad", now, kind)
    pauses = []
    for attempt in range(1, jobs.ATTEMPTS + 1):
        [ran] = run_due(runtime)
        assert ran.error == "ValueError: it cannot be done"
        [job] = rows(runtime)
        assert (job.attempts, job.error, job.ran_at) == (attempt, ran.error, runtime.clock.now())
        assert job.state == ("PENDING" if attempt < jobs.ATTEMPTS else "FAILED")
        assert run_due(runtime) == []
        pauses.append(job.run_at - runtime.clock.now())
        runtime.clock.set(Setting(True, max(job.run_at, runtime.clock.now())))
    assert pauses[:-1] == [10 * SECOND, 100 * SECOND, 1000 * SECOND, HOUR]
    runtime.clock.set(Setting(True, now + 100 * DAY))
    assert run_due(runtime) == []
    assert len(book.entries) == jobs.ATTEMPTS


def test_a_failing_job_holds_up_no_other(runtime, book, now):
    book.acts["bad"] = fail
    put(runtime, "bad", now)
    put(runtime, "good", now)
    run_due(runtime)
    assert book.keys == ["bad", "good"]


def test_after_a_success_the_error_is_gone(runtime, book, now):
    book.acts["shaky"] = fail
    put(runtime, "shaky", now)
    run_due(runtime)
    del book.acts["shaky"]
    runtime.clock.set(Setting(True, now + 10 * SECOND))
    run_due(runtime)
    [job] = rows(runtime)
    assert (job.state, job.error) == ("DONE", None)


def test_what_nobody_can_run_fails_and_says_so(runtime, now):
    put(runtime, "x", now, "of-another-release")
    [ran] = run_due(runtime)
    assert ran.error == "LookupError: nothing here runs jobs of the kind of-another-release"


def test_an_error_that_is_no_text_can_be_written_down(runtime, book, now):
    def fail_strangely(*_):
        raise ValueError("\udcff")

    book.acts["bad"] = fail_strangely
    put(runtime, "bad", now)
    run_due(runtime)
    assert rows(runtime)[0].error == "ValueError: \\udcff"


def test_a_full_disk_does_not_count(runtime, book, now):
    def refuse(*_):
        raise ServiceUnavailableException("The database cannot be used: no space.")

    book.acts["unlucky"] = refuse
    put(runtime, "unlucky", now)
    for _ in range(2 * jobs.ATTEMPTS):
        assert len(run_due(runtime)) == 1
        [job] = rows(runtime)
        assert (job.state, job.attempts) == ("PENDING", 0)
        assert "no space" in job.error
        assert job.run_at == runtime.clock.now() + MINUTE
        runtime.clock.set(Setting(True, job.run_at))


def test_where_nothing_can_be_written_the_job_stays_due(runtime, book, now, monkeypatch):
    """And whoever runs jobs is told, instead of trying for ever."""
    put(runtime, "unlucky", now)

    def refuse(*_):
        raise ServiceUnavailableException("The database cannot be used: no space.")

    with monkeypatch.context() as patch:
        patch.setattr(type(runtime.database), "write", refuse)
        with pytest.raises(ServiceUnavailableException):
            run_due(runtime)
    assert book.entries == []
    run_due(runtime)
    assert book.keys == ["unlucky"]


# --- being put off, forgotten, asked for again ------------------------------------------------------------------------


def test_there_is_one_job_of_a_kind_and_key_and_it_can_be_moved(runtime, book, now, call):
    put(runtime, "x", now + HOUR, reason="first")
    assert jobs.pending(call, "note", "x") == now + HOUR
    call.release()
    put(runtime, "x", now, reason="second")
    put(runtime, "y", now + DAY)
    [ran] = run_due(runtime)
    assert ran.job.payload == {"reason": "second"}
    assert jobs.pending(call, "note", "x") is None
    assert jobs.pending(call, "note", "y") == now + DAY


def test_a_job_that_is_put_off_begins_its_attempts_anew(runtime, book, now):
    book.acts["bad"] = fail
    put(runtime, "bad", now)
    run_due(runtime)
    put(runtime, "bad", now)
    [job] = rows(runtime)
    assert (job.attempts, job.error) == (0, None)


def test_a_forgotten_job_does_not_run(runtime, book, now, call):
    put(runtime, "x", now)
    with call.writing():
        jobs.cancel(call, "note", "x")
        jobs.cancel(call, "note", "never was")
    assert run_due(runtime) == []
    assert rows(runtime) == []


@both_kinds
def test_a_job_makes_the_next_one_of_its_kind_and_key(kind, runtime, book, now):
    def once_more(call: Call, job):
        with call.writing():
            jobs.finish(call, job)
            jobs.enqueue(call, kind, call.now + DAY, HERE, job.key)

    book.acts["daily"] = once_more
    put(runtime, "daily", now, kind)
    for _ in range(3):
        assert len(run_due(runtime)) == 1
        runtime.clock.set(Setting(True, runtime.clock.now() + DAY))
    assert book.keys == ["daily"] * 3
    assert [job.state for job in rows(runtime)] == ["DONE", "DONE", "DONE", "PENDING"]


def test_a_job_that_was_put_off_after_it_was_found_is_not_run(runtime, book, now):
    put(runtime, "x", now)
    found = jobs.next_due(runtime, now)
    put(runtime, "x", now + HOUR, reason="it may wait")
    assert jobs.run(runtime, found, now) == []
    assert book.entries == []
    [job] = rows(runtime)
    assert (job.run_at, job.payload, job.state) == (now + HOUR, {"reason": "it may wait"}, "PENDING")


def test_a_job_that_was_forgotten_after_it_was_found_is_not_run(runtime, book, now, call):
    put(runtime, "x", now)
    found = jobs.next_due(runtime, now)
    with call.writing():
        jobs.cancel(call, "note", "x")
    assert jobs.run(runtime, found, now) == []
    assert book.entries == []


def test_what_is_asked_for_while_a_long_job_runs_is_run_after_it(runtime, book, now):
    """Even for the same instant: what is running already may have looked before the reason for the second came."""

    def ask_again(*_):
        del book.acts["x"]
        put(runtime, "x", now, "note-long", reason="second")

    book.acts["x"] = ask_again
    put(runtime, "x", now, "note-long", reason="first")
    ran = run_due(runtime)
    assert [each.job.payload["reason"] for each in ran] == ["first", "second"]
    assert rows(runtime, "PENDING") == []


def test_a_failed_job_can_be_run_again(runtime, book, now):
    book.acts["bad"] = fail
    put(runtime, "bad", now)
    for _ in range(jobs.ATTEMPTS):
        run_due(runtime)
        runtime.clock.set(Setting(True, runtime.clock.now() + HOUR))
    [job] = rows(runtime, "FAILED")
    del book.acts["bad"]
    assert jobs.run_again(runtime, job.id)
    [ran] = run_due(runtime)
    assert (ran.job.id, ran.error) == (job.id, None)
    assert not jobs.run_again(runtime, job.id)
    assert not jobs.run_again(runtime, 999)


def test_a_failed_job_takes_the_place_of_one_that_waits(runtime, book, now):
    book.acts["bad"] = fail
    put(runtime, "bad", now)
    for _ in range(jobs.ATTEMPTS):
        run_due(runtime)
        runtime.clock.set(Setting(True, runtime.clock.now() + HOUR))
    put(runtime, "bad", now + 100 * DAY)
    [failed] = rows(runtime, "FAILED")
    assert jobs.run_again(runtime, failed.id)
    [job] = rows(runtime)
    assert (job.id, job.state, job.attempts) == (failed.id, "PENDING", 0)


def test_done_jobs_are_kept_for_a_while(runtime, book, now, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 5)
    for number in range(100):
        put(runtime, str(number), now)
    run_due(runtime)
    assert [job.key for job in rows(runtime)] == [str(number) for number in range(95, 100)]


@pytest.mark.sqlite
def test_finding_the_next_job_looks_at_no_other(runtime, book, now, call):
    """It is asked five times a second, and whatever was done before lies in the same table."""
    query = jobs._NEXT.prepare(call.connection.dialect).sql.replace("?", "'PENDING'", 1)
    plan = call.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (now, 1, 0)[: query.count("?")]).fetchall()
    assert [row[3] for row in plan] == ["SEARCH jobs USING INDEX jobs_by_lane (lane=? AND run_at<?)"]


# --- the right to run them --------------------------------------------------------------------------------------------


def test_one_thread_runs_jobs_at_a_time(runtime, book, now):
    begun, go_on = threading.Event(), threading.Event()

    def hold(*_):
        begun.set()
        assert go_on.wait(10)

    book.acts["slow"] = hold
    put(runtime, "slow", now)
    running = threading.Thread(target=run_due, args=(runtime,))
    running.start()
    try:
        assert begun.wait(10)
        assert run_due(runtime, wait=False) == []
        with runtime.exclusively(wait=False) as allowed:
            assert not allowed
    finally:
        go_on.set()
        running.join(10)
    assert book.keys == ["slow"]
    with runtime.exclusively(wait=False) as allowed:
        assert allowed


def test_one_runtime_over_a_data_directory_runs_jobs_at_a_time(runtime, book, now):
    other = type(runtime)(runtime.config)
    other.open()
    put(runtime, "x", now)
    try:
        with other.exclusively():
            assert run_due(runtime, wait=False) == []
        assert len(run_due(runtime, wait=False)) == 1
    finally:
        other.close()


def test_who_is_told_to_stop_begins_no_other_job(runtime, book, now):
    book.acts["first"] = lambda *_: runtime.stopping.set()
    put(runtime, "first", now)
    put(runtime, "second", now)
    run_due(runtime)
    assert book.keys == ["first"]
    assert [job.key for job in rows(runtime, "PENDING")] == ["second"]


def test_a_long_job_that_leaves_off_when_told_to_stop_goes_on_later(runtime, book, now, monkeypatch):
    def leave_off(call, job):
        book.run(call, job)
        runtime.stopping.set()

    monkeypatch.setitem(jobs._KINDS, "note-long", jobs.JobKind(leave_off, is_long=True))
    put(runtime, "x", now, "note-long")
    run_due(runtime)
    assert (book.keys, [job.key for job in rows(runtime, "PENDING")]) == (["x"], ["x"])


def test_a_reset_waits_for_the_job_that_runs(runtime, book, now):
    """It would else write about what was forgotten."""
    begun, go_on, order = threading.Event(), threading.Event(), []

    def hold(*_):
        begun.set()
        assert go_on.wait(10)
        order.append("job")

    book.acts["slow"] = hold
    put(runtime, "slow", now, "note-long")
    running = threading.Thread(target=run_due, args=(runtime,))
    running.start()
    assert begun.wait(10)
    resetting = threading.Thread(target=lambda: (runtime.reset(), order.append("reset")))
    resetting.start()
    resetting.join(0.2)
    assert resetting.is_alive()
    go_on.set()
    for thread in (running, resetting):
        thread.join(10)
    assert order == ["job", "reset"]
    assert rows(runtime) == []
