"""A layer whose upload to another site was cut off: it is gone on with where it stood, by whoever is there next."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from ecrsim.core import jobs
from ecrsim.core.durations import DAY
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.upstream import pushing
from ecrsim.core.upstream.failures import UpstreamInvalid, UpstreamUnavailable
from ecrsim.ecr.replication.tables import replication_uploads
from ecrsim.testing import build_image
from tests.answers import ACCOUNT
from tests.ecr.replication.conftest import EU, statuses
from tests.ecr.replication.test_copies import pull
from tests.pushing import listed, push

CHUNK = 1_000
#: A layer of five chunks.
IMAGE = build_image(bytes(range(250)) * 20, config=b"{}")


class Killed(BaseException):
    """Nobody answers for it on the way, as for no signal."""


class Wire(NamedTuple):
    """`sent`: the ranges of the layer's chunks. `acts`: number of the chunk → what is done in place of sending it."""

    sent: list[str]
    acts: dict[int, Callable]


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.setattr(pushing, "CHUNK", CHUNK)
    ask = pushing.UpstreamRegistry.ask
    found = Wire([], {})

    def watched(self, method, *arguments, **options):
        if method == "PATCH" and arguments[2]["Content-Range"] != "0-1":
            found.sent.append(arguments[2]["Content-Range"])
            act = found.acts.pop(len(found.sent), None)
            if act is not None:
                act(lambda: ask(self, method, *arguments, **options))
        return ask(self, method, *arguments, **options)

    monkeypatch.setattr(pushing.UpstreamRegistry, "ask", watched)
    return found


def kept(world):
    with world.sim.runtime.database.read() as connection:
        return connection.execute(replication_uploads.select()).all()


def pending(world):
    with world.sim.runtime.database.read() as connection:
        return jobs.page(connection, 0, 10, "PENDING")


def kill(_send):
    raise Killed


def lose_the_answer(send):
    with send():
        pass
    raise Killed


def fail(_send):
    raise UpstreamUnavailable("the site is down")


def ranges(*starts):
    return [f"{start}-{start + CHUNK - 1}" for start in starts]


#: What happens to the third chunk → the chunks that are sent afterwards.
CUTS = {
    "killed before it was sent": (kill, ranges(2000, 3000, 4000)),
    "killed before the answer came": (lose_the_answer, ranges(3000, 4000)),
}


@pytest.mark.parametrize(("act", "rest"), CUTS.values(), ids=CUTS)
def test_after_a_kill_it_goes_on_where_it_stood(here, there, wire, act, rest):
    wire.acts[3] = act
    push(here.home, "app", IMAGE, "v1")
    with pytest.raises(Killed):
        here.arrive()
    assert wire.sent == ranges(0, 1000, 2000)
    assert len(kept(here)) == 1
    here.arrive()
    assert wire.sent[3:] == rest
    assert pull(there, "app", imageTag="v1") == IMAGE.manifest
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}
    assert kept(here) == []


def test_the_next_attempt_goes_on_where_a_site_went_down(here, there, wire, monkeypatch):
    monkeypatch.setattr(pushing, "_MAX_BREAKS", 0)
    wire.acts[4] = fail
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {EU: "IN_PROGRESS"}
    here.sim.advance(minutes=1)
    assert wire.sent == ranges(0, 1000, 2000, 3000, 3000, 4000)
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}


def test_one_that_is_gone_there_begins_anew(here, there, wire, second):
    wire.acts[3] = kill
    push(here.home, "app", IMAGE, "v1")
    with pytest.raises(Killed):
        here.arrive()
    there.delete_repository(repositoryName="app", force=True)
    here.arrive()
    assert wire.sent[3:] == ranges(0, 1000, 2000, 3000, 4000)
    assert listed(there, "app") == [(IMAGE.digest, "v1")]


def test_one_with_other_bytes_begins_anew(here, there, wire, monkeypatch):
    """Somebody else has written to it: the digest says so in the end."""
    wire.acts[3] = kill
    push(here.home, "app", IMAGE, "v1")
    with pytest.raises(Killed):
        here.arrive()
    resume = pushing.Pusher._resume

    def spoil(self, repository, location):
        place = resume(self, repository, location)
        headers = {"Content-Type": "application/octet-stream", "Content-Range": "2000-2999"}
        with self._registry.ask("PATCH", place[0], repository, headers, bytes(1000), "pull,push"):
            return place[0], place[1] + 1000

    with monkeypatch.context() as patched:
        patched.setattr(pushing.Pusher, "_resume", spoil)
        here.arrive()
    assert wire.sent[-5:] == ranges(0, 1000, 2000, 3000, 4000)
    assert pull(there, "app", imageTag="v1") == IMAGE.manifest
    assert kept(here) == []


def test_who_still_writes_there_is_waited_for(here, there, wire, monkeypatch):
    """416: the connection that broke had bytes in it, which the other side is still writing."""
    monkeypatch.setattr(here.sim.runtime.upstreams._wire, "_wait", lambda _seconds: False)

    def refuse(_send):
        raise UpstreamInvalid("it answers 416", 416)

    wire.acts.update({2: refuse, 3: refuse})
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert wire.sent == ranges(0, 1000, 1000, 1000, 2000, 3000, 4000)
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}


def test_a_layer_that_is_refused_is_not_sent_again_and_again(here, there, wire):
    def refuse(_send):
        raise UpstreamInvalid("it answers 413", 413)

    wire.acts[2] = refuse
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert wire.sent == ranges(0, 1000)
    assert statuses(here.home, "app", imageTag="v1") == {EU: "InvalidAnswer"}
    assert kept(here) == []


def test_who_is_told_to_stop_leaves_the_rest_for_the_next_start(here, there, wire):
    def stop(_send):
        here.sim.runtime.stopping.set()

    wire.acts[3] = stop
    push(here.home, "app", IMAGE, "v1")
    try:
        with pytest.raises(ServiceUnavailableException, match="stopping"):
            here.arrive()
        (job,) = pending(here)
    finally:
        here.sim.runtime.stopping.clear()
    assert wire.sent == ranges(0, 1000, 2000)
    assert (job.state, job.attempts) == ("PENDING", 0)
    here.arrive()
    assert wire.sent[3:] == ranges(3000, 4000)
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}


def test_what_nobody_went_on_with_is_forgotten(here, there, wire):
    old = {"registry_id": ACCOUNT, "region": "eu-west-1", "repository_name": "gone", "layer_digest": IMAGE.digest}
    now = here.sim.runtime.clock.now()
    with here.sim.runtime.database.write() as connection:
        for days, name in ((6, "begun"), (8, "forgotten")):
            values = old | {
                "repository_name": name,
                "location": "/",
                "updated_at": now - days * DAY,
            }
            connection.execute(replication_uploads.insert().values(values))
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert [row.repository_name for row in kept(here)] == ["begun"]
