"""The admin routes of delivery: targets are set and seen, and a test waits until events have arrived."""

import threading
import time

import pytest
from flask import Flask

from ecrsim.admin.delivery import delivery_routes
from ecrsim.delivery.pump import Pump
from tests.delivery.receivers import new_runtime, push

RULE = {"name": "pushes", "pattern": {"detail": {"action-type": ["PUSH"]}}, "targets": ["log"]}


@pytest.fixture
def runtime(tmp_path):
    runtime = new_runtime(tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def admin(runtime):
    pages = Flask("pages")
    pages.register_blueprint(delivery_routes(runtime))
    return pages.test_client()


@pytest.fixture
def log(tmp_path):
    return {"name": "log", "type": "file", "path": str(tmp_path / "out")}


def put(admin, *targets, rules=()):
    return admin.put("/_ecrsim/targets", json={"targets": list(targets), "rules": list(rules)})


def test_what_is_put_is_shown(admin, log):
    hook = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:1/", "secret": "s3cret"}
    assert put(admin, log, hook, rules=[RULE]).json == {"targets": 2, "rules": 1}
    answer = admin.get("/_ecrsim/targets")
    assert b"s3cret" not in answer.data
    assert [target["name"] for target in answer.json["targets"]] == ["log", "hook"]
    assert answer.json["rules"] == [RULE]
    first = answer.json["targets"][0]
    assert (first["type"], first["path"], first["pending"], first["attempts"]) == ("file", log["path"], 0, 0)


def test_a_put_replaces(admin, log):
    put(admin, log, rules=[RULE])
    assert put(admin).json == {"targets": 0, "rules": 0}
    assert admin.get("/_ecrsim/targets").json == {"targets": [], "rules": []}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "the body is not an object"),
        (b'{"targets": [{"name": "x"}]}', "target x: type is one of file"),
        (b'{"rules": [{"pattern": {}, "targets": ["x"]}]}', "rule 1: "),
    ],
)
def test_what_cannot_be_put(admin, log, body, text):
    put(admin, log)
    answer = admin.put("/_ecrsim/targets", data=body)
    assert (answer.status_code, text in answer.text) == (400, True)
    assert len(admin.get("/_ecrsim/targets").json["targets"]) == 1


def test_settling_waits_for_what_is_there(admin, runtime, log, tmp_path):
    put(admin, log)
    push(runtime, "1", "2", "3")
    pump = Pump(runtime)
    timer = threading.Timer(0.3, pump.start)
    timer.start()
    answer = admin.post("/_ecrsim/targets/settle", json={"seconds": 10})
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "sequence": 3})
    assert len((tmp_path / "out").read_text().splitlines()) == 3
    timer.join()
    pump.stop()


def test_settling_says_who_is_behind(admin, runtime, log):
    hook = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:1/"}
    put(admin, log)
    push(runtime, "1")
    put(admin, log, hook)
    began = time.monotonic()
    answer = admin.post("/_ecrsim/targets/settle", json={"seconds": 0.2})
    assert 0.2 <= time.monotonic() - began < 2
    assert answer.status_code == 504
    assert answer.json["message"] == "not done in time: log"
    assert [(target["name"], target["pending"]) for target in answer.json["behind"]] == [("log", 1)]


def test_settling_without_targets(admin, runtime):
    push(runtime, "1")
    assert admin.post("/_ecrsim/targets/settle").json == {"status": "ok", "sequence": 1}


@pytest.mark.parametrize("seconds", [-1, 301, "1", True, None])
def test_seconds_that_are_none(admin, seconds):
    answer = admin.post("/_ecrsim/targets/settle", json={"seconds": seconds})
    assert (answer.status_code, "seconds is a number from 0 to 300" in answer.text) == (400, True)
