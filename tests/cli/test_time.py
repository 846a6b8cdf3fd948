"""advance, clock and reset, against a server."""

import contextlib
import json
import os
import pty
import socket
import subprocess
import sys
import threading

import pytest

from ecrsim import Ecrsim
from ecrsim.core import jobs
from ecrsim.core.clock import parse_iso
from ecrsim.core.durations import DAY, HOUR
from ecrsim.remote.durations import seconds_of
from tests.core.jobbing import HERE, Book, put

NEW_YEAR = parse_iso("2026-01-01")


@pytest.fixture
def sim():
    with Ecrsim(clock="frozen@2026-01-01") as sim:
        yield sim


@pytest.fixture
def tell(run, sim):
    """`tell("advance", "14d")`: a command that asks `sim`."""
    return lambda *arguments: run(*arguments, "--port", str(sim.runtime.port))


@pytest.fixture
def book(monkeypatch):
    book = Book()
    monkeypatch.setitem(jobs._KINDS, "note", jobs.JobKind(book.run, is_long=False))
    return book


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("12h", 43_200),
        ("14d", 1_209_600),
        ("2w", 1_209_600),
        ("1d12h", 129_600),
        ("1w2d3h4m5s", 788_645),
        ("0s", 0),
    ],
)
def test_spans_of_time(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "14", "-1d", "1.5d", "1y", "14 d", "1d-2h", "d1", "1d2", "9" * 30 + "d"])
def test_what_is_no_span_of_time(text, run, sim):
    before = sim.now
    refused = run("advance", f"--port={sim.runtime.port}", "--", text)
    assert (refused.status, refused.out, sim.now) == (2, "", before)


def test_plain_seconds_are_asked_what_they_are(tell):
    refused = tell("advance", "90")
    assert refused.status == 2
    assert "90 of what? A time has a unit: 90s, 90m, 90h, 90d, 90w" in refused.err


def test_advance_tells_the_time(tell):
    assert tell("advance", "14d") == (0, "2026-01-15T00:00:00.000Z frozen\n", "")
    assert tell("advance", "1d12h").out == "2026-01-16T12:00:00.000Z frozen\n"


def test_advance_tells_what_ran(tell, sim, book):
    def fail(call, job):
        raise ValueError("no")

    book.acts["bad"] = fail
    put(sim.runtime, "good", NEW_YEAR + HOUR, repository_name="app")
    put(sim.runtime, "bad", NEW_YEAR + DAY - 1, repository_name="web")
    put(sim.runtime, "nameless", NEW_YEAR + DAY)
    assert tell("advance", "1d").out.splitlines() == [
        "2026-01-02T00:00:00.000Z frozen",
        "2026-01-01T01:00:00.000Z note app",
        "2026-01-01T23:59:59.999Z note web: failed: ValueError: no",
        "2026-01-02T00:00:00.000Z note",
    ]


def test_advance_counts_what_ran_often(tell, sim, book):
    book.acts["daily"] = lambda call, job: jobs.enqueue(call, "note", call.now + DAY, HERE, job.key, job.payload)
    put(sim.runtime, "daily", NEW_YEAR + DAY, repository_name="app")
    put(sim.runtime, "once", NEW_YEAR + DAY, repository_name="web")
    assert tell("advance", "30d").out.splitlines() == [
        "2026-01-31T00:00:00.000Z frozen",
        "30 × note app",  # noqa: RUF001 - times
        "1 × note web",  # noqa: RUF001 - times
    ]


def test_a_daily_policy_runs_thirty_times(tell, sim):
    ecr = sim.client(account="111111111111", region="eu-west-1")
    ecr.create_repository(repositoryName="app")
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    }
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps({"rules": [rule]}))
    assert tell("advance", "30d").out.splitlines()[1:] == ["30 × evaluate-lifecycle-policy 111111111111/eu-west-1/app"]  # noqa: RUF001 - times


def test_the_clock_is_shown_and_turned(tell, sim):
    assert tell("clock") == (0, "2026-01-01T00:00:00.000Z frozen\n", "")
    assert tell("clock", "show") == tell("clock")
    assert tell("clock", "freeze", "2026-01-31T12:00:00Z").out == "2026-01-31T12:00:00.000Z frozen\n"
    assert tell("clock", "freeze").out == "2026-01-31T12:00:00.000Z frozen\n"
    assert tell("clock", "real").out.endswith(" real\n")
    assert not sim.runtime.clock.setting.is_frozen


