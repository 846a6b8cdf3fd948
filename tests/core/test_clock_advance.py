"""Turning the clock forward: every job on the way at its own instant, in order, those that are made on the way too."""

import threading
import time

import pytest

from ecrsim.core import jobs
from ecrsim.core.clock import REAL, Setting, iso, parse_iso
from ecrsim.core.clock_advance import advance, set_clock
from ecrsim.core.clock_setting import ClockError, ClockSetMeanwhile, turn
from ecrsim.core.durations import DAY, HOUR, MINUTE, SECOND
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.runtime import Runtime
from tests.core.jobbing import HERE, put, rows
from tests.engine import soon

NEW_YEAR = parse_iso("2026-01-01")


def again_in(pause):
    return lambda call, job: jobs.enqueue(call, "note", call.now + pause, HERE, job.key)


def test_each_job_runs_at_its_own_instant(runtime, book):
    for key, hours in (("b", 30), ("a", 6), ("c", 30), ("later", 49)):
        put(runtime, key, NEW_YEAR + hours * HOUR)
    ran = advance(runtime, 2 * DAY)
    assert book.entries == [
        ("a", "2026-01-01T06:00:00"),
        ("b", "2026-01-02T06:00:00"),
        ("c", "2026-01-02T06:00:00"),
    ]
    assert [(each.job.key, iso(each.at)[:19]) for each in ran] == book.entries
    assert runtime.clock.setting == Setting(True, NEW_YEAR + 2 * DAY)
    assert [job.key for job in rows(runtime, "PENDING")] == ["later"]


def test_while_a_job_runs_the_clock_shows_its_instant(runtime, book):
    seen = []
    book.acts["x"] = lambda call, _: seen.append((call.now, runtime.clock.now()))
    put(runtime, "x", NEW_YEAR + HOUR)
    advance(runtime, DAY)
    assert seen == [(NEW_YEAR + HOUR, NEW_YEAR + HOUR)]


def test_a_job_that_is_due_at_the_end_has_run(runtime, book):
    put(runtime, "at the end", NEW_YEAR + DAY)
    put(runtime, "just after", NEW_YEAR + DAY + 1)
    advance(runtime, DAY)
    assert book.keys == ["at the end"]


def test_a_daily_job_runs_daily(runtime, book):
    book.acts["daily"] = again_in(DAY)
    put(runtime, "daily", NEW_YEAR + HOUR)
    assert len(advance(runtime, 14 * DAY)) == 14
    assert book.entries == [("daily", f"2026-01-{day:02}T01:00:00") for day in range(1, 15)]


def test_jobs_that_are_made_on_the_way_take_their_place(runtime, book):
    book.acts["a"] = lambda call, _: jobs.enqueue(call, "note", call.now + HOUR, HERE, "child")
    put(runtime, "a", NEW_YEAR + HOUR)
    put(runtime, "b", NEW_YEAR + 3 * HOUR)
    advance(runtime, DAY)
    assert book.keys == ["a", "child", "b"]


def test_what_was_due_before_runs_first_and_at_the_present(runtime, book):
    put(runtime, "overdue", NEW_YEAR - 5 * DAY)
    put(runtime, "next", NEW_YEAR + HOUR)
    advance(runtime, DAY)
    assert book.entries == [("overdue", "2026-01-01T00:00:00"), ("next", "2026-01-01T01:00:00")]


def test_by_nothing_it_runs_what_is_due(runtime, book):
    put(runtime, "x", NEW_YEAR)
    assert [ran.job.key for ran in advance(runtime, 0)] == ["x"]
    assert runtime.clock.now() == NEW_YEAR


def test_a_failing_job_is_tried_again_on_the_way(runtime, book):
    def fail(call, job):
        raise ValueError("never")

    book.acts["bad"] = fail
    put(runtime, "bad", NEW_YEAR)
    ran = advance(runtime, DAY)
    assert [each.error for each in ran] == ["ValueError: never"] * jobs.ATTEMPTS
    assert [iso(each.at)[11:19] for each in ran] == ["00:00:00", "00:00:10", "00:01:50", "00:18:30", "01:18:30"]
    assert [job.state for job in rows(runtime)] == ["FAILED"]
    assert runtime.clock.now() == NEW_YEAR + DAY


@pytest.mark.parametrize("setting", [REAL, Setting(False, 3 * DAY)], ids=["real", "offset"])
def test_a_clock_that_goes_goes_on_from_there(runtime, book, setting):
    turn(runtime.clock, runtime.database, setting)
    before = runtime.clock.now()
    put(runtime, "x", before + HOUR)
    put(runtime, "y", before + HOUR)
    ran = advance(runtime, DAY)
    # To the millisecond, although the clock went on while the first of them ran.
    assert [each.at for each in ran] == [before + HOUR] * 2
    assert 0 <= runtime.clock.now() - before - DAY < MINUTE
    assert runtime.clock.setting.mode == "offset"


