"""ecrsim events: those that there are, and those that come, over a restart of the server too."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.remote.events import line, messages
from ecrsim.testing import build_image
from tests.pushing import create, push


@pytest.fixture
def sim():
    with Ecrsim(clock="frozen@2026-01-31T12:00:00Z") as sim:
        yield sim


@pytest.fixture
def tell(run, sim):
    return lambda *arguments: run("events", "--port", str(sim.runtime.port), *arguments)


@pytest.fixture
def image(sim):
    image = build_image(b"layer")
    push(sim.client(), create(sim.client()), image, "v1")
    return image


def test_a_line_tells_what_happened(tell, image):
    time = "2026-01-31T12:00:00Z"
    told = tell()
    assert (told.status, told.err) == (0, "")
    assert told.out.splitlines() == [
        f"1 {time} AWS API Call via CloudTrail app CreateRepository",
        f"2 {time} ECR Image Action app:v1 PUSH",
        f"3 {time} AWS API Call via CloudTrail app:v1 PutImage",
    ]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ((), ["1", "2", "3"]),
        (("--after", "2"), ["3"]),
        (("--after", "99"), []),
        (("--type", "ECR Image Action"), ["2"]),
        (("--repository", "app"), ["1", "2", "3"]),
        (("--repository", "web"), []),
        (("--pattern", '{"detail": {"eventName": ["PutImage"]}}'), ["3"]),
    ],
    ids=str,
)
def test_filters(arguments, numbers, tell, image):
    assert [each.split()[0] for each in tell(*arguments).out.splitlines()] == numbers


def test_as_json_they_are_whole(tell, image, sim):
    assert [json.loads(each) for each in tell("--json").out.splitlines()] == sim.events()


def test_more_than_a_page(tell, sim, monkeypatch):
    monkeypatch.setattr("ecrsim.remote.events._PAGE", 2)
    for number in range(5):
        create(sim.client(), f"app-{number}")
    assert len(tell().out.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--pattern", "{"), 1, "pattern is not JSON"),
        (("--pattern", '{"source": "aws.ecr"}'), 1, "Event pattern is not valid"),
        (("--follow", "--pattern", "[]"), 1, "pattern is not a JSON object"),
        (("--after", "-1"), 2, "--after"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for(arguments, status, words, tell):
    refused = tell(*arguments)
    assert (refused.status, refused.out) == (status, "")
    assert words in refused.err


def test_a_storage_class_and_a_run_of_a_policy_have_lines_too():
    archived = {
        "time": "2026-01-31T12:00:00Z",
        "detail-type": "ECR Image Action",
        "detail": {
            "action-type": "UPDATE_STORAGE_CLASS",
            "target-storage-class": "ARCHIVE",
            "image-digest": "sha256:1",
            "repository-name": "app",
        },
    }
    assert line(7, archived) == "7 2026-01-31T12:00:00Z ECR Image Action app@sha256:1 ARCHIVE"
    ran = {
        "time": "2026-01-31T12:00:00Z",
        "detail-type": "AWS Service Event via CloudTrail",
        "detail": {
            "eventName": "PolicyExecutionEvent",
            "requestParameters": None,
            "serviceEventDetails": {"repositoryName": "app"},
        },
    }
    assert line(8, ran) == "8 2026-01-31T12:00:00Z AWS Service Event via CloudTrail app PolicyExecutionEvent"


def test_messages_of_a_stream():
    lines = [b"id: 4\n", b"\n", b": a comment\n", b"id: 5\n", b'data: {"a":1}\n', b"\n", b"id: 6\n", b"data: 7\n"]
    assert list(messages(lines)) == [("4", ""), ("5", '{"a":1}')]


# --- following, in a process of its own -------------------------------------------------------------------------------


@contextmanager
def following(sim: Ecrsim, *arguments: str) -> Iterator[Any]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ECRSIM_")}
    command = [sys.executable, "-m", "ecrsim", "events", "--follow", "--port", str(sim.runtime.port), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**environ, "HOME": "/nonexistent"}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(is_so: Callable[[], bool], sim: Ecrsim) -> None:
    for _ in range(1500):
        if is_so():
            return
        sim.runtime.stopping.wait(0.02)
    raise AssertionError("it has not come to pass")


def test_follow_prints_what_comes_and_ends_by_ctrl_c(sim, image):
    with following(sim, "--after", "3") as process:
        create(sim.client(), "web")
        assert process.stdout.readline() == "4 2026-01-31T12:00:00Z AWS API Call via CloudTrail web CreateRepository\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_follow_goes_on_after_a_restart(tmp_path):
    """What happened while it was not connected is told too."""
    with Ecrsim(data_dir=str(tmp_path), jobs="settle") as sim:
        port = sim.runtime.port
        create(sim.client(), "one")
        process_of = following(sim, "--after", "0")
        process = process_of.__enter__()
        assert "one" in process.stdout.readline()
    try:
        assert "connection was lost" in process.stderr.readline()
        with Ecrsim(data_dir=str(tmp_path), port=port, jobs="settle") as sim:
            for name in ("two", "three"):
                create(sim.client(), name)
            assert [process.stdout.readline().split()[0] for _ in range(2)] == ["2", "3"]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stdout.read() == ""
    finally:
        process_of.__exit__(None, None, None)


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=str)
def test_a_reader_that_has_seen_enough_is_no_fault(arguments, sim, image):
    with following(sim, "--after", "2", *arguments) as process:
        assert process.stdout.readline()
        process.stdout.close()
        while process.poll() is None:
            sim.client().put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
            sim.runtime.stopping.wait(0.1)
        assert process.returncode == 0
        assert process.stderr.read() == ""
