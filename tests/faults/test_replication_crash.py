"""`kill -9` of the whole server while images are replicated, again and again over one data directory.

Two regions get copies: one that the same server has, and one that a second server has, to which they are sent. Nothing
of what a killed server had begun is ever seen in half: a copy that can be pulled has all its layers and images. After
the restart everything ends by itself: all copies are there under their tags, each was told once, each job is done.

`REPLICATION_CRASH_ROUNDS` sets the number of rounds, `CRASH_SEED` where they begin: a round that failed names its seed.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import ACCOUNT, OCI_MANIFEST, REGION, Client, Gone, manifest_of
from tests.faults.outbox import outbox
from tests.faults.serving import Serving
from tests.faults.test_crash import check_files
from tests.pushing import OCI_INDEX, digest_of

ROUNDS = int(os.environ.get("REPLICATION_CRASH_ROUNDS") or 3)
SEED = int(os.environ.get("CRASH_SEED") or 20260101)
#: Rounds over one data directory.
TOGETHER = 10
#: Images that are pushed in a round.
IMAGES = 24
NEAR, FAR = "eu-west-1", "ap-south-1"
#: Seconds for what takes a moment on a machine that has nothing else to do.
PATIENCE = 90
SETTINGS = {"replication_delay": 0, "events_limit": 1_000_000, "gc_interval": 1}


class Place:
    """One data directory, the server over it, and the second site, which nobody kills."""

    def __init__(self, root: Path, seed: int) -> None:
        root.mkdir(exist_ok=True)
        self.data_dir = root / "here"
        self.chance = random.Random(seed)  # noqa: S311 - the same instants for the same seed
        self.there = Serving(root / "there", workers=1, **SETTINGS)
        #: What the source acknowledged: tag → digest.
        self.pushed: dict[str, str] = {}
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        endpoint = ("--region-endpoint", f"{FAR}={self.there.url}")
        self.serving = Serving(self.data_dir, *endpoint, workers=1 + self.starts % 2, **SETTINGS)
        self.client = Client(self.serving.url)

    def kill(self) -> None:
        self.client.close()
        self.serving.kill()

    def end(self) -> None:
        for serving in (self.serving, self.there):
            if serving.process.poll() is None:
                serving.kill()


def push_all(url: str, number: int) -> dict[str, str]:
    """Images of a round, some of them under an index, as far as the server lives. What was acknowledged."""
    client, done = Client(url), {}
    children: list[bytes] = []
    try:
        for each in range(IMAGES):
            config = json.dumps({"round": number, "image": each}).encode()
            layers = (b"shared by all", f"layer {number} {each}".encode() * 50)
            for data in (config, *layers):
                client.push_layer("app", data)
            if each % 6 == 5:
                done |= push_index(client, f"i{number}-{each}", children)
                children = []
                continue
            manifest = manifest_of(config, *layers)
            tag = f"v{number}-{each}"
            if client.push_manifest("app", tag, manifest).status == 201:
                done[tag] = digest_of(manifest)
                children.append(manifest)
    except Gone:
        pass
    finally:
        client.close()
    return done


def push_index(client: Client, tag: str, children: list[bytes]) -> dict[str, str]:
    listed = [{"mediaType": OCI_MANIFEST, "digest": digest_of(each), "size": len(each)} for each in children]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
    answer = client.registry("PUT", f"app/manifests/{tag}", index, {"Content-Type": OCI_INDEX})
    return {tag: digest_of(index)} if answer.status == 201 else {}


def copied(data_dir: Path) -> int:
    """How many copies were made so far."""
    return count(data_dir, "DONE")


def left(data_dir: Path) -> int:
    """How many copies are still to be made."""
    return count(data_dir, "PENDING")


def count(data_dir: Path, state: str) -> int:
    with closing(sqlite3.connect(f"file:{data_dir / 'ecrsim.db'}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM jobs WHERE state = ? AND kind = 'replicate-image'"
        return int(database.execute(query, (state,)).fetchone()[0])


def crash(place: Place, number: int) -> bool:
    """Push, and kill the server when it has made some of the copies; perhaps again while it makes the others.

    True when copies were left to be made.
    """
    before = copied(place.data_dir)
    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(push_all, place.serving.url, number)
        wait_for_copies(place, before + place.chance.randint(0, IMAGES))
        place.kill()
        place.pushed |= pushing.result(PATIENCE)
    cut = left(place.data_dir) > 0
    place.start()
    check_halves(place)
    if place.chance.random() < 0.5:
        wait_for_copies(place, copied(place.data_dir) + place.chance.randint(0, 5), enough=True)
        place.kill()
        place.start()
        check_halves(place)
    return cut


def wait_for_copies(place: Place, wanted: int, *, enough: bool = False) -> None:
    """`enough`: it is as well when nothing is left to copy."""
    deadline = time.monotonic() + PATIENCE
    while copied(place.data_dir) < wanted and not (enough and not waiting(place)):
        with pytest.raises(Exception, match="timed out"):
            place.serving.process.wait(0.002)
        assert time.monotonic() < deadline, place.serving.log.read_text()[-4000:]


def waiting(place: Place) -> list[dict[str, Any]]:
    answer = place.client.send("GET", "/_ecrsim/jobs?state=PENDING&limit=1000")
    kinds = ("replicate-image", "continue-backfill", "prepare-backfill")
    return [job for job in answer.json()["jobs"] if job["kind"] in kinds]


def settle(place: Place) -> None:
    """Nobody tells the server to go on."""
    deadline = time.monotonic() + PATIENCE
    while waiting(place):
        with pytest.raises(Exception, match="timed out"):
            place.serving.process.wait(0.02)
        assert time.monotonic() < deadline, (waiting(place)[:3], place.serving.log.read_text()[-4000:])


# --- what must be true ------------------------------------------------------------------------------------------------


def regions(place: Place) -> Iterator[tuple[str, Client]]:
    """Each destination with a client of the server that has it."""
    for region, url in ((NEAR, place.serving.url), (FAR, place.there.url)):
        with closing(Client(url)) as client:
            yield region, client


def tags_of(client: Client, region: str) -> dict[str, str]:
    """tag → digest, every image looked at to its last layer."""
    name = f"{ACCOUNT}/{region}/app"
    answer = client.registry("GET", f"{name}/tags/list?n=1000")
    if answer.status == 404:
        return {}
    found = {}
    for tag in answer.json()["tags"] or []:
        manifest = client.registry("GET", f"{name}/manifests/{tag}")
        assert manifest.status == 200, (tag, manifest)
        found[tag] = digest_of(manifest.body)
        check_whole(client, name, manifest.body)
    return found


def check_whole(client: Client, name: str, manifest: bytes) -> None:
    document = json.loads(manifest)
    for child in document.get("manifests", []):
        answer = client.registry("GET", f"{name}/manifests/{child['digest']}")
        assert digest_of(answer.body) == child["digest"]
        check_whole(client, name, answer.body)
    for blob in [document[each] for each in ("config",) if each in document] + document.get("layers", []):
        answer = client.registry("GET", f"{name}/blobs/{blob['digest']}")
        assert digest_of(answer.body) == blob["digest"]


def check_halves(place: Place) -> None:
    """What is there already is whole, and is what was pushed."""
    for region, client in regions(place):
        source = tags_of(place.client, REGION)
        assert tags_of(client, region).items() <= source.items()


def check(place: Place) -> None:
    source = tags_of(place.client, REGION)
    assert place.pushed.items() <= source.items()
    for region, client in regions(place):
        assert tags_of(client, region) == source, region
    for tag in source:
        answer = place.client.api("DescribeImageReplicationStatus", repositoryName="app", imageId={"imageTag": tag})
        found = {each["region"]: each["status"] for each in answer.json()["replicationStatuses"]}
        assert found == {NEAR: "COMPLETE", FAR: "COMPLETE"}, tag
    told: Counter[tuple[str, str]] = Counter()
    for _, event in outbox(place.client, 0):
        if event["detail-type"] == "ECR Replication Action":
            assert event["detail"]["result"] == "SUCCESS"
            told[event["region"], event["detail"]["image-tag"]] += 1
    assert told == {(region, tag): 1 for region in (NEAR, FAR) for tag in source}


@pytest.mark.crash
def test_what_was_cut_off_arrives_after_the_restart(tmp_path: Path):
    cuts = 0
    for first in range(0, ROUNDS, TOGETHER):
        seed = SEED + first
        place = Place(tmp_path / f"place-{first}", seed)
        note = f"the beginning of CRASH_SEED={seed}"
        try:
            prepare(place)
            for number in range(first, min(first + TOGETHER, ROUNDS)):
                note = f"round {number} of CRASH_SEED={seed}"
                cuts += crash(place, number)
                settle(place)
                check(place)
            place.kill()
            check_files(place.data_dir)
        except BaseException as error:
            error.add_note(note)
            raise
        finally:
            place.end()
        log = place.serving.log.read_text()
        assert "Traceback" not in log, log[-4000:]
    assert cuts * 5 >= ROUNDS, f"copies were cut off in {cuts} of {ROUNDS} rounds only"


DESTINATIONS = [{"region": region, "registryId": ACCOUNT} for region in (NEAR, FAR)]


def prepare(place: Place) -> None:
    """The rules, from before the first push."""
    answer = place.client.api("CreateRepository", repositoryName="app")
    assert answer.status == 200, answer
    rules = {"rules": [{"destinations": DESTINATIONS}]}
    answer = place.client.api("PutReplicationConfiguration", replicationConfiguration=rules)
    assert answer.status == 200, answer


@pytest.mark.crash
def test_a_backfill_that_was_cut_off_ends_after_the_restart(tmp_path: Path):
    """To both regions at once; every result is there once."""
    place = Place(tmp_path, SEED + 1)
    try:
        place.client.api("CreateRepository", repositoryName="app")
        for number in range(4):
            place.pushed |= push_all(place.serving.url, number)
        rules = {"rules": [{"destinations": DESTINATIONS}]}
        place.client.api("PutReplicationConfiguration", replicationConfiguration=rules)
        begun = [place.client.api("StartReplicationBackfill", destination=each).json() for each in DESTINATIONS]
        for _ in range(ROUNDS):
            with pytest.raises(Exception, match="timed out"):
                place.serving.process.wait(place.chance.random() / 2)
            place.kill()
            place.start()
            check_halves(place)
        settle(place)
        source = tags_of(place.client, REGION)
        for region, client in regions(place):
            assert tags_of(client, region) == source, region
        for backfill in begun:
            number = backfill["replicationBackfillId"]
            answer = place.client.api(
                "DescribeReplicationBackfillResults", replicationBackfillId=number, maxResults=1000
            )
            found = answer.json()
            assert found["status"] == "COMPLETE"
            results = [each["imageId"]["imageTag"] for each in found["results"]]
            assert sorted(results) == sorted(source)
        place.kill()
        check_files(place.data_dir)
    finally:
        place.end()
