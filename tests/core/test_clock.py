"""One clock, of eight bytes: the real time, with an offset or without, or an instant; alone or shared by processes."""

import multiprocessing
import time
from datetime import UTC
from functools import partial
from pathlib import Path

import pytest

from ecrsim.core.clock import REAL, Clock, Setting, iso, parse_iso, utc_now
from ecrsim.core.durations import DAY, HOUR, MINUTE, SECOND
from ecrsim.core.words import shared_word

NEW_YEAR = 1_767_225_600_000


def test_it_shows_milliseconds_of_the_real_time():
    before = int(time.time() * 1000)
    now = Clock().now()

    assert type(now) is int
    assert before <= now <= time.time() * 1000


def test_with_an_offset_it_goes_on_with_the_real_time():
    clock = Clock(Setting(False, 2 * HOUR + 5 * SECOND))
    before = int(time.time() * 1000)
    assert before <= clock.now() - 2 * HOUR - 5 * SECOND <= time.time() * 1000
    assert before <= clock.unturned() <= time.time() * 1000


@pytest.mark.parametrize(
    ("setting", "mode"),
    [
        (REAL, "real"),
        (Setting(False, 1), "offset"),
        (Setting(False, -DAY), "offset"),
        (Setting(True, 0), "frozen"),
        (Setting(True, NEW_YEAR), "frozen"),
    ],
)
def test_a_setting_is_kept_as_it_is(setting, mode):
    clock = Clock()
    clock.set(setting)
    assert clock.setting == setting
    assert clock.setting.mode == mode


def test_frozen_it_shows_one_instant():
    clock = Clock(Setting(True, NEW_YEAR))
    assert (clock.now(), iso(clock.now())) == (NEW_YEAR, "2026-01-01T00:00:00.000Z")


def test_turned_it_goes_on_as_it_did():
    clock = Clock(Setting(True, NEW_YEAR))
    assert clock.at(NEW_YEAR + DAY) == Setting(True, NEW_YEAR + DAY)
    clock.set(REAL)
    clock.set(clock.at(NEW_YEAR))
    assert 0 <= clock.now() - NEW_YEAR < MINUTE
    assert not clock.setting.is_frozen


def test_two_clocks_know_nothing_of_each_other():
    one, other = Clock(), Clock()
    one.set(Setting(False, DAY))

    assert one.now() - other.now() > DAY - MINUTE


def test_clocks_that_share_a_file_show_the_same(tmp_path):
    one, other = Clock(), Clock(Setting(True, NEW_YEAR))
    one.share(partial(shared_word, tmp_path / "clock"))
    other.share(partial(shared_word, tmp_path / "clock"))
    assert one.setting == Setting(True, NEW_YEAR)

    one.set(Setting(False, -DAY))
    assert other.setting == Setting(False, -DAY)


def test_the_file_has_its_place_on_the_disk(tmp_path):
    """A hole would be given one at the first change, which on a full disk is the death of the process (SIGBUS)."""
    Clock().share(partial(shared_word, tmp_path / "clock"))
    assert (tmp_path / "clock").stat().st_blocks > 0


def _set_again_and_again(file, setting, stopped):
    clock = Clock(setting)
    clock.share(partial(shared_word, file))
    while not stopped.is_set():
        for _ in range(1_000):
            clock.set(setting)


def test_nobody_sees_half_of_a_change(tmp_path):
    """Another process that reads meanwhile never sees an empty word, which would be the real time."""
    setting = Setting(True, NEW_YEAR)
    clock = Clock(setting)
    clock.share(partial(shared_word, tmp_path / "clock"))
    context = multiprocessing.get_context("spawn")
    stopped = context.Event()
    other = context.Process(target=_set_again_and_again, args=(tmp_path / "clock", setting, stopped))
    other.start()
    try:
        until = time.monotonic() + 1.5
        seen = set()
        while time.monotonic() < until:
            seen.update(clock.now() for _ in range(10_000))
    finally:
        stopped.set()
        other.join(30)
    assert seen == {NEW_YEAR}
    assert other.exitcode == 0


def test_sharing_leaves_no_file_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    clock = Clock()
    clock.share(partial(shared_word, tmp_path / "clock"))
    # The map has a descriptor of its own.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_787_109_743_563, "2026-08-19T03:22:23.563Z"),
        (1_787_109_743_007, "2026-08-19T03:22:23.007Z"),
    ],
)
def test_moments_are_written_as_iso_8601_and_read(milliseconds, text):
    assert iso(milliseconds) == text
    assert parse_iso(text) == milliseconds


def test_a_time_without_an_offset_is_utc():
    assert parse_iso("2026-01-01") == parse_iso("2026-01-01T00:00:00") == NEW_YEAR
    assert parse_iso("2026-01-01T02:00:00+02:00") == NEW_YEAR


def test_certificates_live_by_the_real_time():
    assert utc_now().tzinfo is UTC
