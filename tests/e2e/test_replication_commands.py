"""Replication by the AWS command line: rules, statuses, backfills, and deletions that follow."""

import gzip
import json
import shutil
import threading
import time
from pathlib import Path

import botocore
import pytest
import requests

from tests.e2e import images
from tests.e2e.server import ACCOUNT, REGION

NEAR, OTHER = "eu-west-1", "111111111111"
DESTINATION = f"region={NEAR},registryId={ACCOUNT}"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": ["ecr:ReplicateImage", "ecr:CreateRepository"],
            "Resource": "*",
        }
    ],
}
#: Requests of a backfill of a few images, one after the other, with a second of replication_delay each.
PATIENCE = 60


def teach(home):
    """Give the command line the operations of this botocore: its own may be older than they are."""
    known = Path(botocore.__file__).parent / "data" / "ecr" / "2015-09-21"
    models = Path(home["HOME"]) / ".aws" / "models" / "ecr" / known.name
    models.mkdir(parents=True)
    (models / "service-2.json").write_bytes(gzip.decompress((known / "service-2.json.gz").read_bytes()))
    shutil.copy(known / "paginators-1.json", models)


@pytest.fixture
def ecr(aws, server, home):
    """`aws ecr …` → its answer. Rules and repositories are gone afterwards."""

    teach(home)

    def ask(*arguments, region=REGION):
        text = aws("ecr", *arguments, "--region", region, "--output", "json")
        return json.loads(text) if text.strip() else None

    yield ask
    turn(server, "real")
    server.client().put_replication_configuration(replicationConfiguration={"rules": []})
    for region, account in ((REGION, ACCOUNT), (NEAR, ACCOUNT), (NEAR, OTHER)):
        there = server.client(region=region, account=account)
        for found in there.describe_repositories()["repositories"]:
            if found["repositoryName"].startswith("commands/"):
                there.delete_repository(repositoryName=found["repositoryName"], force=True)


def turn(server, mode):
    """A frozen clock: nothing becomes due while the command line takes its time."""
    requests.put(f"{server.url}/_ecrsim/clock", json={"mode": mode}, timeout=30).raise_for_status()


def rules(*destinations, deletes=False):
    found = [{"region": region, "registryId": account} for region, account in destinations]
    filters = [{"filter": "commands/", "filterType": "PREFIX_MATCH"}]
    return json.dumps(
        {"rules": [{"destinations": found, "repositoryFilters": filters, "deleteReplication": {"enabled": deletes}}]}
    )


def until(ask, is_done):
    """The first answer that is what the test waits for."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE
    while not is_done(found := ask()):
        assert time.monotonic() < deadline, found
        pause.wait(0.2)
    return found


def push(crane, server, tmp_path, name, number):
    layout = images.write_layout(tmp_path / f"{name.replace('/', '-')}-{number}", images.build_image(f"copy {number}"))
    crane("push", str(layout), f"{server.registry}/{name}:v{number}")


def test_rules_copies_and_deletions(ecr, crane, server, tmp_path):
    server.client(region=NEAR, account=OTHER).put_registry_policy(policyText=json.dumps(POLICY))
    configuration = tmp_path / "replication.json"
    configuration.write_text(rules((NEAR, ACCOUNT), (NEAR, OTHER), deletes=True))
    put = ecr("put-replication-configuration", "--replication-configuration", f"file://{configuration}")
    assert put["replicationConfiguration"] == json.loads(configuration.read_text())
    assert ecr("describe-registry")["replicationConfiguration"] == put["replicationConfiguration"]

    ecr("create-repository", "--repository-name", "commands/app")
    push(crane, server, tmp_path, "commands/app", 1)
    place = ("--repository-name", "commands/app")

    def statuses():
        answer = ecr("describe-image-replication-status", *place, "--image-id", "imageTag=v1")
        return [(each["registryId"], each["region"], each["status"]) for each in answer["replicationStatuses"]]

    found = until(statuses, lambda found: all(status != "IN_PROGRESS" for *_, status in found))
    assert found == [(ACCOUNT, NEAR, "COMPLETE"), (OTHER, NEAR, "COMPLETE")]
    (copy,) = ecr("list-images", *place, region=NEAR)["imageIds"]
    assert copy["imageTag"] == "v1"

    ecr("batch-delete-image", *place, "--image-ids", "imageTag=v1")
    assert until(lambda: ecr("list-images", *place, region=NEAR)["imageIds"], lambda found: not found) == []
    other = server.client(region=NEAR, account=OTHER)
    until(lambda: other.list_images(repositoryName="commands/app")["imageIds"], lambda found: not found)


def test_backfills(ecr, crane, server, tmp_path):
    ecr("create-repository", "--repository-name", "commands/old")
    for number in range(3):
        push(crane, server, tmp_path, "commands/old", number)
    ecr("put-replication-configuration", "--replication-configuration", rules((NEAR, ACCOUNT)))

    turn(server, "frozen")
    started = ecr("start-replication-backfill", "--destination", DESTINATION)
    assert (started["registryId"], started["status"]) == (ACCOUNT, "PREPARING")
    assert started["destination"] == {"region": NEAR, "registryId": ACCOUNT}
    chosen = ("--replication-backfill-id", started["replicationBackfillId"])
    stopped = ecr("stop-replication-backfill", *chosen)
    assert stopped["status"] == "STOPPED"
    turn(server, "real")

    def described(*options):
        return ecr("describe-replication-backfill-results", *options)

    assert described(*chosen, "--no-paginate")["status"] == "STOPPED"
    again = ecr("start-replication-backfill", "--destination", DESTINATION)
    chosen = ("--replication-backfill-id", again["replicationBackfillId"])
    done = until(lambda: described(*chosen, "--no-paginate"), lambda found: found["status"] == "COMPLETE")
    assert done["progress"] == {
        "totalReplicationCount": 3,
        "completedReplicationCount": 3,
        "failedReplicationCount": 0,
        "failureCodes": [],
    }
    assert [(each["imageId"]["imageTag"], each["status"]) for each in done["results"]] == [
        (f"v{number}", "COMPLETE") for number in range(3)
    ]
    first = described(*chosen, "--max-items", "2", "--page-size", "2")
    assert (len(first["results"]), "NextToken" in first) == (2, True)
    assert described(*chosen, "--result-status-filter", "FAILED")["results"] == []
    listed = ecr("list-replication-backfills")["backfills"]
    assert [each["replicationBackfillId"] for each in listed[:2]] == [
        again["replicationBackfillId"],
        started["replicationBackfillId"],
    ]
    assert [each["status"] for each in listed[:2]] == ["COMPLETE", "STOPPED"]
    crane("validate", "--remote", f"{server.registry}/{ACCOUNT}/{NEAR}/commands/old:v2")
