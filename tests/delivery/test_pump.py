"""The pump: at least once, in order, whatever fails; one process at a time; nothing waits for a dead target."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from ecrsim.config import with_values
from ecrsim.core.outbox import newest, oldest
from ecrsim.delivery import pump as pumping
from ecrsim.delivery.parcels import Refused, Undelivered
from ecrsim.delivery.pump import Pump, pause_after
from tests.delivery.receivers import Right, is_done, new_runtime, push, set_targets, state_of, tag_of, wait_until
from tests.engine import database_url


def hook_to(receiver, name="hook", **more):
    return {"name": name, "type": "webhook", "url": receiver.url, **more}


def file_at(path, name="file", **more):
    return {"name": name, "type": "file", "path": str(path), **more}


def tags_in(path):
    return [tag_of(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def numbers(first, last):
    return [str(number) for number in range(first, last)]


class Scripted:
    """A sink that records what it is given; `act` may fail, or hold, by what is given."""

    def __init__(self, act=lambda _: None, size=100):
        self.act = act
        self.size = size
        self.tags = []
        self.rested = self.closed = 0

    def __call__(self, target, data_dir, region, now):
        return self

    def take(self, parcels):
        return min(self.size, len(parcels))

    def deliver(self, parcels):
        try:
            self.act(parcels)
        except Undelivered as error:
            self.tags += [tag_of(parcel.envelope) for parcel in parcels[: error.done]]
            raise
        self.tags += [tag_of(parcel.envelope) for parcel in parcels]

    def rest(self):
        self.rested += 1

    def close(self):
        self.closed += 1

    def abort(self):
        return None


ANY = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:1/"}


class TestDelivery:
    def test_events_arrive_in_order(self, runtime, start, tmp_path, receive):
        hook = receive()
        set_targets(runtime, hook_to(hook), file_at(tmp_path / "out"))
        start()
        push(runtime, *numbers(0, 250))
        wait_until(lambda: is_done(runtime, "hook") and is_done(runtime, "file"))
        assert hook.tags == tags_in(tmp_path / "out") == numbers(0, 250)
        found = state_of(runtime, "hook")
        assert (found["sequence"], found["attempts"], found["error"]) == (250, 0, None)
        assert found["deliveredAt"] is not None

    def test_a_new_event_is_seen_without_being_told(self, runtime, start, tmp_path):
        set_targets(runtime, file_at(tmp_path / "out"))
        start()
        push(runtime, "1")
        wait_until(lambda: tags_in(tmp_path / "out") == ["1"])
        began = time.monotonic()
        push(runtime, "2")
        wait_until(lambda: tags_in(tmp_path / "out") == ["1", "2"])
        assert time.monotonic() - began < 1

    def test_one_that_is_told_looks_at_once(self, runtime, start, monkeypatch):
        monkeypatch.setattr(pumping, "POLL", 60)
        sink = Scripted()
        set_targets(runtime, ANY)
        pump = start(make_sink=sink)
        wait_until(lambda: sink.rested)
        push(runtime, "1")
        pump.wake()
        wait_until(lambda: sink.tags)
        assert sink.tags == ["1"]

    def test_a_new_target_begins_now_or_at_the_beginning(self, runtime, start, tmp_path):
        push(runtime, "1", "2")
        set_targets(
            runtime, file_at(tmp_path / "now", "now"), file_at(tmp_path / "all", "all", **{"from": "beginning"})
        )
        start()
        push(runtime, "3")
        wait_until(lambda: "3" in tags_in(tmp_path / "now") and "3" in tags_in(tmp_path / "all"))
        assert tags_in(tmp_path / "now") == ["3"]
        assert tags_in(tmp_path / "all") == ["1", "2", "3"]

    def test_an_event_that_two_rules_choose_comes_once(self, runtime, start, tmp_path):
        rules = [
            {"pattern": {"detail": {"repository-name": [name]}}, "targets": ["some", "few"]} for name in ("a", "b")
        ]
        rules.append({"pattern": {"detail": {"action-type": ["PUSH"]}}, "targets": ["some"]})
        set_targets(runtime, *(file_at(tmp_path / name, name) for name in ("some", "few", "all")), rules=rules)
        start()
        for name in ("a", "c", "b"):
            push(runtime, name, repository=name)
            push(runtime, f"-{name}", repository=name, type="ImageDeleted")
        wait_until(lambda: all(is_done(runtime, name) for name in ("some", "few", "all")))
        assert tags_in(tmp_path / "some") == ["a", "-a", "c", "b", "-b"]
        assert tags_in(tmp_path / "few") == ["a", "-a", "b", "-b"]
        assert tags_in(tmp_path / "all") == ["a", "-a", "c", "-c", "b", "-b"]

    def test_events_that_are_not_chosen_move_the_cursor(self, runtime, start):
        sink = Scripted()
        set_targets(runtime, ANY, rules=[{"pattern": {"source": ["other"]}, "targets": ["hook"]}])
        start(make_sink=sink)
        push(runtime, *numbers(0, 250))
        wait_until(lambda: is_done(runtime, "hook"))
        assert (sink.tags, state_of(runtime, "hook")["deliveredAt"]) == ([], None)

    def test_the_cursor_is_written_seldom(self, runtime, start, monkeypatch):
        saved = []
        really_save = pumping._Courier._save
        monkeypatch.setattr(pumping._Courier, "_save", lambda self: (saved.append(1), really_save(self)))
        sink = Scripted(size=1)
        set_targets(runtime, ANY)
        start(make_sink=sink)
        began = time.monotonic()
        for number in range(200):
            push(runtime, str(number))
        wait_until(lambda: is_done(runtime, "hook"))
        assert len(sink.tags) == 200
        assert len(saved) <= (time.monotonic() - began) / 0.2 + 2

    def test_moto_brings_everything_in_order(self, runtime, start, aws):
        url, arn = aws.queue("from-bus")
        direct, _ = aws.queue("direct.fifo", FifoQueue="true")
        aws.events.put_rule(Name="ecr", EventPattern=json.dumps({"source": ["aws.ecr"]}))
        aws.events.put_targets(Rule="ecr", Targets=[{"Id": "1", "Arn": arn}])
        bus = {"name": "bus", "type": "eventbridge", "endpoint_url": aws.url}
        set_targets(runtime, bus, {"name": "queue", "type": "sqs", "queue_url": direct})
        start()
        for number in range(6):
            for name in ("a", "b", "c"):
                push(runtime, f"{name}{number}", repository=name)
        wait_until(lambda: is_done(runtime, "bus") and is_done(runtime, "queue"), 30)
        for queue in (url, direct):
            found = [tag_of(json.loads(message["Body"])) for message in aws.read(queue)]
            assert sorted(found) == sorted(f"{name}{number}" for number in range(6) for name in "abc")
            assert [tag for tag in found if tag[0] == "b"] == [f"b{number}" for number in range(6)]


class TestFailure:
    def test_the_pauses(self):
        assert [pause_after(attempts) for attempts in (1, 2, 3, 8, 9, 1000)] == [0.2, 0.4, 0.8, 25.6, 30, 30]

    def test_a_webhook_that_is_down_for_a_while(self, runtime, start, receive):
        hook = receive()
        set_targets(runtime, hook_to(hook))
        start()
        push(runtime, "1")
        wait_until(lambda: hook.tags == ["1"])
        hook.down()
        push(runtime, "2", "3")
        wait_until(lambda: state_of(runtime, "hook")["attempts"] >= 2)
        found = state_of(runtime, "hook")
        assert (found["error"], found["pending"]) == ("Connection refused", 2)
        hook.up()
        wait_until(lambda: is_done(runtime, "hook"))
        assert hook.tags == ["1", "2", "3"]
        assert (state_of(runtime, "hook")["attempts"], state_of(runtime, "hook")["error"]) == (0, None)

    def test_a_webhook_that_answers_500(self, runtime, start, receive):
        hook = receive(lambda number: 500 if number in (1, 2) else 200)
        set_targets(runtime, hook_to(hook))
        start()
        push(runtime, "1", "2", "3")
        wait_until(lambda: is_done(runtime, "hook"))
        assert [each.tag for each in hook.asked] == ["1", "2", "2", "2", "3"]
        assert hook.tags == ["1", "2", "3"]

    def test_a_slow_webhook_is_waited_for(self, runtime, start, receive):
        pause = threading.Event()
        hook = receive(lambda _: 500 if pause.wait(0.1) else 200)
        set_targets(runtime, hook_to(hook))
        start()
        push(runtime, *numbers(0, 5))
        wait_until(lambda: is_done(runtime, "hook"))
        assert [each.tag for each in hook.asked] == hook.tags == numbers(0, 5)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_target_that_fails_at_random_loses_nothing(self, runtime, start, monkeypatch, seed):
        monkeypatch.setattr(pumping, "FIRST_PAUSE", 0.001)
        monkeypatch.setattr(pumping, "LONGEST_PAUSE", 0.002)
        chance = random.Random(seed)  # noqa: S311

        def act(parcels):
            if chance.random() < 0.5:
                raise Undelivered("by chance", chance.randrange(len(parcels)))

        sink = Scripted(act, size=7)
        set_targets(runtime, ANY)
        start(make_sink=sink)
        for first in range(0, 300, 30):
            push(runtime, *numbers(first, first + 30))
        wait_until(lambda: is_done(runtime, "hook"), 30)
        assert sink.tags == numbers(0, 300)

    def test_what_was_delivered_before_the_failure_is_not_repeated(self, runtime, start):
        failures = iter([Undelivered("no", 2)])

        def act(parcels):
            for failure in failures:
                raise failure

        sink = Scripted(act)
        set_targets(runtime, ANY)
        push(runtime, *numbers(0, 5))
        start(make_sink=sink)
        wait_until(lambda: is_done(runtime, "hook"))
        assert sink.tags == numbers(0, 5)

    def test_an_event_that_can_never_be_delivered_is_left_out_and_shown(self, runtime, start):
        def act(parcels):
            if tag_of(parcels[0].envelope) == "1":
                raise Refused("too large")

        sink = Scripted(act, size=1)
        set_targets(runtime, ANY)
        push(runtime, "0", "1", "2")
        start(make_sink=sink)
        wait_until(lambda: is_done(runtime, "hook"))
        found = state_of(runtime, "hook")
        assert sink.tags == ["0", "2"]
        assert (found["leftOut"], found["error"]) == (1, None)
        assert found["leftOutReason"].startswith("event 2 (")
        assert found["leftOutReason"].endswith("): too large")

    def test_an_error_that_nobody_expected_is_a_failure_like_others(self, runtime, start):
        failures = iter([ZeroDivisionError("oh")])

        def act(parcels):
            for failure in failures:
                raise failure

        sink = Scripted(act)
        set_targets(runtime, ANY)
        push(runtime, "1")
        start(make_sink=sink)
        wait_until(lambda: is_done(runtime, "hook"))
        assert sink.tags == ["1"]

    def test_a_dead_target_holds_up_no_other_and_no_call(self, runtime, start, tmp_path, receive):
        forever = threading.Event()
        hook = receive(lambda _: 200 if forever.wait(20) else 500)
        set_targets(runtime, hook_to(hook), file_at(tmp_path / "out"))
        start()
        push(runtime, "0")
        wait_until(lambda: hook.asked)
        began = time.monotonic()
        push(runtime, *numbers(1, 20))
        assert time.monotonic() - began < 1
        wait_until(lambda: is_done(runtime, "file"), 3)
        assert tags_in(tmp_path / "out") == numbers(0, 20)
        assert state_of(runtime, "hook")["pending"] == 20
        forever.set()


class TestStopping:
    def test_a_pause_is_cut_short(self, runtime, start):
        def act(parcels):
            raise Undelivered("no")

        set_targets(runtime, ANY)
        push(runtime, "1")
        with runtime.database.write() as connection:
            connection.execute(pumping.deliveries.update().values(attempts=20))
        pump = start(make_sink=Scripted(act))
        wait_until(lambda: state_of(runtime, "hook")["attempts"] == 21)  # and now it waits for 30 s
        began = time.monotonic()
        pump.stop()
        assert time.monotonic() - began < 1

    def test_a_delivery_under_way_is_cut_when_it_takes_too_long(self, runtime, start, receive, monkeypatch):
        monkeypatch.setattr(pumping, "_PATIENCE", 0.2)
        forever = threading.Event()
        hook = receive(lambda _: 200 if forever.wait(20) else 500)
        set_targets(runtime, hook_to(hook))
        pump = start()
        push(runtime, "1")
        wait_until(lambda: hook.asked)
        began = time.monotonic()
        pump.stop()
        assert time.monotonic() - began < 3
        found = state_of(runtime, "hook")
        assert (found["pending"], found["attempts"], found["error"]) == (1, 0, None)
        forever.set()

    def test_the_cursor_is_written_at_the_end(self, runtime, start, monkeypatch):
        monkeypatch.setattr(pumping, "_SAVE", 600)
        sink = Scripted()
        set_targets(runtime, ANY)
        pump = start(make_sink=sink)
        push(runtime, "1")
        wait_until(lambda: sink.tags == ["1"])
        push(runtime, "2")
        wait_until(lambda: sink.tags == ["1", "2"])
        pump.stop()
        assert (state_of(runtime, "hook")["sequence"], sink.closed) == (2, 1)

    def test_one_that_never_started_can_be_stopped(self, runtime):
        assert Pump(runtime).stop() is None


class TestRestart:
    def test_it_goes_on_where_it_was(self, runtime, start):
        sink = Scripted()
        set_targets(runtime, ANY)
        pump = start(make_sink=sink)
        push(runtime, "1", "2")
        wait_until(lambda: sink.tags == ["1", "2"])
        pump.stop()
        push(runtime, "3")
        start(make_sink=sink)
        wait_until(lambda: is_done(runtime, "hook"))
        assert sink.tags == ["1", "2", "3"]

    def test_failures_are_counted_on(self, runtime, start):
        def act(parcels):
            raise Undelivered("no")

        set_targets(runtime, ANY)
        push(runtime, "1")
        pump = start(make_sink=Scripted(act))
        wait_until(lambda: state_of(runtime, "hook")["attempts"] >= 2)
        pump.stop()
        before = state_of(runtime, "hook")["attempts"]
        start(make_sink=Scripted(act))
        wait_until(lambda: state_of(runtime, "hook")["attempts"] == before + 1)
        assert state_of(runtime, "hook")["error"] == "no"

    def test_who_lost_the_right_delivers_no_more_until_it_has_it_again(self, runtime, start, monkeypatch):
        """A server that was restarted has given it to another process."""
        rights = [Right()]
        monkeypatch.setattr(runtime.database, "hold", lambda *_, **__: rights[-1])
        sink = Scripted()
        set_targets(runtime, ANY)
        start(make_sink=sink)
        push(runtime, "1")
        wait_until(lambda: is_done(runtime, "hook"))
        lost, _ = rights[0], rights.append(None)
        lost.is_there = False
        wait_until(lambda: sink.closed == 1)
        push(runtime, "2")
        time.sleep(3 * pumping.POLL)
        assert sink.tags == ["1"]
        rights.append(Right())
        wait_until(lambda: is_done(runtime, "hook"))
        assert sink.tags == ["1", "2"]

    def test_killed_in_the_middle_nothing_is_lost(self, runtime, tmp_path, start):
        """A process that delivers is killed; this one takes over. What it had not written comes twice, in order."""
        out = tmp_path / "out"
        set_targets(runtime, file_at(out))
        text = (
            "import sys, threading\n"
            "from pathlib import Path\n"
            "from ecrsim.delivery.pump import Pump\n"
            "from tests.delivery.receivers import new_runtime, push\n"
            "runtime = new_runtime(Path(sys.argv[1]), database_url=sys.argv[2])\n"
            "Pump(runtime).start()\n"
            "for number in range(10_000):\n"
            "    push(runtime, str(number))\n"
        )
        child = subprocess.Popen([sys.executable, "-c", text, str(tmp_path), database_url(tmp_path)])
        try:
            wait_until(lambda: len(tags_in_torn(out)) > 100, 30)
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        start()
        push(runtime, "last")
        wait_until(lambda: is_done(runtime, "file"))
        seen = list(dict.fromkeys(tags_in_torn(out)))
        assert seen == [*numbers(0, len(seen) - 1), "last"]


def tags_in_torn(path):
    """The tags of the lines that are whole."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            found.append(tag_of(json.loads(line)))
        except ValueError:
            continue
    return found


