"""The nodes over one database, and what a balancer is told of each."""

import json
import os

import pytest

from ecrsim import Ecrsim, __version__
from ecrsim.core import nodes
from ecrsim.core.clock import iso
from ecrsim.core.db import Database
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.nodes import FORGOTTEN, LOST, Worker, group, known, say
from ecrsim.testing import call_application

NOW = 1_700_000_000_000


def worker(name: str, number: int, ago: int = 0, *, drains: bool = False) -> Worker:
    return Worker(name, number, "0.1.0", NOW - 10 * LOST, NOW - ago, drains)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], {}),
        ([worker("a", 1), worker("a", 2)], {"a": ("up", 2)}),
        ([worker("a", 1), worker("b", 1)], {"a": ("up", 1), "b": ("up", 1)}),
        ([worker("a", 1, LOST)], {"a": ("up", 1)}),
        ([worker("a", 1, LOST + 1)], {"a": ("lost", 0)}),
        # Killed and started again: what it was before does not make it less.
        ([worker("a", 1, LOST + 1), worker("a", 2)], {"a": ("up", 1)}),
        ([worker("a", 1, drains=True), worker("a", 2)], {"a": ("draining", 2)}),
        ([worker("a", 1, LOST + 1, drains=True)], {"a": ("lost", 0)}),
    ],
    ids=["none", "two workers", "two nodes", "just heard", "silent", "again", "draining", "drained"],
)
def test_nodes_of_their_processes(rows, told):
    assert {node["name"]: (node["status"], node["workers"]) for node in group(rows, NOW)} == told


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(Database, "is_shared", True)


def test_a_node_joins_and_leaves(shared, tmp_path):
    with Ecrsim(socket=False, data_dir=str(tmp_path), node="a") as first:
        assert [node["name"] for node in known(first.runtime)] == ["a"]
        with Ecrsim(socket=False, data_dir=str(tmp_path), node="b") as second:
            for sim in (first, second):
                assert [(node["name"], node["status"], node["workers"]) for node in known(sim.runtime)] == [
                    ("a", "up", 1),
                    ("b", "up", 1),
                ]
            second.runtime.is_draining = lambda: True
            say(second.runtime)
            assert [node["status"] for node in known(first.runtime)] == ["up", "draining"]
        assert [node["name"] for node in known(first.runtime)] == ["a"]


def test_one_that_is_silent_is_lost_and_then_forgotten(shared, tmp_path, monkeypatch):
    with Ecrsim(socket=False, data_dir=str(tmp_path), node="a") as sim:
        later = sim.runtime.clock.unturned() + LOST + 1
        monkeypatch.setattr(sim.runtime.clock, "unturned", lambda: later)
        assert [node["status"] for node in known(sim.runtime)] == ["lost"]
        monkeypatch.setattr(os, "getpid", lambda: 1)
        later += FORGOTTEN
        say(sim.runtime)
        with sim.runtime.database.read() as connection:
            assert [row.worker for row in nodes._ALL.all(connection)] == [1]


def test_one_that_was_killed_and_started_again_has_begun_anew(shared, tmp_path, monkeypatch):
    """In a container it has the number that it had before."""
    with Ecrsim(socket=False, data_dir=str(tmp_path), node="a") as sim:
        (before,) = known(sim.runtime)
        later = sim.runtime.clock.unturned() + 60_000
        monkeypatch.setattr(sim.runtime.clock, "unturned", lambda: later)
        say(sim.runtime)
        assert known(sim.runtime)[0]["startedAt"] == before["startedAt"]
        nodes.join(sim.runtime)
        assert known(sim.runtime)[0]["startedAt"] == iso(later)


def test_a_turned_clock_moves_no_node(shared, tmp_path):
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        sim.advance(days=1)
        assert [node["status"] for node in known(sim.runtime)] == ["up"]


def test_a_database_of_this_machine_is_not_written_for_it(sim):
    say(sim.runtime)
    with sim.runtime.database.read() as connection:
        assert nodes._ALL.all(connection) == []
    assert [(node["version"], node["status"]) for node in known(sim.runtime)] == [(__version__, "up")]


def ready(sim):
    answer = call_application(sim.app, "GET", "http://localhost/_ecrsim/ready")
    return answer.status, json.loads(answer.body)


def test_it_is_ready_until_it_is_told_to_stop(sim, monkeypatch):
    assert ready(sim) == (200, {"status": "ready"})
    monkeypatch.setattr(sim.runtime, "is_draining", lambda: True)
    assert ready(sim) == (503, {"status": "not ready", "reason": "ecrsim was told to stop."})
    assert call_application(sim.app, "GET", "http://localhost/_ecrsim/health").status == 200


def test_it_is_not_ready_without_its_database(sim, monkeypatch):
    def read():
        raise ServiceUnavailableException("The database cannot be used: gone.")

    monkeypatch.setattr(sim.runtime.database, "read", read)
    assert ready(sim) == (503, {"status": "not ready", "reason": "The database cannot be used: gone."})
    assert call_application(sim.app, "GET", "http://localhost/_ecrsim/health").status == 200
