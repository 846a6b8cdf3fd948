"""`kill -9` of the whole server at any instant, under load from several clients, again and again.

After each restart everything that was acknowledged is there: images by digest and tag, layers byte for byte, resource
tags, tokens. What was deleted is gone, interrupted uploads go on, nothing answers 500, and the files are sound.

`CRASH_ROUNDS` sets the number of rounds, `CRASH_SEED` where they begin: a round that failed names its seed.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.client import Client
from tests.faults.ledger import SHARED, Ledger
from tests.faults.serving import Serving
from tests.pushing import digest_of

ROUNDS = int(os.environ.get("CRASH_ROUNDS") or 10)
SEED = int(os.environ.get("CRASH_SEED") or 20260101)
CLIENTS = 4
#: Rounds over one data directory; then it has grown enough, and another begins.
TOGETHER = 10
#: Parts may be small here, collections come often.
SETTINGS = {"quota_layer_part_min": 1, "gc_interval": 1}


class Steps:
    """Counts acknowledgements and pieces sent, and wakes who waits for a number of them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def __call__(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait_for_more(self, count: int) -> None:
        with self._condition:
            wanted = self._count + count
            assert self._condition.wait_for(lambda: self._count >= wanted, 60), "the clients have come to a halt"


def crash(serving: Serving, steps: Steps, ledgers: list[Ledger], instants: random.Random) -> None:
    """Let the clients work, and kill the server in the middle of it."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(ledger.work) for ledger in ledgers]
        steps.wait_for_more(instants.randrange(1, 120))
        try:
            serving.process.wait(instants.random() / 100)
            raise AssertionError(f"the server ended by itself: {serving.log.read_text()}")
        except subprocess.TimeoutExpired:
            serving.kill()
        for each in working:
            each.result(60)


def check_files(data_dir: Path) -> None:
    """The database is sound, every layer has its bytes, every blob is what its name says."""
    with closing(sqlite3.connect(data_dir / "ecrsim.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        layers = database.execute("SELECT DISTINCT layer_digest, layer_size FROM layers").fetchall()
    blobs = {path.name: path for path in (data_dir / "blobs").rglob("*") if path.is_file()}
    # A worker that starts tries under this name whether it can write; nothing else may lie there that is no blob.
    blobs.pop("writable", None)
    assert {digest.partition(":")[2]: size for digest, size in layers}.items() <= {
        name: path.stat().st_size for name, path in blobs.items()
    }.items()
    for name, path in blobs.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name


def verify(serving: Serving, ledgers: list[Ledger]) -> None:
    """Each client finds what it was told, with the token that it has."""
    for ledger in ledgers:
        ledger.connect(Client(serving.url))
        ledger.verify()
    client = Client(serving.url)
    shared = set().union(*(ledger.shared for ledger in ledgers))
    answer = client.registry("GET", f"{SHARED}/manifests/latest")
    if answer.status == 404:
        assert not any(ledger.has_shared for ledger in ledgers)
    else:
        assert digest_of(answer.body) in shared
    client.close()


def begin(data_dir: Path, seed: int) -> tuple[Serving, Steps, list[Ledger]]:
    serving, steps = Serving(data_dir, **SETTINGS), Steps()
    client = Client(serving.url)
    assert client.api("CreateRepository", repositoryName=SHARED).status == 200
    client.close()
    ledgers = [Ledger(number, seed * 100 + number, steps) for number in range(CLIENTS)]
    for ledger in ledgers:
        ledger.connect(Client(serving.url))
        ledger.prepare()
    return serving, steps, ledgers


@pytest.mark.crash
def test_what_was_acknowledged_survives_a_kill_at_any_instant(tmp_path: Path):
    for first in range(0, ROUNDS, TOGETHER):
        seed, data_dir = SEED + first, tmp_path / f"data-{first}"
        serving, steps, ledgers = begin(data_dir, seed)
        instants = random.Random(seed)  # noqa: S311 - the same instants for the same seed
        for number in range(first, min(first + TOGETHER, ROUNDS)):
            place = f"round {number} of CRASH_SEED={seed}"
            try:
                crash(serving, steps, ledgers, instants)
                serving = Serving(data_dir, **SETTINGS)
                check_files(data_dir)
                verify(serving, ledgers)
            except BaseException as error:
                error.add_note(place)
                serving.kill()
                raise
        for ledger in ledgers:
            ledger.close()
        log = serving.log.read_text()
        assert serving.stop() == 0
        assert "Traceback" not in log, log[-4000:]
