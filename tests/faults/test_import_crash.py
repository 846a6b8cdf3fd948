"""`kill -9` of the whole server while it imports, again and again, and many pullers over several workers.

What is there after each restart is whole: an image that can be seen has all its layers, byte for byte, and a pull
brings whatever is missing. `IMPORT_CRASH_ROUNDS` sets the number of rounds, `CRASH_SEED` where they begin.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ecrsim.testing import build_image
from tests.core.upstream.servers import Registry, serving
from tests.faults.client import Client, Gone
from tests.faults.serving import Serving
from tests.faults.test_crash import check_files
from tests.pushing import index_of

ROUNDS = int(os.environ.get("IMPORT_CRASH_ROUNDS") or 4)
SEED = int(os.environ.get("CRASH_SEED") or 20260101)
NAME, REPOSITORY = "quay.io", "cache/library/app"
IMAGES = {
    f"v{number}": build_image(*(hashlib.sha256(b"%d %d" % (number, part)).digest() * 4096 for part in range(3)))
    for number in range(8)
}
INDEX = index_of(IMAGES["v0"], IMAGES["v1"])
SHELF = {"library/app": {**IMAGES, "all": INDEX}}


def start(data_dir: Path, url: str) -> Serving:
    return Serving(data_dir, upstream=f"{NAME}={url}", gc_interval=1)


def begin(data_dir: Path, url: str) -> Serving:
    found = start(data_dir, url)
    client = Client(found.url)
    answer = client.api("CreatePullThroughCacheRule", ecrRepositoryPrefix="cache", upstreamRegistryUrl=NAME)
    assert answer.status == 200, answer
    client.close()
    return found


def pull(url: str, tag: str) -> int:
    """The status of a pull; of one that came the layers are looked at as well. Gone where the server went."""
    client = Client(url)
    try:
        answer = client.registry("GET", f"{REPOSITORY}/manifests/{tag}")
        if answer.status == 200:
            assert answer.body == SHELF["library/app"][tag].manifest
            for digest, data in SHELF["library/app"][tag].blobs.items():
                assert client.registry("GET", f"{REPOSITORY}/blobs/{digest}").body == data
        return answer.status
    finally:
        client.close()


def attempt(url: str, tag: str) -> None:
    with contextlib.suppress(Gone):  # killed
        assert pull(url, tag) == 200


def check_images(found: Serving) -> None:
    """What can be seen can be pulled, without the upstream's help."""
    client = Client(found.url)
    answer = client.api("DescribeImages", repositoryName=REPOSITORY)
    details = answer.json()["imageDetails"] if answer.status == 200 else []
    by_digest = {image.digest: image for image in SHELF["library/app"].values()}
    for detail in details:
        image = by_digest[detail["imageDigest"]]
        assert client.registry("GET", f"{REPOSITORY}/manifests/{image.digest}").body == image.manifest
        for digest, data in image.blobs.items():
            assert client.registry("GET", f"{REPOSITORY}/blobs/{digest}").body == data
    client.close()


@pytest.mark.crash
def test_no_half_image_is_left_by_a_kill_during_imports(tmp_path: Path):
    registry, steps = Registry(SHELF), threading.Condition()

    def answer(handler):
        with steps:
            steps.notify_all()
        return registry(handler)

    with serving(answer) as upstream:
        for number in range(ROUNDS):
            instants = random.Random(SEED + number)  # noqa: S311 - the same instants for the same seed
            data_dir = tmp_path / f"data-{number}"
            found = begin(data_dir, upstream.url)
            asked, wanted = len(upstream.asked), instants.randrange(1, 16)
            tags = [instants.choice([*IMAGES, "all"]) for _ in range(16)]
            try:
                with ThreadPoolExecutor(4) as pool:
                    pulls = [pool.submit(attempt, found.url, tag) for tag in tags]
                    with steps:
                        assert steps.wait_for(lambda: len(upstream.asked) - asked >= wanted, 60), "nothing is imported"  # noqa: B023
                    threading.Event().wait(instants.random() / 50)
                    found.kill()
                    for each in pulls:
                        each.result(60)
                found = start(data_dir, upstream.url)
                check_files(data_dir)
                check_images(found)
                assert [pull(found.url, tag) for tag in [*IMAGES, "all"]] == [200] * 9
                assert found.stop() == 0
                check_files(data_dir)
            except BaseException as error:
                error.add_note(f"CRASH_SEED={SEED + number}")
                found.kill()
                raise


@pytest.mark.crash
def test_pullers_of_several_workers_cause_one_fetch(tmp_path: Path):
    with serving(Registry(SHELF)) as upstream, begin(tmp_path / "data", upstream.url) as found:
        assert len(found.workers()) == 2
        with ThreadPoolExecutor(30) as pool:
            assert list(pool.map(lambda _: pull(found.url, "v0"), range(60))) == [200] * 60
        paths = [each.path for each in upstream.asked]
        assert sorted(paths) == sorted(set(paths))
        assert len(paths) == 1 + len(IMAGES["v0"].blobs)
