"""crane pushes to one region; it is pulled from two others, from another account, and from Debian's docker-registry."""

import json
import threading
import time

import pytest
import requests

from tests.e2e import images
from tests.e2e.server import ACCOUNT, REGION
from tests.e2e.upstreams import BASIC, PASSWORD, USERNAME, with_basic

OTHER = "111111111111"
NEAR, FAR, DEBIAN = "eu-west-1", "eu-central-1", "ap-south-1"
ALLOWED = {
    "Sid": "Replicate",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": ["ecr:ReplicateImage", "ecr:CreateRepository"],
    "Resource": "*",
}
DESTINATIONS = [(ACCOUNT, NEAR), (ACCOUNT, FAR), (OTHER, REGION), (ACCOUNT, DEBIAN)]


@pytest.fixture
def debian(tmp_path):
    with with_basic(tmp_path / "debian", images.build_image("what is there already")) as registry:
        yield registry


@pytest.fixture
def source(launch, tmp_path, debian):
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({DEBIAN: {"username": USERNAME, "accessToken": PASSWORD}}))
    server = launch("--region-endpoint", f"{DEBIAN}={debian.url}", "--secrets", str(secrets))
    policy = {"Version": "2012-10-17", "Statement": [ALLOWED]}
    server.client(account=OTHER).put_registry_policy(policyText=json.dumps(policy))
    ecr = server.client()
    rules = [{"destinations": [{"registryId": account, "region": region} for account, region in DESTINATIONS]}]
    ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    ecr.create_repository(repositoryName="library/app")
    return server


def settled(ecr, tag):
    """The statuses of all copies, once none of them is under way."""
    pause, deadline = threading.Event(), time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = ecr.describe_image_replication_status(repositoryName="library/app", imageId={"imageTag": tag})
        found = {(each["registryId"], each["region"]): each["status"] for each in answer["replicationStatuses"]}
        if "IN_PROGRESS" not in found.values():
            return found
        pause.wait(0.1)
    raise AssertionError(found)


def test_a_push_is_pulled_everywhere(source, debian, crane, tmp_path):
    image = images.build_image("a copy")
    login = ("auth", "login", source.registry, "--username", "AWS", "--password-stdin")
    crane(*login, stdin=source.password())
    crane("push", str(images.write_layout(tmp_path / "layout", image)), f"{source.registry}/library/app:v2")
    assert settled(source.client(), "v2") == dict.fromkeys(DESTINATIONS, "COMPLETE")

    for region in (NEAR, FAR):
        name = f"{source.registry}/{ACCOUNT}/{region}/library/app:v2"
        assert crane("digest", name).strip() == image.digest
        crane("validate", "--remote", name)
    crane(*login, stdin=source.password(OTHER))
    crane("validate", "--remote", f"{source.registry}/{OTHER}/{REGION}/library/app:v2")

    place, headers = f"{debian.url}/v2/library/app", {"Authorization": BASIC, "Accept": images.MANIFEST}
    found = requests.get(f"{place}/manifests/v2", headers=headers, timeout=30)
    assert found.content == image.manifest
    assert requests.get(f"{place}/tags/list", headers=headers, timeout=30).json()["tags"] == ["v1", "v2"]
    for blob in (image.config, image.layer):
        answer = requests.get(f"{place}/blobs/{images.digest(blob)}", headers=headers, timeout=30)
        assert answer.content == blob
