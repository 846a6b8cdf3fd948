"""Runs of lifecycle policies and a clock that is turned, while others set it, push, pull and reset. Two workers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.concurrency.conftest import at_once
from tests.faults.client import Client, manifest_of
from tests.faults.serving import Serving

pytestmark = pytest.mark.slow

CONFIG, LAYER = b"{}", b"a layer"


def policy(keep: int) -> str:
    """The newest images of those whose tags begin with a v."""
    selection = {
        "tagStatus": "tagged",
        "tagPrefixList": ["v"],
        "countType": "imageCountMoreThan",
        "countNumber": keep,
    }
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "data", clock="frozen@2026-01-01", token_lifetime=10**7) as serving:
        assert len(serving.workers()) == 2
        yield serving
        assert "Traceback" not in serving.log.read_text()


@pytest.fixture
def client(serving: Serving) -> Iterator[Client]:
    with closing(Client(serving.url)) as client:
        yield client


def admin(client: Client, method: str, path: str, body: Any = None) -> Any:
    answer = client.send(method, f"/_ecrsim/{path}", b"" if body is None else json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return answer.json()


def stock(client: Client, repository: str, count: int) -> None:
    assert client.api("CreateRepository", repositoryName=repository).status == 200
    for data in (CONFIG, LAYER):
        assert client.push_layer(repository, data).status == 201
    for number in range(count):
        assert client.push_manifest(repository, f"v{number}", image(number)).status == 201


def image(number: int) -> bytes:
    return manifest_of(CONFIG, LAYER, annotations={"number": str(number)})


def advance(serving: Serving, days: int) -> Any:
    with closing(Client(serving.url)) as client:
        return admin(client, "POST", "clock/advance", {"days": days})


def test_a_clock_that_is_set_while_it_is_turned_stays_as_it_was_set(serving: Serving, client: Client):
    stock(client, "app", 1)
    assert client.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=policy(1)).status == 200
    with ThreadPoolExecutor(1) as pool, closing(Client(serving.url)) as other:
        turned = pool.submit(other.send, "POST", "/_ecrsim/clock/advance", b'{"days": 150}')
        while admin(client, "GET", "clock")["now"] < "2026-01-10":
            pass
        admin(client, "PUT", "clock", {"mode": "frozen", "now": "2020-01-01T00:00:00Z"})
        # Whether it was done first, or gave up, is its own affair.
        assert turned.result().status < 500
    assert admin(client, "GET", "clock")["now"] == "2020-01-01T00:00:00.000Z"


def test_advancing_from_many_sides_runs_each_day_once(serving: Serving, client: Client):
    stock(client, "app", 3)
    assert client.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=policy(1)).status == 200
    answers = at_once(serving, 6, lambda *_: advance(serving, 5))
    ran = [each["at"] for answer in answers for each in answer["ran"]]
    assert len(ran) == len(set(ran)) == 30
    assert admin(client, "GET", "clock")["now"] == "2026-01-31T00:00:00.000Z"


def test_a_reset_while_the_clock_is_turned_leaves_nothing_behind(serving: Serving, client: Client):
    stock(client, "app", 1)
    assert client.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=policy(1)).status == 200
    with ThreadPoolExecutor(1) as pool, closing(Client(serving.url)) as other:
        turned = pool.submit(other.send, "POST", "/_ecrsim/clock/advance", b'{"days": 600}')
        while admin(client, "GET", "clock")["now"] < "2026-01-10":
            pass
        admin(client, "POST", "reset")
        assert turned.result().status == 409
    assert admin(client, "GET", "jobs")["counts"] == {"PENDING": 0, "DONE": 0, "FAILED": 0}
    assert admin(client, "GET", "events") == {"events": [], "next": 0}
    assert admin(client, "GET", "clock")["now"] == "2026-01-01T00:00:00.000Z"


def test_pushes_and_pulls_go_on_during_a_run_and_each_is_told_of_once(serving: Serving, client: Client):
    stock(client, "app", 400)
    assert client.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=policy(10)).status == 200
    over = Event()

    def work(mine: Client, number: int) -> list[str]:
        if number == 0:
            try:
                (ran,) = advance(serving, 1)["ran"]
                assert ran["error"] is None
            finally:
                over.set()
            return []
        pushed = []
        while not over.is_set():
            name = 1000 * number + len(pushed)
            assert mine.push_manifest("app", f"w{name}", image(name)).status == 201
            assert mine.registry("GET", f"app/manifests/w{name}").status == 200
            pushed.append(f"w{name}")
        return pushed

    pushed = {name for names in at_once(serving, 4, work) for name in names}
    kept = {f"v{number}" for number in range(390, 400)} | pushed
    assert pushed
    assert tags(client, "app") == kept
    told = [each["event"]["detail"] for each in actions(client)]
    gone = Counter(detail["image-tag"] for detail in told if detail["action-type"] == "DELETE")
    come = Counter(detail["image-tag"] for detail in told if detail["action-type"] == "PUSH")
    assert gone == Counter(f"v{number}" for number in range(390))
    assert come == Counter([*gone, *kept])


def tags(client: Client, repository: str) -> set[str]:
    found, token = set(), {}
    while True:
        page = client.api("ListImages", repositoryName=repository, maxResults=1000, **token).json()
        found |= {each["imageTag"] for each in page["imageIds"]}
        if "nextToken" not in page:
            return found
        token = {"nextToken": page["nextToken"]}


def actions(client: Client) -> list[Any]:
    found, after = [], 0
    while page := admin(client, "GET", f"events?type=ECR%20Image%20Action&limit=1000&after={after}")["events"]:
        found += page
        after = page[-1]["sequence"]
    return found
