"""One clock: it goes with the real time, forward, and is turned by tests alone."""

import time
from datetime import UTC

import pytest

from ecrsim.core.clock import DAY, HOUR, MINUTE, SECOND, Clock, iso, utc_now


def test_it_shows_milliseconds_of_the_real_time():
    before = int(time.time() * 1000)
    now = Clock().now()

    assert type(now) is int
    assert before <= now <= time.time() * 1000


def test_it_is_turned_forward_and_back_to_the_present():
    clock = Clock(offset=5 * SECOND)
    clock.advance(2 * HOUR)
    assert 2 * HOUR + 5 * SECOND <= clock.now() - int(time.time() * 1000) + SECOND < 2 * HOUR + 7 * SECOND

    clock.reset()
    assert abs(clock.now() - time.time() * 1000) < SECOND


def test_it_never_goes_back():
    with pytest.raises(ValueError, match="only goes forward"):
        Clock().advance(-1)


def test_two_clocks_know_nothing_of_each_other():
    one, other = Clock(), Clock()
    one.advance(DAY)

    assert one.now() - other.now() > DAY - MINUTE


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_787_109_743_563, "2026-08-19T03:22:23.563Z"),
        (1_787_109_743_007, "2026-08-19T03:22:23.007Z"),
    ],
)
def test_moments_are_written_as_iso_8601(milliseconds, text):
    assert iso(milliseconds) == text


def test_certificates_live_by_the_real_time():
    assert utc_now().tzinfo is UTC
