"""Thirty-two clients on three nodes, while nodes and what they stand on fail: nothing acknowledged is lost.

`NODES_ROUNDS` sets the number of rounds of each fault, `NODES_SEED` where they begin.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests import s3_servers
from tests.faults.client import ACCOUNT, REGION, Client
from tests.nodes.clients import REPOSITORIES, Book, Tagger
from tests.nodes.deployment import Nodes
from tests.nodes.registers import Seen, troubles
from tests.postgresql import PROGRAMS, Cluster

ROUNDS = int(os.environ.get("NODES_ROUNDS") or 1)
SEED = int(os.environ.get("NODES_SEED") or 20260101)
CLIENTS = 32
COUNT = 3
#: Seconds of work before a fault, and after it.
_BEFORE, _AFTER = 1.5, 2.5

pytestmark = pytest.mark.crash


@pytest.fixture
def on_one_machine(tmp_path: Path) -> Iterator[Nodes]:
    """Over one file and one directory."""
    database, store = tmp_path / "shared" / "ecrsim.db", tmp_path / "shared"
    store.mkdir(mode=0o700)
    nodes = Nodes(tmp_path, COUNT, {"database_url": f"sqlite:///{database}", "blob_store": str(store)})
    yield nodes
    nodes.close()


@pytest.fixture
def on_many(tmp_path: Path) -> Iterator[Nodes]:
    """Over PostgreSQL and S3."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    if not s3_servers.has_versitygw():
        pytest.skip("versitygw is missing: scripts/tools versitygw")
    with contextlib.ExitStack() as standing:
        cluster = Cluster(safe=True)
        standing.callback(cluster.close)
        s3 = standing.enter_context(s3_servers.versitygw())
        shared = {"database_url": cluster.url, "blob_store": f"s3://{s3.new_bucket()}/layers", **s3.settings}
        nodes = Nodes(tmp_path, COUNT, shared)
        nodes.cluster, nodes.s3 = cluster, s3
        standing.callback(nodes.close)
        yield nodes


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


def the_database_is_restarted(nodes: Nodes, instants: random.Random) -> None:
    nodes.cluster.stop()
    time.sleep(instants.random())
    nodes.cluster.start()


def the_database_is_killed(nodes: Nodes, instants: random.Random) -> None:
    """What was committed is there again; what was not is undone."""
    nodes.cluster.stop("immediate")
    time.sleep(instants.random())
    nodes.cluster.start()


def connections_to_the_database_are_cut(nodes: Nodes, instants: random.Random) -> None:
    with psycopg.connect(nodes.cluster.url, autocommit=True) as connection:
        for _ in range(10):
            connection.execute(_CUT)
            time.sleep(0.3 * instants.random())


def the_store_is_restarted(nodes: Nodes, instants: random.Random) -> None:
    nodes.s3.stop()
    time.sleep(2 * instants.random())
    nodes.s3.start()


_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)

Fault = Callable[[Nodes, random.Random], None]
OF_NODES: list[Fault] = [some_are_killed, all_are_killed, one_is_held]
OF_WHAT_THEY_STAND_ON: list[Fault] = [
    the_database_is_restarted,
    the_database_is_killed,
    connections_to_the_database_are_cut,
    the_store_is_restarted,
]


def work(nodes: Nodes, seed: int, fault: Fault) -> tuple[Book, list[Tagger]]:
    instants = random.Random(seed)  # noqa: S311 - the same instants for the same seed
    book = Book()
    client = Client(nodes.url(0) or "")
    token = client.token()
    for name in (*REPOSITORIES, *(f"own/{number}" for number in range(CLIENTS))):
        answer = client.api("CreateRepository", repositoryName=name)
        assert answer.status == 200 or answer.code == "RepositoryAlreadyExistsException", answer
    # What earlier rounds left.
    for number in range(CLIENTS):
        arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/own/{number}"
        assert client.api("UntagResource", resourceArn=arn, tagKeys=["turn"]).status == 200
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
    assert book.acknowledged > 30
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
        assert {each["Key"]: each["Value"] for each in tags}.get("turn") in tagger.values
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


@pytest.mark.parametrize("fault", OF_NODES)
def test_one_file_and_one_directory(on_one_machine: Nodes, fault: Fault) -> None:
    rounds(on_one_machine, fault)


@pytest.mark.parametrize("fault", [*OF_NODES, *OF_WHAT_THEY_STAND_ON])
def test_postgresql_and_s3(on_many: Nodes, fault: Fault) -> None:
    rounds(on_many, fault)


def rounds(nodes: Nodes, fault: Fault) -> None:
    """Nothing acknowledged is lost, and what was seen of each tag has one order."""
    for number in range(ROUNDS):
        try:
            book, taggers = work(nodes, SEED + number, fault)
            judge(nodes, book, taggers)
        except BaseException as error:
            error.add_note(f"round {number} of NODES_SEED={SEED}\n{nodes.logs()[-3000:]}")
            raise
