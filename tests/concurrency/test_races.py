"""Races on each engine, with two worker processes: what many do at once comes out as if one had done it after another.

On PostgreSQL the pushes of one repository queue, and those of others run beside them.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.concurrency.conftest import at_once
from tests.faults.client import Answer, Client, manifest_of
from tests.faults.serving import Serving, run_gc
from tests.postgresql import PROGRAMS, Cluster
from tests.pushing import digest_of

PUSHERS = 64
CONFIG = b'{"architecture":"amd64","os":"linux"}'
LAYER = b"a layer that all images have"
_names = itertools.count(1)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def racing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server on the engine."""
    data = tmp_path_factory.mktemp("racing") / "data"
    if request.param == "postgresql" and not PROGRAMS:
        pytest.skip("there is no PostgreSQL on this machine")
    cluster = Cluster() if request.param == "postgresql" else None
    url = f"sqlite:///{data / 'ecrsim.db'}" if cluster is None else cluster.url
    try:
        with Serving(data, database_url=url, events_limit=100_000, gc_interval=0) as serving:
            yield serving
            log = serving.log.read_text()
            assert serving.stop() == 0
        assert "Traceback" not in log, log[-4000:]
    finally:
        if cluster is not None:
            cluster.close()


def image(number: int) -> bytes:
    return manifest_of(CONFIG, LAYER, annotations={"number": str(number)})


def made(client: Client, mutability: str = "MUTABLE", **members: Any) -> str:
    """A new repository that has the layers of all images."""
    name = f"raced-{next(_names)}"
    answer = client.api("CreateRepository", repositoryName=name, imageTagMutability=mutability, **members)
    assert answer.status == 200, answer
    for data in (CONFIG, LAYER):
        assert client.push_layer(name, data).status == 201
    return name