class TestTwo:
    @pytest.fixture
    def other(self, runtime, tmp_path):
        other = new_runtime(tmp_path)
        yield other
        other.close()

    def test_each_event_is_delivered_once_while_both_live(self, runtime, other, start):
        sinks = Scripted(), Scripted()
        set_targets(runtime, ANY)
        start(runtime, make_sink=sinks[0])
        start(other, make_sink=sinks[1])
        for number in range(100):
            push((runtime, other)[number % 2], str(number))
        wait_until(lambda: is_done(runtime, "hook"))
        assert Counter(sinks[0].tags + sinks[1].tags) == Counter(numbers(0, 100))
        assert [] in (sinks[0].tags, sinks[1].tags)

    def test_the_other_takes_over_when_one_stops(self, runtime, other, start):
        first, second = Scripted(), Scripted()
        set_targets(runtime, ANY)
        pump = start(runtime, make_sink=first)
        push(runtime, "1", "2")
        wait_until(lambda: first.tags == ["1", "2"])
        start(other, make_sink=second)
        push(runtime, "3")
        wait_until(lambda: first.tags == ["1", "2", "3"])
        pump.stop()
        push(runtime, "4")
        wait_until(lambda: is_done(runtime, "hook"))
        assert (first.tags, second.tags) == (["1", "2", "3"], ["4"])

    def test_one_whose_delivery_does_not_end_keeps_the_lock(self, runtime, start, monkeypatch, tmp_path):
        monkeypatch.setattr(pumping, "_PATIENCE", 0.1)
        monkeypatch.setattr(pumping, "_GRACE", 0.1)
        forever, entered = threading.Event(), threading.Event()

        def act(parcels):
            entered.set()
            forever.wait(20)

        set_targets(runtime, ANY)
        push(runtime, "1")
        pump = start(make_sink=Scripted(act))
        assert entered.wait(5)
        pump.stop()
        assert runtime.database.hold("delivery", wait=False) is None
        forever.set()
        wait_until(lambda: pump._lock is None)
        # It was cut short of writing that down: what it delivered is delivered again.
        assert not is_done(runtime, "hook")


