"""Calls to AWS-like services: where they go, who signs, what a failure says."""

import json
import re
import subprocess
import sys

import pytest

from ecrsim.core import neighbours
from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from tests.delivery.receivers import Receiver

REGION = "eu-west-1"


@pytest.fixture
def endpoint():
    receiver = Receiver(lambda _: 400).up()
    yield receiver
    receiver.down()


def access_to(receiver, **more):
    return Access(REGION, receiver.url.partition("/events")[0], **more)


def put(access):
    neighbour = Neighbour("events", access)
    with pytest.raises(NeighbourError) as caught:
        neighbour.call("put_events", Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}"}])
    neighbour.close()
    return caught.value


def credential(receiver):
    return re.search(r"Credential=([^,]+)", receiver.asked[-1].headers["Authorization"])[1].split("/")


def test_keys_are_made_up_for_an_endpoint(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    put(access_to(endpoint))
    key, _, region, service, _ = credential(endpoint)
    assert (key, region, service) == ("ecrsim", REGION, "events")


def test_keys_that_are_given(endpoint):
    put(access_to(endpoint, access_key_id="AKIAGIVEN", secret_access_key="k"))
    assert credential(endpoint)[0] == "AKIAGIVEN"


def test_without_an_endpoint_boto3_finds_the_keys(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACHAIN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "chain")
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", access_to(endpoint).endpoint_url)
    put(Access(REGION))
    assert credential(endpoint)[0] == "AKIACHAIN"


def test_no_proxy_is_asked_for_an_endpoint(endpoint, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    put(access_to(endpoint))
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_failure_is_heard_of_at_once(endpoint, status):
    endpoint.respond = lambda _: status
    error = put(access_to(endpoint))
    assert error.code == str(status)
    assert len(endpoint.asked) == 1


def test_what_a_service_says(endpoint):
    endpoint.content = b'{"__type": "ResourceNotFoundException", "message": "Event bus x does not exist."}'
    error = put(access_to(endpoint))
    assert error.code == "ResourceNotFoundException"
    assert str(error) == "ResourceNotFoundException: Event bus x does not exist."


def test_an_answer_before_and_after_it_was_closed(endpoint):
    endpoint.respond = lambda _: 200
    endpoint.content = b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'
    neighbour = Neighbour("events", access_to(endpoint))
    for _ in range(2):
        answer = neighbour.call("put_events", Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}"}])
        assert answer["Entries"] == [{"EventId": "1"}]
        neighbour.close()
    assert endpoint.connections == 2


def test_nobody_listens(endpoint):
    endpoint.down()
    error = put(access_to(endpoint))
    assert (error.code, "Could not connect to the endpoint" in str(error)) == ("", True)


def test_parameters_that_cannot_be():
    with pytest.raises(NeighbourError, match="Invalid type for parameter Entries"):
        Neighbour("events", Access(REGION, "http://127.0.0.1:1")).call("put_events", Entries=3)


def test_without_boto3(monkeypatch):
    monkeypatch.setattr(neighbours, "find_spec", lambda _: None)
    assert not neighbours.is_installed()
    with pytest.raises(NeighbourError, match=r"boto3 is not installed: it comes with ecrsim\[boto\]"):
        Neighbour("sqs", Access(REGION)).call("list_queues")


def test_boto3_is_imported_by_the_first_call_only():
    text = (
        "import json, sys\n"
        "import ecrsim.delivery.pump\n"
        "from ecrsim.core.neighbours import Access, Neighbour, NeighbourError\n"
        "neighbour = Neighbour('sqs', Access('us-east-1', 'http://127.0.0.1:1'))\n"
        "seen = ['boto3' in sys.modules]\n"
        "try:\n    neighbour.call('list_queues')\nexcept NeighbourError:\n    pass\n"
        "print(json.dumps([*seen, 'boto3' in sys.modules]))\n"
    )
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True, timeout=60)
    assert json.loads(found.stdout) == [False, True]
