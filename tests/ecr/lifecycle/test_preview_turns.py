"""A preview of many results takes many transactions: what others see of it between two, and what ends it there.

Seven results in batches of two are nine turns: one that drops what is left of a preview before, four that write, and
four that put the results into events.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from ecrsim import Ecrsim
from ecrsim.core import outbox
from ecrsim.core.jobs import jobs as table
from ecrsim.core.jobs import run_due
from ecrsim.ecr.lifecycle import jobs, service
from ecrsim.ecr.lifecycle.tables import lifecycle_preview_results
from tests.ecr.lifecycle.policies import policy, rule
from tests.pushing import create, numbered, push, put

KEEP_ONE = policy(rule(keep=1))
EXPIRED = [f"v{number}" for number in range(7)]
TURNS = range(9)
APP = {"repositoryName": "app"}


class Turns(threading.Event):
    """What says when to stop, and is asked before every turn. Before the turn `number` it does something."""

    def __init__(self, number: int, act: Callable[[], Any]) -> None:
        super().__init__()
        self.taken = 0
        self._number, self._act = number, act

    def wait(self, timeout: float | None = None) -> bool:
        if self.taken == self._number:
            self._act()
        self.taken += 1
        return self.is_set()


@pytest.fixture(scope="module")
def _simulator() -> Iterator[Ecrsim]:
    """Requests of this one run no jobs: they come from inside of one."""
    with Ecrsim(socket=False, jobs="manual") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def _clients() -> dict[tuple[str, str | None, str | None], Any]:
    return {}


@pytest.fixture
def started(ecr, sim, monkeypatch):
    """A preview of eight images was asked for."""
    monkeypatch.setattr(jobs, "PREVIEW_BATCH", 2)
    sim.freeze("2026-01-01T00:00:00Z")
    create(ecr, "app")
    push(ecr, "app", numbered(0), "v0")
    for number in range(1, 8):
        put(ecr, "app", numbered(number), f"v{number}")
    start(ecr)


@pytest.fixture
def before_turn(sim, monkeypatch) -> Callable[[int, Callable[[], Any]], Turns]:
    def arrange(number: int, act: Callable[[], Any]) -> Turns:
        turns = Turns(number, act)
        monkeypatch.setattr(sim.runtime, "stopping", turns)
        return turns

    return arrange


def start(ecr, text=KEEP_ONE):
    ecr.start_lifecycle_policy_preview(**APP, lifecyclePolicyText=text)


def seen(ecr):
    """Status, tags of the results, and the count."""
    preview = ecr.get_lifecycle_policy_preview(**APP)
    tags = [entry["imageTags"][0] for entry in preview["previewResults"]]
    return preview["status"], tags, preview["summary"]["expiringImageTotalCount"]


def previewed(sim):
    """Tags of the images in events, event by event."""
    with sim.runtime.database.read() as connection:
        found = [each for each in outbox.page(connection, 0, 1000) if each.type == "LifecyclePolicyPreviewed"]
    return [[action["image"]["tags"][0] for action in each.facts["image_actions"]] for each in found]


def kept(sim):
    """How many results there are, whether they are shown or not."""
    with sim.runtime.database.read() as connection:
        return len(connection.execute(select(lifecycle_preview_results.c.position)).all())


def states(sim):
    with sim.runtime.database.read() as connection:
        rows = connection.execute(select(table.c.kind, table.c.state).order_by(table.c.id))
        return {row.kind: row.state for row in rows}


def test_every_result_is_there_once_and_in_one_event(ecr, sim, started, before_turn):
    turns = before_turn(-1, list)
    assert [ran.error for ran in run_due(sim.runtime)] == [None]
    assert turns.taken == len(TURNS)
    assert seen(ecr) == ("COMPLETE", EXPIRED, 7)
    assert previewed(sim) == [EXPIRED[0:2], EXPIRED[2:4], EXPIRED[4:6], EXPIRED[6:7]]
    assert states(sim) == {service.COMPLETE_PREVIEW: "DONE", service.EXPIRE_PREVIEW: "PENDING"}


def test_as_many_results_as_fill_their_batches(ecr, sim, started):
    """The last turns have nothing left to write."""
    put(ecr, "app", numbered(8), "v8")
    run_due(sim.runtime)
    assert seen(ecr) == ("COMPLETE", [*EXPIRED, "v7"], 8)
    assert [len(tags) for tags in previewed(sim)] == [2, 2, 2, 2]


def test_expired_and_archived_are_counted_over_all_batches(ecr, sim, started):
    run_due(sim.runtime)
    for number in range(8, 11):
        push(ecr, "app", numbered(number))
    start(ecr, policy(rule(1, prefixes=["v"], keep=5), rule(2, keep=1, archive=True)))
    run_due(sim.runtime)
    preview = ecr.get_lifecycle_policy_preview(**APP, maxResults=3)
    types = [entry["action"]["type"] for entry in preview["previewResults"]]
    while "nextToken" in preview:
        preview = ecr.get_lifecycle_policy_preview(**APP, maxResults=3, nextToken=preview["nextToken"])
        types += [entry["action"]["type"] for entry in preview["previewResults"]]
    assert types == ["EXPIRE"] * 3 + ["TRANSITION"] * 2
    assert preview["summary"] == {
        "expiringImageTotalCount": 3,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }


@pytest.mark.parametrize("turn", TURNS)
def test_nothing_is_shown_of_what_is_under_way(ecr, sim, started, before_turn, turn):
    found = []
    before_turn(turn, lambda: found.append(seen(ecr)))
    run_due(sim.runtime)
    assert found == [("IN_PROGRESS", [], 0)]


@pytest.mark.parametrize("turn", TURNS)
def test_one_that_dies_between_two_turns_is_tried_again(ecr, sim, started, before_turn, turn):
    def die():
        raise OSError("interrupted")

    before_turn(turn, die)
    assert [ran.error for ran in run_due(sim.runtime)] == ["OSError: interrupted"]
    before_turn(-1, list)
    sim.advance(seconds=10)
    assert seen(ecr) == ("COMPLETE", EXPIRED, 7)
    assert [tag for tags in previewed(sim) for tag in tags] == EXPIRED


@pytest.mark.parametrize("step", ["_INSERT_RESULT", "record"])
def test_one_that_dies_within_a_turn_is_tried_again(ecr, sim, started, monkeypatch, step):
    class Dying:
        """What was asked for is done for once; from then on it is done, and then it dies."""

        def __init__(self, real: Any) -> None:
            self._real, self._calls = real, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def _die(self, act: Callable[..., Any], *arguments: Any) -> None:
            act(*arguments)
            self._calls += 1
            if self._calls > 1:
                raise OSError("interrupted")

        def many(self, *arguments: Any) -> None:
            self._die(self._real.many, *arguments)

        def __call__(self, *arguments: Any) -> None:
            self._die(self._real, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, step, Dying(getattr(jobs, step)))
        assert [ran.error for ran in run_due(sim.runtime)] == ["OSError: interrupted"]
    assert kept(sim) == {"_INSERT_RESULT": 2, "record": 7}[step]
    sim.advance(seconds=10)
    assert (seen(ecr), kept(sim)) == (("COMPLETE", EXPIRED, 7), 7)
    assert [tag for tags in previewed(sim) for tag in tags] == EXPIRED


@pytest.mark.parametrize("turn", TURNS)
def test_one_that_is_told_to_stop_goes_on_at_the_next_start(ecr, sim, started, before_turn, turn):
    def stop():
        sim.runtime.stopping.set()

    before_turn(turn, stop)
    run_due(sim.runtime)
    assert states(sim) == {service.COMPLETE_PREVIEW: "PENDING"}
    # An image more: where results were in events already, they are what they were.
    put(ecr, "app", numbered(8), "v8")
    before_turn(-1, list)
    run_due(sim.runtime)
    expected = [*EXPIRED, "v7"] if turn < 5 else EXPIRED
    assert seen(ecr) == ("COMPLETE", expected, len(expected))
    assert [tag for tags in previewed(sim) for tag in tags] == expected


@pytest.mark.parametrize("turn", TURNS)
def test_its_repository_is_deleted(ecr, sim, started, before_turn, turn):
    turns = before_turn(turn, lambda: ecr.delete_repository(**APP, force=True))
    assert [ran.error for ran in run_due(sim.runtime)] == [None]
    assert turns.taken == turn + 1
    assert states(sim) == {service.COMPLETE_PREVIEW: "DONE"}
    assert kept(sim) == 0


@pytest.mark.parametrize("turn", TURNS)
def test_another_preview_takes_its_place(ecr, sim, started, before_turn, turn):
    def replace():
        # One that is under way cannot be replaced; so it is made one that is not.
        with sim.runtime.database.write() as connection:
            connection.exec_driver_sql("UPDATE lifecycle_previews SET status = 'FAILED'")
        start(ecr, policy(rule(keep=5)))

    before_turn(turn, replace)
    assert [ran.error for ran in run_due(sim.runtime)] == [None, None]
    assert (seen(ecr), kept(sim)) == (("COMPLETE", EXPIRED[:3], 3), 3)


@pytest.mark.parametrize("turn", range(1, 4))
def test_results_that_are_being_dropped_are_not_shown(ecr, sim, started, before_turn, turn):
    run_due(sim.runtime)
    found = []
    before_turn(turn, lambda: found.append((seen(ecr), kept(sim))))
    sim.advance(days=1)
    assert found == [(("EXPIRED", [], 0), 7 - 2 * turn)]
    assert (seen(ecr), kept(sim)) == (("EXPIRED", [], 0), 0)


def test_a_preview_is_started_while_the_results_before_are_being_dropped(ecr, sim, started, before_turn):
    run_due(sim.runtime)
    before_turn(2, lambda: start(ecr, policy(rule(keep=6))))
    sim.advance(days=1)
    assert (seen(ecr), kept(sim)) == (("COMPLETE", EXPIRED[:2], 2), 2)
    assert states(sim)[service.EXPIRE_PREVIEW] == "PENDING"


def test_one_that_is_not_complete_shows_none_of_the_images_asked_for(ecr, sim, started, before_turn):
    found = []

    def ask():
        preview = ecr.get_lifecycle_policy_preview(**APP, imageIds=[{"imageTag": "v0"}])
        found.append((preview["status"], preview["previewResults"]))

    before_turn(8, ask)
    run_due(sim.runtime)
    ask()
    assert [(status, len(results)) for status, results in found] == [("IN_PROGRESS", 0), ("COMPLETE", 1)]


def test_one_that_cannot_be_computed_leaves_no_results_of_the_one_before(ecr, sim, started, monkeypatch):
    def plan(images, policy, now):
        raise ArithmeticError("out of numbers")

    run_due(sim.runtime)
    start(ecr)
    monkeypatch.setattr(jobs, "plan", plan)
    run_due(sim.runtime)
    assert (seen(ecr), kept(sim)) == (("FAILED", [], 0), 0)