class TestChange:
    def test_targets_are_followed(self, runtime, start, tmp_path):
        start()
        set_targets(runtime, file_at(tmp_path / "a"))
        push(runtime, "1")
        wait_until(lambda: tags_in(tmp_path / "a") == ["1"])
        set_targets(runtime, file_at(tmp_path / "b"), file_at(tmp_path / "c", "new"))
        push(runtime, "2")
        wait_until(lambda: is_done(runtime, "file") and is_done(runtime, "new"))
        assert [tags_in(tmp_path / name) for name in ("a", "b", "c")] == [["1"], ["2"], ["2"]]
        set_targets(runtime, file_at(tmp_path / "c", "new"))
        push(runtime, "3")
        wait_until(lambda: is_done(runtime, "new"))
        assert [tags_in(tmp_path / name) for name in ("a", "b", "c")] == [["1"], ["2"], ["2", "3"]]

    def test_a_target_that_is_put_right_is_tried_at_once(self, runtime, start, tmp_path):
        """However long the pause is that its failures have led to."""
        set_targets(runtime, file_at(tmp_path / "none" / "out"))
        push(runtime, "1")
        with runtime.database.write() as connection:
            connection.execute(pumping.deliveries.update().values(attempts=20))
        start()
        wait_until(lambda: state_of(runtime, "file")["attempts"] == 21)
        set_targets(runtime, file_at(tmp_path / "out"))
        wait_until(lambda: tags_in(tmp_path / "out") == ["1"], 5)

    def test_rules_are_followed(self, runtime, start, tmp_path):
        """From the event after the change on: no moment passes in which the old ones hold."""
        set_targets(runtime, file_at(tmp_path / "out"))
        start()
        push(runtime, "1")
        wait_until(lambda: is_done(runtime, "file"))
        for number, name in enumerate("ababab"):
            rule = {"pattern": {"detail": {"repository-name": [name]}}, "targets": ["file"]}
            set_targets(runtime, file_at(tmp_path / "out"), rules=[rule])
            for repository in "ab":
                push(runtime, f"{repository}{number}", repository=repository)
            wait_until(lambda: is_done(runtime, "file"))
        assert tags_in(tmp_path / "out") == ["1", *(f"{name}{number}" for number, name in enumerate("ababab"))]

    def test_a_target_is_changed_while_a_delivery_is_under_way(self, runtime, start):
        """The new thread waits for the old one: there are never two of a target."""
        going, entered, together = threading.Event(), threading.Event(), []
        inside = 0

        def act(parcels):
            nonlocal inside
            inside += 1
            together.append(inside)
            entered.set()
            going.wait(20)
            inside -= 1

        sink = Scripted(act)
        set_targets(runtime, ANY)
        pump = start(make_sink=sink)
        push(runtime, "1")
        assert entered.wait(5)
        before = pump._couriers["hook"]
        set_targets(runtime, {**ANY, "secret": "new"})
        push(runtime, "2")
        wait_until(before._ending.is_set)
        going.set()
        wait_until(lambda: is_done(runtime, "hook"))
        assert (together, sink.tags) == ([1, 1], ["1", "2"])

    def test_a_reset_forgets_events_and_targets(self, runtime, start, tmp_path):
        def act(parcels):
            raise Undelivered("no")

        set_targets(runtime, ANY)
        push(runtime, "1")
        pump = start(make_sink=Scripted(act))
        wait_until(lambda: state_of(runtime, "hook")["attempts"])
        runtime.reset()
        wait_until(lambda: not pump._couriers)
        sink = Scripted()
        pump._make_sink = sink
        set_targets(runtime, ANY)
        push(runtime, "2")
        wait_until(lambda: is_done(runtime, "hook"))
        assert sink.tags == ["2"]