def test_where_a_job_takes_longer_than_the_way_no_time_is_taken_back(runtime, book, monkeypatch):
    turn(runtime.clock, runtime.database, REAL)
    before, real = runtime.clock.now(), time.time
    book.acts["slow"] = lambda *_: monkeypatch.setattr(time, "time", lambda: real() + 3600)
    put(runtime, "slow", before, "note-long")
    advance(runtime, SECOND)
    assert runtime.clock.now() >= before + HOUR


def test_what_somebody_else_sets_on_the_way_is_not_undone(runtime, book):
    book.acts["x"] = lambda *_: turn(runtime.clock, runtime.database, Setting(True, 0))
    put(runtime, "x", NEW_YEAR + HOUR, "note-long")
    put(runtime, "y", NEW_YEAR + DAY)
    with pytest.raises(ClockSetMeanwhile):
        advance(runtime, 2 * DAY)
    assert (runtime.clock.now(), book.keys) == (0, ["x"])


def test_a_turn_that_was_not_heard_of_yet_is_not_undone(runtime, book):
    """As of another node, of which PostgreSQL has yet to tell."""
    before = runtime.clock.setting
    turn(runtime.clock, runtime.database, Setting(True, NEW_YEAR + DAY))
    runtime.clock.set(before)
    with pytest.raises(ClockSetMeanwhile):
        turn(runtime.clock, runtime.database, Setting(True, NEW_YEAR + HOUR), before)
    assert runtime.clock.now() == NEW_YEAR + DAY


def test_what_is_still_to_happen_goes_back_with_the_clock(runtime, book):
    put(runtime, "x", NEW_YEAR + 3 * DAY)
    set_clock(runtime, Setting(True, NEW_YEAR - 100 * DAY))
    assert [job.run_at for job in rows(runtime, "PENDING")] == [NEW_YEAR - 97 * DAY]
    set_clock(runtime, Setting(True, NEW_YEAR - 99 * DAY))
    assert [job.run_at for job in rows(runtime, "PENDING")] == [NEW_YEAR - 97 * DAY]
    assert [iso(each.at)[:10] for each in advance(runtime, 2 * DAY)] == ["2025-09-26"]


@pytest.mark.parametrize(
    ("milliseconds", "words"), [(-1, "only goes forward"), (3661 * DAY, "3660 days")], ids=["back", "far"]
)
def test_where_it_cannot_go_nothing_is_run(runtime, book, milliseconds, words):
    put(runtime, "x", NEW_YEAR)
    with pytest.raises(ClockError, match=words):
        advance(runtime, milliseconds)
    assert (book.entries, runtime.clock.now()) == ([], NEW_YEAR)


def test_it_does_not_go_beyond_the_end_of_time(runtime, book):
    turn(runtime.clock, runtime.database, Setting(True, parse_iso("9998-12-01")))
    with pytest.raises(ClockError, match="1970 to 9998"):
        advance(runtime, 40 * DAY)


def test_two_who_advance_come_as_far_as_both_said(runtime, book):
    """The second begins where the first ended, and every instant has its jobs once."""
    book.acts["daily"] = again_in(DAY)
    put(runtime, "daily", NEW_YEAR + HOUR)
    threads = [threading.Thread(target=advance, args=(runtime, 5 * DAY)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert runtime.clock.now() == NEW_YEAR + 20 * DAY
    assert book.entries == [("daily", f"2026-01-{day:02}T01:00:00") for day in range(1, 21)]


def test_others_see_the_clock_move(runtime, book):
    other = Runtime(runtime.config)
    other.open()
    try:
        turn(runtime.clock, runtime.database, Setting(True, NEW_YEAR))
        seen = []

        def look(*_):
            soon(lambda: other.clock.now() == runtime.clock.now())
            seen.append(other.clock.now())

        book.acts["x"] = look
        put(runtime, "x", NEW_YEAR + HOUR)
        advance(runtime, DAY)
        soon(lambda: other.clock.now() == runtime.clock.now())
        assert [*seen, other.clock.now()] == [NEW_YEAR + HOUR, NEW_YEAR + DAY]
    finally:
        other.close()


def test_who_is_told_to_stop_stays_where_he_is(runtime, book):
    book.acts["first"] = lambda *_: runtime.stopping.set()
    put(runtime, "first", NEW_YEAR + HOUR)
    put(runtime, "second", NEW_YEAR + 2 * HOUR)
    begun = time.monotonic()
    with pytest.raises(ServiceUnavailableException, match="stopping"):
        advance(runtime, DAY)
    assert time.monotonic() - begun < 5
    assert (book.keys, runtime.clock.now()) == (["first"], NEW_YEAR + HOUR)