def details(client: Client, repository: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.api("DescribeImages", repositoryName=repository).json()["imageDetails"]
    return found


def told(client: Client, repository: str) -> list[dict[str, Any]]:
    """The details of the events of images of the repository, in their order."""
    entries, _ = after(client, 0, f"&repository={repository}")
    return [entry["event"]["detail"] for entry in entries]


def after(client: Client, cursor: int, filters: str = "") -> tuple[list[dict[str, Any]], int]:
    """All events after the cursor, and where to go on."""
    found: list[dict[str, Any]] = []
    while True:
        answer = client.send("GET", f"/_ecrsim/events?after={cursor}{filters}")
        assert answer.status == 200, answer
        page = answer.json()
        found += page["events"]
        if page["next"] == cursor:
            return found, cursor
        cursor = page["next"]


def outcome(answer: Answer) -> str:
    assert answer.status < 500, answer
    return answer.code or str(answer.status)


@pytest.mark.slow
def test_a_mutable_tag_by_many_is_the_last_ones(racing: Serving) -> None:
    client = Client(racing.url)
    repository, gate = made(client), threading.Barrier(PUSHERS)

    def push(other: Client, number: int) -> str:
        gate.wait(60)
        return outcome(other.push_manifest(repository, "v1", image(number)))

    assert Counter(at_once(racing, PUSHERS, push)) == {"201": PUSHERS}
    holders = [detail["imageDigest"] for detail in details(client, repository) if detail.get("imageTags")]
    pushes = [detail["image-digest"] for detail in told(client, repository) if detail.get("action-type") == "PUSH"]
    assert len(set(pushes)) == len(pushes) == PUSHERS
    assert holders == [pushes[-1]]
    assert client.registry("GET", f"{repository}/manifests/v1").headers["Docker-Content-Digest"] == pushes[-1]
    client.close()


@pytest.mark.slow
def test_an_immutable_tag_by_many_is_the_first_ones(racing: Serving) -> None:
    client = Client(racing.url)
    repository, gate = made(client, "IMMUTABLE"), threading.Barrier(PUSHERS)

    def push(other: Client, number: int) -> str:
        gate.wait(60)
        return outcome(other.push_manifest(repository, "v1", image(number)))

    assert Counter(at_once(racing, PUSHERS, push)) == {"201": 1, "TAG_INVALID": PUSHERS - 1}
    assert len(details(client, repository)) == 1
    client.close()


@pytest.mark.slow
def test_what_is_deleted_while_it_is_pushed_is_there_or_not(racing: Serving) -> None:
    client = Client(racing.url)
    repository = made(client)

    def work(other: Client, number: int) -> list[str]:
        found = []
        for turn in range(8):
            if number % 2:
                found.append(outcome(other.push_manifest(repository, "v1", image(number * 100 + turn))))
            else:
                found.append(outcome(other.registry("DELETE", f"{repository}/manifests/v1")))
        return found

    seen = Counter(itertools.chain(*at_once(racing, 16, work)))
    assert seen["201"] == 64
    assert set(seen) <= {"201", "202", "MANIFEST_UNKNOWN"}
    # The events explain what is left, in one order.
    holder = None
    for detail in told(client, repository):
        if detail.get("image-tag") == "v1":
            holder = detail["image-digest"] if detail["action-type"] == "PUSH" else None
    left = [detail["imageDigest"] for detail in details(client, repository) if detail.get("imageTags")]
    assert left == ([] if holder is None else [holder])
    client.close()


@pytest.mark.slow
def test_a_quota_holds_for_many(racing: Serving, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of tags: 1,000 an image. Pushes of one image under more, all at once."""
    client = Client(racing.url)
    repository, content = made(client), image(0)
    for first in range(0, 990, 90):
        tags = "&".join(f"tag=t{number}" for number in range(first, min(first + 90, 990)))
        assert client.push_manifest(repository, f"{digest_of(content)}?{tags}", content).status == 201
    gate = threading.Barrier(32)

    def push(other: Client, number: int) -> str:
        gate.wait(60)
        return outcome(other.push_manifest(repository, f"more-{number}", content))

    seen = Counter(at_once(racing, 32, push))
    assert seen["201"] == 10
    assert sum(seen.values()) == 32
    assert len(details(client, repository)[0]["imageTags"]) == 1000
    client.close()


@pytest.mark.slow
def test_who_follows_the_events_misses_none(racing: Serving) -> None:
    """Pushes to many repositories commit in any order; a cursor that has gone past a number never finds it later."""
    client = Client(racing.url)
    repositories = [made(client) for _ in range(8)]
    _, cursor = after(client, 0)
    seen: list[int] = []
    ended = threading.Event()

    def follow() -> None:
        reader, place = Client(racing.url), cursor
        is_last = False
        while not is_last:
            is_last = ended.is_set()
            entries, place = after(reader, place)
            seen.extend(entry["sequence"] for entry in entries)
        reader.close()

    following = threading.Thread(target=follow)
    following.start()

    def push(other: Client, number: int) -> None:
        for turn in range(20):
            assert other.push_manifest(repositories[number], f"v{turn}", image(turn)).status == 201

    at_once(racing, len(repositories), push)
    ended.set()
    following.join(60)
    everything, _ = after(client, cursor)
    assert seen == [entry["sequence"] for entry in everything]
    assert len(seen) >= 8 * 20
    client.close()


@pytest.mark.slow
def test_an_image_that_was_taken_keeps_its_layers_through_collections(racing: Serving) -> None:
    """Without a grace period a layer may go before its manifest comes; then the manifest is refused."""
    client = Client(racing.url)
    repository = made(client)
    ended = threading.Event()
    collections: list[int] = []

    def collect() -> None:
        while not ended.is_set():
            run_gc(racing.data_dir, "--database-url", racing.settings["database_url"], "--grace", "0")
            collections.append(0)

    def push(other: Client, number: int) -> list[tuple[str, bytes]]:
        taken = []
        for turn in range(10):
            layer = b"layer %d of %d" % (turn, number)
            for data in (CONFIG, layer):
                assert outcome(other.push_layer(repository, data)) == "201"
            answer = other.push_manifest(repository, f"v{number}-{turn}", manifest_of(CONFIG, layer))
            if answer.status == 201:
                taken.append((digest_of(layer), layer))
            else:
                assert outcome(answer) == "BLOB_UNKNOWN", answer
        return taken

    collecting = threading.Thread(target=collect)
    collecting.start()
    taken = list(itertools.chain(*at_once(racing, 8, push)))
    ended.set()
    collecting.join(60)
    assert collections
    for digest, layer in taken:
        assert client.registry("GET", f"{repository}/blobs/{digest}").body == layer
    client.close()
