"""PostgreSQL is killed, restarted and cut off under load: what was acknowledged is there, and nothing was a 500."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.concurrency.conftest import at_once
from tests.faults.client import Client, manifest_of
from tests.faults.serving import Serving
from tests.postgresql import PROGRAMS, Cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgresql,
    pytest.mark.skipif(not PROGRAMS, reason="there is no PostgreSQL on this machine"),
]
CONFIG, LAYER = b'{"architecture":"amd64","os":"linux"}', b"a layer that all images have"


def restart(cluster: Cluster) -> None:
    cluster.stop()
    cluster.start()


def kill(cluster: Cluster) -> None:
    """As by `kill -9`: the server recovers from its log."""
    cluster.stop("immediate")
    cluster.start()


def cut(cluster: Cluster) -> None:
    """All connections, those of rights and words too."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'ecrsim' AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(safe=True)
    yield made
    made.close()


@pytest.mark.parametrize("fault", [restart, kill, cut], ids=lambda fault: fault.__name__)
def test_what_was_acknowledged_is_there(
    fault: Callable[[Cluster], None], cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = f"{cluster.url}?schema={fault.__name__}"
    with Serving(tmp_path_factory.mktemp("lost") / "data", database_url=url) as serving:
        client = Client(serving.url)
        for number in range(4):
            assert client.api("CreateRepository", repositoryName=f"app-{number}").status == 200
            for data in (CONFIG, LAYER):
                assert client.push_layer(f"app-{number}", data).status == 201
        ended = threading.Event()

        def work(other: Client, number: int) -> tuple[list[str], list[int]]:
            taken, statuses = [], []
            for turn in itertools.count():
                if ended.is_set():
                    break
                tag = f"v{number}-{turn}"
                content = manifest_of(CONFIG, LAYER, annotations={"tag": tag})
                answer = other.push_manifest(f"app-{number % 4}", tag, content)
                statuses.append(answer.status)
                if answer.status == 201:
                    taken.append(tag)
                elif answer.status == 503:
                    assert answer.headers["Retry-After"]
                read = other.registry("GET", f"app-{number % 4}/manifests/{taken[-1]}") if taken else None
                if read is not None:
                    statuses.append(read.status)
            return taken, statuses

        def strike() -> None:
            for _ in range(3):
                time.sleep(1)
                fault(cluster)
            time.sleep(2)
            ended.set()

        striking = threading.Thread(target=strike)
        striking.start()
        found = at_once(serving, 8, work)
        striking.join(60)
        seen = Counter(itertools.chain(*(statuses for _, statuses in found)))
        assert set(seen) <= {200, 201, 503}, (seen, serving.log.read_text()[-6000:])
        assert seen[201] > 20
        for number, (taken, _) in enumerate(found):
            tags = set()
            token = {}
            while True:
                page = client.api("ListImages", repositoryName=f"app-{number % 4}", **token).json()
                tags |= {each.get("imageTag") for each in page["imageIds"]}
                if "nextToken" not in page:
                    break
                token = {"nextToken": page["nextToken"]}
            assert set(taken) <= tags
        client.close()
