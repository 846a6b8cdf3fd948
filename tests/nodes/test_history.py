"""Thirty-two clients on three nodes, while nodes and what they stand on fail: nothing acknowledged is lost.

`NODES_ROUNDS` sets the number of rounds of each fault, `NODES_SEED` where they begin.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.client import ACCOUNT, REGION, Client
from tests.nodes.clients import REPOSITORIES, Book, Tagger
from tests.nodes.deployment import Nodes
from tests.nodes.registers import Seen, troubles

ROUNDS = int(os.environ.get("NODES_ROUNDS") or 2)
SEED = int(os.environ.get("NODES_SEED") or 20260101)
CLIENTS = 32
COUNT = 3
#: Seconds of work before a fault, and after it.
_BEFORE, _AFTER = 1.5, 2.5

pytestmark = pytest.mark.crash


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    database, store = tmp_path / "shared" / "ecrsim.db", tmp_path / "shared"
    store.mkdir(mode=0o700)
    nodes = Nodes(tmp_path, COUNT, {"database_url": f"sqlite:///{database}", "blob_store": str(store)})
    yield nodes
    nodes.close()


def some_are_killed(nodes: Nodes, instants: random.Random) -> None:
    """Two of three, at once; they come back."""
    gone = instants.sample(range(COUNT), 2)
    nodes.kill(*gone)
    time.sleep(instants.random())
    for number in gone:
        nodes.start(number)


def all_are_killed(nodes: Nodes, instants: random.Random) -> None:
    order = instants.sample(range(COUNT), COUNT)
    nodes.kill(*order)
    for number in order:
        nodes.start(number)


def one_is_held(nodes: Nodes, instants: random.Random) -> None:
    """Stopped in the middle of whatever it did, and gone on with."""
    number = instants.randrange(COUNT)
    nodes.hold(number)
    time.sleep(1 + 2 * instants.random())
    nodes.go_on(number)


Fault = Callable[[Nodes, random.Random], None]
FAULTS: list[Fault] = [some_are_killed, all_are_killed, one_is_held]


def work(nodes: Nodes, seed: int, fault: Fault) -> tuple[Book, list[Tagger]]:
    instants = random.Random(seed)  # noqa: S311 - the same instants for the same seed
    book = Book()
    client = Client(nodes.url(0) or "")
    token = client.token()
    for name in (*REPOSITORIES, *(f"own/{number}" for number in range(CLIENTS))):
        answer = client.api("CreateRepository", repositoryName=name)
        assert answer.status == 200 or answer.code == "RepositoryAlreadyExistsException", answer
    # What earlier rounds left.
    for repository in REPOSITORIES:
        answer = client.api("DescribeImages", repositoryName=repository, maxResults=1000)
        ids = [{"imageDigest": detail["imageDigest"]} for detail in answer.json()["imageDetails"]]
        for first in range(0, len(ids), 100):
            client.api("BatchDeleteImage", repositoryName=repository, imageIds=ids[first : first + 100])
    client.close()
    taggers = [Tagger(number, seed * 100 + number, nodes.url, book, token) for number in range(CLIENTS)]
    for tagger in taggers:
        tagger.start()
    time.sleep(_BEFORE * (0.5 + instants.random()))
    try:
        fault(nodes, instants)
        time.sleep(_AFTER)
    finally:
        for tagger in taggers:
            tagger.over.set()
        for tagger in taggers:
            tagger.join(60)
    for tagger in taggers:
        if tagger.failure is not None:
            raise tagger.failure
    return book, taggers


def judge(nodes: Nodes, book: Book, taggers: list[Tagger]) -> None:
    assert book.wrong == []
    assert book.acknowledged > 100
    clients = [Client(nodes.url(number) or "") for number in range(COUNT)]
    for (repository, tag), history in book.tags.items():
        for client in clients:
            begin = time.monotonic()
            answer = client.registry("GET", f"{repository}/manifests/{tag}")
            assert answer.status in (200, 404), answer
            found = answer.headers["Docker-Content-Digest"] if answer.status == 200 else None
            history.append(Seen("pull", found, begin, time.monotonic()))
        assert troubles(history) == [], (repository, tag, sorted(history, key=lambda seen: seen.begin))
    judge_images(clients[0], book)
    for number, tagger in enumerate(taggers):
        arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/own/{number}"
        tags = clients[number % COUNT].api("ListTagsForResource", resourceArn=arn).json()["tags"]
        if tagger.values:
            assert [each["Value"] for each in tags if each["Key"] == "turn"] in [[value] for value in tagger.values]
    for client in clients:
        client.close()


def judge_images(client: Client, book: Book) -> None:
    """Every image that is listed can be pulled, with its layers, byte for byte."""
    for repository in REPOSITORIES:
        answer = client.api("DescribeImages", repositoryName=repository, maxResults=1000)
        for detail in answer.json()["imageDetails"]:
            manifest = client.registry("GET", f"{repository}/manifests/{detail['imageDigest']}")
            assert manifest.status == 200, manifest
            for layer in manifest.json()["layers"]:
                data = client.registry("GET", f"{repository}/blobs/{layer['digest']}")
                assert (data.status, data.body) == (200, book.layers[repository, detail["imageDigest"]])


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_acknowledged_is_lost_and_tags_have_one_history(nodes: Nodes, fault: Fault) -> None:
    for number in range(ROUNDS):
        try:
            book, taggers = work(nodes, SEED + number, fault)
            judge(nodes, book, taggers)
        except BaseException as error:
            error.add_note(f"round {number} of NODES_SEED={SEED}\n{nodes.logs()[-3000:]}")
            raise
