"""Several ecrsims in one process: apart unless they share a data directory, and then at one with each other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import build_image
from tests.faults.client import Client


def push(client: Client, name: str, number: int) -> None:
    """An image of its own into the repository `name`, which is made."""
    assert client.api("CreateRepository", repositoryName=name).status == 200
    image = build_image(b"layer of %d" % number)
    for data in image.blobs.values():
        assert client.push_layer(name, data).status == 201
    assert client.push_manifest(name, "latest", image.manifest).status == 201


def test_they_do_not_know_of_each_other():
    with ExitStack() as stack:
        sims = [
            stack.enter_context(Ecrsim(account=f"{number:012d}", quota_repositories=number)) for number in (1, 2, 3)
        ]
        gate = threading.Barrier(len(sims))

        def work(number: int) -> list[str]:
            client = Client(sims[number].endpoint_url)
            gate.wait(30)
            push(client, "app", number)
            codes = [client.api("CreateRepository", repositoryName=f"more-{turn}").code for turn in range(3)]
            client.close()
            return codes

        with ThreadPoolExecutor(len(sims)) as pool:
            codes = list(pool.map(work, range(len(sims))))
        assert [each.count("") for each in codes] == [0, 1, 2]
        pulled = set()
        for sim in sims:
            client = Client(sim.endpoint_url)
            pulled.add(client.registry("GET", "app/manifests/latest").body)
            assert len(client.api("DescribeRepositories").json()["repositories"]) == int(sim.runtime.config.account)
            client.close()
        assert len(pulled) == len(sims)


def test_a_token_of_one_is_not_the_other_s_and_a_clock_is_its_own():
    with Ecrsim() as one, Ecrsim() as other:
        clients = [Client(sim.endpoint_url) for sim in (one, other)]
        tokens = [client.token() for client in clients]
        one.advance(hours=13)
        headers = [{"Authorization": f"Basic {token}"} for token in tokens]
        statuses = [client.send("GET", "/v2/", headers=each).status for client in clients for each in headers]
        assert statuses == [403, 401, 401, 200]
        for client in clients:
            client.close()


def test_one_ends_and_the_other_goes_on():
    with Ecrsim() as stays:
        with Ecrsim() as goes:
            client = Client(goes.endpoint_url)
            push(client, "app", 1)
            directory = goes.runtime.data_dir
            assert directory.is_dir()
            client.close()
        assert not directory.exists()
        client = Client(stays.endpoint_url)
        push(client, "app", 2)
        client.close()


def test_a_reset_concerns_one():
    with Ecrsim() as one, Ecrsim() as other:
        clients = [Client(sim.endpoint_url) for sim in (one, other)]
        for number, client in enumerate(clients):
            push(client, "app", number)
        one.reset()
        assert [len(client.api("DescribeRepositories").json()["repositories"]) for client in clients] == [0, 1]
        for client in clients:
            client.close()


def test_over_one_directory_they_are_one_registry(tmp_path: Path):
    """Each with a socket and threads of its own, as worker processes are."""
    with ExitStack() as stack:
        sims = [stack.enter_context(Ecrsim(data_dir=str(tmp_path))) for _ in range(3)]
        gate = threading.Barrier(len(sims))

        def work(number: int) -> None:
            client = Client(sims[number].endpoint_url)
            gate.wait(30)
            for turn in range(10):
                push(client, f"app-{number}-{turn}", number)
            client.close()

        with ThreadPoolExecutor(len(sims)) as pool:
            list(pool.map(work, range(len(sims))))
        for sim in sims:
            client = Client(sim.endpoint_url)
            found = client.api("DescribeRepositories").json()["repositories"]
            assert len(found) == 10 * len(sims)
            for repository in found:
                assert client.registry("GET", f"{repository['repositoryName']}/manifests/latest").status == 200
            client.close()


@pytest.mark.parametrize(
    ("setting", "limit"), [("quota_tags_per_image", 3), ("quota_images", 3), ("quota_repositories", 3)]
)
def test_a_quota_holds_against_many_at_once(setting: str, limit: int):
    many = 8
    with Ecrsim(**{setting: limit}) as sim:
        gate = threading.Barrier(many)
        first = Client(sim.endpoint_url)
        assert first.api("CreateRepository", repositoryName="app").status == 200
        images = [build_image(b"layer of %d" % (0 if "tags" in setting else number)) for number in range(many)]
        for image in images:
            for data in image.blobs.values():
                assert first.push_layer("app", data).status == 201

        def work(number: int) -> Any:
            client = Client(sim.endpoint_url)
            client.token()
            gate.wait(30)
            if "repositories" in setting:
                answer = client.api("CreateRepository", repositoryName=f"app-{number}")
            else:
                answer = client.push_manifest("app", f"t{number}", images[number].manifest)
            client.close()
            return answer.status < 300, answer.code

        with ThreadPoolExecutor(many) as pool:
            answers = list(pool.map(work, range(many)))
        first.close()
    allowed = limit - 1 if "repositories" in setting else limit
    refused = "LimitExceededException" if "repositories" in setting else "DENIED"
    assert sorted(answers) == [(False, refused)] * (many - allowed) + [(True, "")] * allowed
