"""The outbox: an event and the change that it tells of are committed together, and numbers rise with the commits."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ecrsim.config import with_values
from ecrsim.core import outbox
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import root_caller
from tests.core.jobbing import HERE


def emit(runtime, name, facts=None, registry=HERE):
    with runtime.call(root_caller(*HERE[:2])) as call, call.writing():
        outbox.emit(call, registry, name, "ImagePushed", {} if facts is None else facts)


def found(runtime, after=0, limit=1000):
    with runtime.database.read() as connection:
        return outbox.page(connection, after, limit)


def test_an_event_is_as_it_was_emitted(runtime):
    other = Registry("111111111111", "eu-west-1")
    with runtime.call(root_caller(*HERE[:2])) as call, call.writing():
        outbox.emit(call, other, "app", "ApiCalled", {"a": [1, None, "ü"]}, {"principal": "arn"})
    [event] = found(runtime)
    assert event._replace(event_id="") == outbox.Event(
        1,
        runtime.clock.now(),
        "",
        "ApiCalled",
        "111111111111",
        "eu-west-1",
        "app",
        {"a": [1, None, "ü"]},
        {"principal": "arn"},
    )
    assert len(event.event_id) == 36


def test_facts_that_are_json_already_are_taken_as_they_are(runtime):
    emit(runtime, "app", b'{"size":1,  "name":"\xc3\xbc"}')
    assert found(runtime)[0].facts == {"size": 1, "name": "ü"}


def test_what_is_undone_was_never_told(runtime):
    def change_and_fail():
        with runtime.call(root_caller(*HERE[:2])) as call, call.writing():
            outbox.emit(call, HERE, "app", "ImagePushed", {})
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        change_and_fail()
    assert found(runtime) == []


def test_pages_go_on_after_a_number(runtime):
    for name in "abcde":
        emit(runtime, name)
    first = found(runtime, limit=2)
    second = found(runtime, first[-1].sequence, 2)
    assert [event.repository_name for event in first + second] == ["a", "b", "c", "d"]
    with runtime.database.read() as connection:
        assert outbox.newest(connection) == 5


def test_numbers_rise_in_the_order_of_commits(runtime):
    """A reader that goes on after the last number that it saw misses nothing, however many write."""
    seen = []
    with ThreadPoolExecutor(5) as pool:
        writing = [pool.submit(lambda: [emit(runtime, "app") for _ in range(30)]) for _ in range(4)]
        while not all(each.done() for each in writing):
            seen += found(runtime, seen[-1].sequence if seen else 0)
    seen += found(runtime, seen[-1].sequence if seen else 0)
    assert [event.sequence for event in seen] == list(range(1, 121))


def test_numbers_are_never_used_again(runtime):
    for name in "abc":
        emit(runtime, name)
    runtime.reset()
    with runtime.database.read() as connection:
        assert outbox.newest(connection) == 0
    emit(runtime, "d")
    assert [event.sequence for event in found(runtime)] == [4]


@pytest.mark.parametrize(
    ("limit", "undelivered", "left"),
    [(3, None, [8, 9, 10]), (3, 5, [6, 7, 8, 9, 10]), (3, 0, list(range(1, 11))), (3, 9, [8, 9, 10]), (0, None, [])],
)
def test_old_events_are_forgotten_but_none_that_has_yet_to_leave(runtime, limit, undelivered, left):
    for number in range(10):
        emit(runtime, str(number))
    with runtime.database.write() as connection:
        assert outbox.prune(connection, limit, undelivered) == 10 - len(left)
    assert [event.sequence for event in found(runtime)] == left


def test_an_ecrsim_that_keeps_none_writes_none(runtime):
    runtime.config = with_values(runtime.config, events_limit=0)
    emit(runtime, "app")
    assert found(runtime) == []