class TestForgetting:
    def test_all_but_the_newest_events_are_forgotten(self, runtime, start, monkeypatch):
        monkeypatch.setattr(pumping, "_PRUNED", 7)
        runtime.config = with_values(runtime.config, events_limit=10)
        push(runtime, *map(str, range(50)))
        start()
        wait_until(lambda: oldest_and_newest(runtime)[0] >= 41)
        assert oldest_and_newest(runtime) == (41, 50)

    def test_but_what_a_target_has_yet_to_get_is_kept(self, runtime, start, monkeypatch, tmp_path):
        monkeypatch.setattr(pumping, "POLL", 0.01)
        runtime.config = with_values(runtime.config, events_limit=10)
        alive, entered = threading.Event(), threading.Event()

        def act(parcels):
            entered.set()
            if not alive.is_set():
                raise Undelivered("not now")

        set_targets(runtime, ANY)
        push(runtime, *map(str, range(50)))
        pump = start(make_sink=Scripted(act))
        assert entered.wait(5)
        pump.wake()
        assert oldest_and_newest(runtime) == (1, 50)
        alive.set()
        wait_until(lambda: oldest_and_newest(runtime)[0] >= 41)
        assert oldest_and_newest(runtime) == (41, 50)


def oldest_and_newest(runtime):
    with runtime.database.read() as connection:
        return oldest(connection), newest(connection)
