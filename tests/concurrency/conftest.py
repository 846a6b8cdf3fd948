"""A real server with two workers, for the folder; every test has repositories of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.faults.client import Client
from tests.faults.serving import Serving

_names = itertools.count(1)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("concurrency") / "data") as serving:
        assert len(serving.workers()) == 2
        yield serving
        log = serving.log.read_text()
        assert serving.stop() == 0
    assert "Traceback" not in log, log[-4000:]
    assert "locked" not in log, log[-4000:]


@pytest.fixture
def client(server: Serving) -> Iterator[Client]:
    made = Client(server.url)
    yield made
    made.close()


@pytest.fixture
def repository(client: Client) -> str:
    name = f"repository-{next(_names)}"
    assert client.api("CreateRepository", repositoryName=name).status == 200
    return name


def at_once(server: Serving, count: int, work: Callable[[Client, int], Any]) -> list[Any]:
    """`work(client, number)` in as many threads, each with a connection of its own. What they returned, by number."""

    def run(number: int) -> Any:
        client = Client(server.url)
        client.token()
        try:
            return work(client, number)
        finally:
            client.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
