"""Work that is undone by a miss, and done again when what it missed is there."""

import threading

import pytest

from ecrsim.core.errors import UnableToGetUpstreamImageException
from ecrsim.core.misses import Flight, Miss, NotYet, Unfetched, Wanted, persistently
from ecrsim.core.registry import Registry

WANTED = Wanted(Registry("000000000000", "us-east-1"), "app", "image", "v1")
FAILED = Unfetched("busy", UnableToGetUpstreamImageException("no"))


class Work:
    """Misses once; then it is done, with what came of the flight."""

    def __init__(self):
        self.flight, self.times = Flight(), 0

    def __call__(self, fetched):
        self.times += 1
        if WANTED not in fetched:
            raise Miss(WANTED, lambda: self.flight)
        return fetched[WANTED].result()


def test_a_server_that_does_the_work_again_is_told_to():
    """No thread waits meanwhile, and the flight is begun once."""
    work, kept = Work(), {}
    with pytest.raises(NotYet) as caught:
        persistently(kept, work)
    assert caught.value.flight is work.flight
    work.flight.settle(FAILED)
    assert (persistently(kept, work), work.times) == (FAILED, 2)


def test_what_is_here_at_once_is_done_at_once():
    work = Work()
    work.flight.settle(None)
    assert (persistently({}, work), work.times) == (None, 2)


def test_other_servers_wait_in_their_thread():
    work, found = Work(), []
    waiting = threading.Thread(target=lambda: found.append(persistently(None, work)))
    waiting.start()
    work.flight.settle(FAILED)
    waiting.join(30)
    assert (found, work.times) == ([FAILED], 2)


def test_a_flight_is_over_once():
    flight, told = Flight(), []
    flight.when_over(lambda: told.append(1))
    flight.settle(FAILED)
    flight.settle(None, ValueError())
    flight.when_over(lambda: told.append(2))
    assert (flight.result(), told, flight.is_over) == (FAILED, [1, 2], True)


def test_its_error_is_everybodys():
    flight = Flight()
    flight.settle(error=ValueError("broken"))
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            flight.result()
