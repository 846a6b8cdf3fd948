"""The outbox through the admin surface: pages, filters, and the stream for as long as it lasts."""

import http.client
import json
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from ecrsim import Ecrsim
from ecrsim.admin import events as routes
from ecrsim.testing import build_image
from tests.principals import admin
from tests.pushing import create, push

PUSHES = quote("ECR Image Action")


@pytest.fixture
def pushed(sim):
    ecr = sim.client()
    for name in ("app", "web"):
        create(ecr, name)
        push(ecr, name, build_image(name.encode()), "v1")
    return sim


def get(sim, query=""):
    answer = admin(sim, "GET", f"events{query}")
    assert answer.status == 200, answer.body
    return answer.json()


# --- pages ------------------------------------------------------------------------------------------------------------


def test_events_are_envelopes_with_their_numbers(pushed):
    first, *_ = entries = get(pushed)["events"]
    assert first.keys() == {"sequence", "event"}
    assert [entry["event"] for entry in entries] == pushed.events()
    numbers = [entry["sequence"] for entry in entries]
    assert numbers == sorted(set(numbers))
    [push_of_web] = get(pushed, f"?type={PUSHES}&repository=web")["events"]
    assert push_of_web["event"]["detail"]["image-tag"] == "v1"


def test_pages_go_on_where_the_one_before_ended(pushed):
    everything = get(pushed)["events"]
    found, after = [], 0
    while len(page := get(pushed, f"?limit=2&after={after}")["events"]):
        assert len(page) <= 2
        found += page
        after = get(pushed, f"?limit=2&after={after}")["next"]
    assert found == everything
    assert get(pushed, f"?after={after}") == {"events": [], "next": after}


def test_a_page_ends_after_so_many_bytes_as_well(pushed, monkeypatch):
    everything = get(pushed)["events"]
    monkeypatch.setattr(routes, "_AT_ONCE", 1)
    monkeypatch.setattr(routes, "_PAGE_BYTES", 2_000)
    found, pages, after = [], 0, 0
    while entries := (page := get(pushed, f"?after={after}"))["events"]:
        found, pages, after = found + entries, pages + 1, page["next"]
    assert found == everything
    assert 1 < pages <= len(everything)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 6),
        (f"?type={PUSHES}", 2),
        ("?repository=app", 3),
        ("?account=111111111111", 0),
        ("?region=us-east-1&account=000000000000&repository=web", 3),
        ("?pattern=" + quote('{"detail": {"eventName": ["PutImage"]}}'), 2),
        (f"?type={PUSHES}&pattern=" + quote('{"detail": {"repository-name": [{"wildcard": "a*"}]}}'), 1),
        ("?limit=0", 1),
        ("?limit=1000000", 6),
    ],
)
def test_filters(query, count, pushed):
    assert len(get(pushed, query)["events"]) == count


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=" + "9" * 30,
        "limt=3",
        "pattern=",
        "pattern={",
        "pattern=null",
        "pattern=[]",
        "pattern=1",
        "pattern=" + quote('{"source": "aws.ecr"}'),
        "pattern=" + quote('{"source": [{"like": "x"}]}'),
        "pattern=" + quote('{"a":' * 5000 + "[1]" + "}" * 5000),
        "pattern=" + quote("[" * 2000),
    ],
    ids=lambda query: query[:40],
)
@pytest.mark.parametrize("path", ["events", "events/stream"])
def test_what_cannot_be_asked_for_is_refused_in_words(path, query, sim):
    refused = admin(sim, "GET", f"{path}?{query}")
    assert refused.status == 400
    assert len(refused.json()["message"]) > 10


def test_a_pattern_of_great_depth_is_no_fault(pushed):
    deep = quote('{"a":' * 900 + "[1]" + "}" * 900)
    assert admin(pushed, "GET", f"events?pattern={deep}").status in (200, 400)
    assert admin(pushed, "GET", "events?limit=all").status == 400


def test_an_operation_that_fails_leaves_no_event(pushed, monkeypatch):
    before = pushed.events()
    ecr = pushed.client()
    with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName="app")
    with pytest.raises(ecr.exceptions.RepositoryNotEmptyException):
        ecr.delete_repository(repositoryName="app")
    assert ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v2"}])["failures"]
    image_actions = [event for event in pushed.events() if event["detail-type"] == "ECR Image Action"]
    assert image_actions == [event for event in before if event["detail-type"] == "ECR Image Action"]
    assert not [event for event in pushed.events()[len(before) :] if event["detail"]["eventName"] != "BatchDeleteImage"]