@pytest.mark.parametrize(
    "line",
    [
        "clock freeze --port {port} 2026-01-31",
        "clock freeze 2026-01-31 --port {port}",
        "clock --port {port} freeze 2026-01-31",
    ],
)
def test_the_port_stands_anywhere_in_the_line(line, run, sim):
    told = run(*line.format(port=sim.runtime.port).split())
    assert told == (0, "2026-01-31T00:00:00.000Z frozen\n", "")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("clock", "freeze", "noon"), 1, "noon is not a time such as 2026-01-31T12:00:00Z"),
        (("clock", "freeze", "9999-01-01"), 1, "1970 to 9998"),
        (("clock", "real", "2026-01-01"), 2, "unrecognized arguments: 2026-01-01"),
        (("clock", "stop"), 2, "invalid choice: 'stop'"),
        (("advance",), 2, "required: DURATION"),
        (("advance", "3000000d"), 1, "1970 to 9998"),
    ],
    ids=str,
)
def test_what_cannot_be(arguments, status, words, tell):
    refused = tell(*arguments)
    assert (refused.status, refused.out) == (status, "")
    assert words in refused.err


def test_a_long_advance_shows_where_the_clock_has_come_to(sim, book, monkeypatch):
    """On a terminal, on standard error: the line is gone at the end, and what ran is on standard output."""
    is_shown = threading.Event()
    monkeypatch.setitem(jobs._KINDS, "note", jobs.JobKind(book.run_long, is_long=True))
    book.acts["slow"] = lambda *_: is_shown.wait(60)
    put(sim.runtime, "slow", NEW_YEAR + 2 * DAY)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ecrsim", "advance", "3d", "--port", str(sim.runtime.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        shown = b""
        while b"advancing: 2026-01-03T00:00:00.000Z" not in shown:
            shown += os.read(ours, 4096)
        is_shown.set()
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
        os.close(ours)
        assert process.stdout.read() == "2026-01-04T00:00:00.000Z frozen\n2026-01-03T00:00:00.000Z note\n"
    assert process.returncode == 0
    assert shown.endswith(b"\r\x1b[K")


def test_reset_forgets_everything(tell, sim):
    sim.client().create_repository(repositoryName="app")
    tell("advance", "3d")
    assert tell("reset") == (0, "ecrsim is empty\n", "")
    assert sim.client().describe_repositories()["repositories"] == []
    assert tell("clock").out == "2026-01-01T00:00:00.000Z frozen\n"


@pytest.mark.parametrize("command", [("advance", "1d"), ("clock",), ("reset",), ("events",), ("events", "--follow")])
def test_where_nobody_answers_it_says_so(command, run):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        refused = run(*command, "--port", str(port))
    assert (refused.status, refused.out) == (1, "")
    assert f"no ecrsim answers on 127.0.0.1 port {port}" in refused.err


def test_the_token_of_the_admin_surface_is_given(run, monkeypatch):
    with Ecrsim(admin_token="open sesame", clock="frozen@2026-01-01") as sim:
        port = str(sim.runtime.port)
        assert "asks for its token" in run("clock", "--port", port).err
        monkeypatch.setenv("ECRSIM_ADMIN_TOKEN", "open sesame")
        assert run("clock", "--port", port).out == "2026-01-01T00:00:00.000Z frozen\n"


def test_the_token_is_found_by_itself(run, tmp_path):
    """Of the data directory, and by the machine's own server alone."""
    with Ecrsim(auth="strict", data_dir=str(tmp_path), clock="frozen@2026-01-01") as sim:
        port = str(sim.runtime.port)
        assert "which `ecrsim token` prints" in run("clock", "--port", port).err
        assert run("clock", "--port", port, "--data-dir", str(tmp_path)).out == "2026-01-01T00:00:00.000Z frozen\n"
        printed = run("token", "--data-dir", str(tmp_path))
        assert (printed.status, printed.out) == (0, f"{sim.runtime.admin_token}\n")
        assert run("clock", "--port", port, "--admin-token", printed.out.strip()).status == 0
        assert run("clock", "--port", port, "--admin-token", "another").status == 1


def test_a_token_of_nothing_is_not_made_up(run, tmp_path):
    refused = run("token", "--data-dir", str(tmp_path / "none"))
    assert (refused.status, refused.out) == (1, "")
    assert "there is no data directory" in refused.err
    assert run("token", "--admin-token", "given").out == "given\n"


def test_gc_does_not_turn_the_clock_of_who_serves(run, monkeypatch, tmp_path):
    """Both may read the same settings."""
    with Ecrsim(socket=False, data_dir=str(tmp_path), clock="frozen@2026-01-01") as sim:
        sim.advance(days=3)
        monkeypatch.setenv("ECRSIM_CLOCK", "frozen@2026-01-01")
        assert run("gc", "--data-dir", str(tmp_path)).status == 0
        run("doctor", "--data-dir", str(tmp_path))
        assert sim.now.day == 4
