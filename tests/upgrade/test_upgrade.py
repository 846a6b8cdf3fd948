"""The data directory of an earlier release, opened by this one: everything is there, and work goes on with it.

`scripts/record_release` makes the archives of fixtures/releases.
"""

import base64
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from tests.faults.client import Client
from tests.pushing import digest_of
from tests.upgrade.recording import ACCOUNT, BEGUN, CLOCK, CONFIG, LAYER, REST

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]
SEED = os.environ.get("CRASH_SEED") or "20260101"
RELEASES = sorted((ROOT / "fixtures" / "releases").glob("*.tar.gz"))


@pytest.fixture(params=RELEASES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def unpacked(request, tmp_path):
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def recorded(unpacked):
    return json.loads((unpacked / "answers.json").read_text("utf-8"))


@pytest.fixture
def start(unpacked):
    """`start()`: an ecrsim over the directory; the one before is stopped."""
    running = []

    def start():
        while running:
            running.pop().stop()
        running.append(Ecrsim(data_dir=str(unpacked / "data"), clock=CLOCK).start())
        return running[0]

    yield start
    while running:
        running.pop().stop()


def lacking(old, new, place="answer"):
    """Where an answer has not what it had; members that are new are none of it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [each for key, value in old.items() for each in lacking(value, new.get(key), f"{place}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            each
            for number, pair in enumerate(zip(old, new, strict=True))
            for each in lacking(*pair, f"{place}[{number}]")
        ]
    return [] if old == new else [f"{place} was {old!r} and is {new!r}"]


def check(sim, recorded):
    clients = {account: Client(sim.endpoint_url, account) for account, *_ in recorded["answers"]}
    # host:port in the URIs of then.
    old_host = recorded["answers"][0][-1]["repositories"][0]["repositoryUri"].partition("/")[0]
    faults = []
    for account, operation, members, path, before in recorded["answers"]:
        if operation:
            answer = clients[account].api(operation, **members)
            now = json.loads(answer.body.replace(sim.registry.encode(), old_host.encode()))
        else:
            answer = clients[account].registry("GET", path)
            now = base64.b64encode(answer.body).decode()
        assert answer.status == 200, (operation, path, answer)
        faults += lacking(before, now, operation or path)
    for client in clients.values():
        client.close()
    assert faults == []


def test_everything_is_there(start, recorded):
    """Also when it is opened a second time."""
    assert len(recorded["answers"]) > 20
    check(start(), recorded)
    check(start(), recorded)


@pytest.mark.slow
def test_an_upgrade_that_is_killed_changes_nothing_and_can_be_repeated(start, unpacked, recorded):
    """At each statement of it and at random instants (`UPGRADE_CRASH_ROUNDS`), until one comes to its end."""
    command = [sys.executable, "-m", "tests.upgrade.killing", str(unpacked / "data"), SEED]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"CRASH_SEED={SEED}: {run.stderr}"
    at_statements, at_instants = map(int, run.stdout.split())
    assert at_statements > 10
    assert at_instants > 0
    check(start(), recorded)


def test_work_goes_on(start, recorded):
    sim = start()
    client = Client(sim.endpoint_url, ACCOUNT)
    data = BEGUN + REST
    path = "/v2/" + recorded["upload"].partition("/v2/")[2]
    finished = client.registry("PUT", f"{path}?digest={digest_of(data)}", REST)
    assert finished.status == 201, finished
    ecr = sim.client()
    # What nobody needs any more goes, and nothing else.
    sim.advance(days=30)
    left = {each["imageDigest"] for each in ecr.list_images(repositoryName="app")["imageIds"]}
    before = next(answer for _, operation, _, _, answer in recorded["answers"] if operation == "ListImages")
    tagged = {each["imageDigest"] for each in before["imageIds"] if "imageTag" in each}
    assert tagged <= left < {each["imageDigest"] for each in before["imageIds"]}
    client.use_token("")  # the one from before has expired
    for blob in (CONFIG, LAYER):
        assert client.registry("GET", f"app/blobs/{digest_of(blob)}").body == blob
    ecr.delete_repository(repositoryName="team/locked", force=True)
    client.close()
