"""The clock is kept in the database: a restart finds it as it was, and all who share the data directory agree."""

from collections.abc import Callable, Iterator

import pytest

from ecrsim.config import load
from ecrsim.core.clock import REAL, Clock, Setting, iso
from ecrsim.core.clock_setting import ClockError, checked, configured, instant, turn
from ecrsim.core.durations import DAY
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.runtime import Runtime
from tests.engine import soon

NEW_YEAR = 1_767_225_600_000


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Runtime]]:
    """`start("frozen", started="1")`: a runtime over the one data directory."""
    running = []

    def start(clock: str = "", started: str = "") -> Runtime:
        runtime = Runtime(load({"data_dir": str(tmp_path), "clock": clock}, environ={}))
        runtime.open(started)
        running.append(runtime)
        return runtime

    yield start
    for runtime in running:
        runtime.close()


@pytest.mark.parametrize("setting", [Setting(True, NEW_YEAR), Setting(False, -DAY), REAL], ids=lambda each: each.mode)
def test_a_restart_finds_it_as_it_was(start, setting):
    first = start("frozen@2030-01-01")
    turn(first.clock, first.database, setting)
    first.close()

    assert start().clock.setting == setting


@pytest.mark.parametrize("setting", [Setting(True, NEW_YEAR), Setting(False, -DAY), REAL], ids=lambda each: each.mode)
def test_a_second_runtime_follows_and_turns(start, setting):
    one, other = start(), start()
    turn(one.clock, one.database, setting)
    soon(lambda: other.clock.setting == setting)
    assert other.clock.setting == setting
    turn(other.clock, other.database, Setting(True, 5))
    soon(lambda: one.clock.now() == 5)
    assert one.clock.now() == 5


@pytest.mark.sqlite
def test_it_is_not_the_file_that_is_believed_after_a_crash(start, tmp_path):
    runtime = start()
    turn(runtime.clock, runtime.database, Setting(True, NEW_YEAR))
    runtime.close()
    (tmp_path / "ecrsim.db-clock").write_bytes(b"rubbish!")
    assert start().clock.now() == NEW_YEAR


def test_the_setting_is_obeyed_at_each_start(start):
    first = start("frozen@2026-01-01", started="first")
    turn(first.clock, first.database, REAL)
    assert start("frozen@2026-01-01", started="second").clock.now() == NEW_YEAR


def test_the_setting_is_obeyed_once_at_a_start(start):
    """A worker that comes later, or again, finds the clock as it was turned since."""
    first = start("frozen@2026-01-01", started="one start")
    assert first.clock.now() == NEW_YEAR
    turn(first.clock, first.database, Setting(True, NEW_YEAR + DAY))
    again = start("frozen@2026-01-01", started="one start")
    assert again.clock.now() == first.clock.now() == NEW_YEAR + DAY


def test_all_workers_of_a_start_are_frozen_at_one_instant(start):
    assert len({start("frozen", started="one start").clock.now() for _ in range(3)}) == 1


@pytest.mark.sqlite
def test_a_clock_that_cannot_be_written_down_is_not_turned(start, monkeypatch):
    runtime = start()
    other = start()

    def refuse(*_):
        raise ServiceUnavailableException("The database cannot be used: no space.")

    monkeypatch.setattr("ecrsim.core.engines.sqlite._raw", refuse)
    with pytest.raises(ServiceUnavailableException):
        turn(runtime.clock, runtime.database, Setting(True, NEW_YEAR))
    monkeypatch.undo()
    assert runtime.clock.setting == other.clock.setting == REAL


def test_a_commit_that_fails_turns_it_back(start, monkeypatch):
    runtime = start()

    class Failing(Clock):
        def set(self, setting):
            super().set(setting)
            if setting.is_frozen:
                raise OSError("in the middle of it")

    monkeypatch.setattr(runtime.clock, "__class__", Failing)
    with pytest.raises(OSError, match="in the middle"):
        turn(runtime.clock, runtime.database, Setting(True, NEW_YEAR))
    monkeypatch.undo()
    assert runtime.clock.setting == REAL
    runtime.close()
    assert start().clock.setting == REAL


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("", REAL),
        ("real", REAL),
        ("frozen", Setting(True, 42)),
        ("frozen@2026-01-01", Setting(True, NEW_YEAR)),
        ("frozen@2026-01-01T01:00:00+01:00", Setting(True, NEW_YEAR)),
    ],
)
def test_settings_as_they_are_given(text, setting):
    assert configured(text, 42) == setting


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("offset", "not offset"),
        ("frozen@", "not frozen@"),
        ("frozen@noon", "noon is not a time such as"),
        ("frozen@1969-12-31", "from 1970 to 9998"),
        ("frozen@0001-01-01T00:00:00+23:59", "not a time|from 1970"),
        ("frozen@9999-01-01", "from 1970 to 9998"),
    ],
)
def test_what_it_cannot_be(text, words):
    with pytest.raises(ClockError, match=words):
        configured(text, 42)


def test_the_last_instant_leaves_room_for_what_lies_ahead():
    last = instant("9998-12-31T23:59:59.999Z")
    assert checked(last) == last
    assert iso(last + 365 * DAY).startswith("9999-12-31")
    with pytest.raises(ClockError):
        checked(last + 1)