def test_a_change_without_its_event_is_no_change(pushed, monkeypatch):
    """Both are one transaction: where the event cannot be written, the repository is not made."""
    before = pushed.events()

    def fail(*_, **__):
        raise RuntimeError("the outbox is gone")

    ecr = pushed.client()
    with monkeypatch.context() as patch:
        patch.setattr("ecrsim.records.trail.emit", fail)
        with pytest.raises(ecr.exceptions.ClientError):
            ecr.create_repository(repositoryName="other")
    assert {each["repositoryName"] for each in ecr.describe_repositories()["repositories"]} == {"app", "web"}
    assert pushed.events() == before


# --- the stream -------------------------------------------------------------------------------------------------------


@pytest.fixture
def served():
    with Ecrsim() as sim:
        yield sim


@contextmanager
def stream(sim, query="", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", sim.runtime.port, timeout=20)
    connection.request(
        "GET", f"/_ecrsim/events/stream{query}", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def message(answer):
    """The next message: its number and its event, None where it is the number alone."""
    lines = []
    while (line := answer.readline().decode()) != "\n":
        assert line, "the stream has ended"
        lines.append(line.rstrip("\n").split(": ", 1))
    fields = dict(lines)
    return int(fields["id"]), json.loads(fields["data"]) if "data" in fields else None


def event(answer):
    while (found := message(answer))[1] is None:
        pass
    return found


def test_it_tells_of_what_is_still_to_come(served):
    ecr = served.client()
    ecr.create_repository(repositoryName="before")
    with stream(served) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert message(answer) == (1, None)
        ecr.create_repository(repositoryName="after")
        assert event(answer) == (2, served.events()[1])


def test_it_begins_after_a_number(served):
    ecr = served.client()
    for name in ("one", "two", "three"):
        ecr.create_repository(repositoryName=name)
    with stream(served, "?after=0") as answer:
        assert [event(answer) for _ in range(3)] == list(enumerate(served.events(), 1))
    with stream(served, "?after=0", Last_Event_ID="2") as answer:
        assert event(answer)[0] == 3


@pytest.mark.parametrize("number", ["99", "rubbish", "-1", "9" * 30])
def test_a_number_of_another_outbox_is_none(number, served):
    """As where an ecrsim without a data directory was started anew: all that there is is news to the client."""
    served.client().create_repository(repositoryName="app")
    with stream(served, Last_Event_ID=number) as answer:
        assert event(answer)[0] == 1


def test_it_has_the_filters_of_the_pages(served):
    ecr = served.client()
    with stream(served, "?repository=web") as answer:
        for name in ("app", "web"):
            ecr.create_repository(repositoryName=name)
        assert event(answer)[1]["detail"]["requestParameters"]["repositoryName"] == "web"


def test_pages_become_a_stream_by_what_the_client_accepts(served):
    served.client().create_repository(repositoryName="app")
    connection = http.client.HTTPConnection("127.0.0.1", served.runtime.port, timeout=20)
    connection.request("GET", "/_ecrsim/events", headers={"Accept": "text/event-stream"})
    assert event(connection.getresponse())[0] == 1
    connection.close()


def test_in_silence_it_says_that_it_lives_and_how_far_it_is(served, monkeypatch):
    monkeypatch.setattr(routes, "_SILENCE", 1)
    with stream(served, "?repository=nothing") as answer:
        assert message(answer) == (0, None)
        served.client().create_repository(repositoryName="app")
        while message(answer) != (1, None):
            pass


def test_more_events_than_are_read_at_once(served, monkeypatch):
    monkeypatch.setattr(routes, "_AT_ONCE", 2)
    ecr = served.client()
    for number in range(7):
        ecr.create_repository(repositoryName=f"app-{number}")
    with stream(served, "?after=0") as answer:
        assert [event(answer)[0] for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_client_that_has_left_leaves_its_place_to_another(served, monkeypatch):
    monkeypatch.setattr(routes, "_STREAMS", 1)
    monkeypatch.setattr(routes, "_SILENCE", 1)
    with stream(served) as answer:
        assert message(answer) == (0, None)
        with stream(served) as refused:
            assert refused.status == 503
            assert b"1 streams are open already" in refused.read()
    for _ in range(500):
        with stream(served) as answer:
            if answer.status == 200:
                return
            served.runtime.stopping.wait(0.02)
    raise AssertionError("nobody noticed that the client has left")


def test_it_ends_when_ecrsim_stops(served):
    with stream(served) as answer:
        assert message(answer) == (0, None)
        served.runtime.stopping.set()
        assert answer.read() == b""
