"""Keys as users lose and find them: AWS's CLI, ecrsim's own commands, crane; the ring, and moto's KMS."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.e2e import images
from tests.e2e.clients import Client, require
from tests.e2e.receivers import Moto
from tests.e2e.server import ACCOUNT, REGION, ServerProcess

#: Seconds after which every worker has noticed that a key was disabled at a KMS.
NOTICED = 5.1
KEYS = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": ""}


@dataclass(frozen=True)
class Place:
    """A running ecrsim with its clients."""

    server: ServerProcess
    aws: Client
    crane: Client

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        place = ("--port", str(self.server.port), "--data-dir", str(self.server.folder / "data"))
        command = [sys.executable, "-m", "ecrsim", *words, *place]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def keys(self, *words: str) -> str:
        done = self.run("keys", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ecr(self, *words: str) -> Any:
        return json.loads(self.aws("ecr", *words, "--output", "json") or "null")

    def log_in(self) -> None:
        password = self.aws("ecr", "get-login-password").strip()
        self.crane("auth", "login", self.server.registry, "-u", "AWS", "--password-stdin", stdin=password)

    def repository(self, name: str, key: str) -> str:
        """Make it, encrypted with the key; what clients call it."""
        configuration = f"encryptionType=KMS,kmsKey={key}"
        made = self.ecr("create-repository", "--repository-name", name, "--encryption-configuration", configuration)
        return str(made["repository"]["repositoryUri"])


def place_of(launch, home, *options: str) -> Place:
    server = launch(*options)
    environ = {**home, **KEYS, "AWS_EC2_METADATA_DISABLED": "true"}
    found = Place(
        server, Client((require("aws"), "--endpoint-url", server.url), environ), Client((require("crane"),), home)
    )
    found.log_in()
    return found


@pytest.fixture
def layout(tmp_path) -> str:
    return str(images.write_layout(tmp_path / "layout", images.build_image("a secret of the layer")))


def test_the_ring_by_command(launch, home):
    place = place_of(launch, home)
    made = place.keys("create", "--alias", "prod", "--description", "for the tests")
    assert made.startswith(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/")
    assert place.keys("list") == f"{made} Enabled CUSTOMER alias/prod"
    assert place.keys("disable", "alias/prod") == f"{made} is Disabled"
    assert place.keys("enable", made) == f"{made} is Enabled"
    assert place.keys("rotate", "alias/prod") == f"{made} was rotated 1 times"
    assert place.keys("schedule-deletion", "alias/prod", "--days", "7").startswith(f"{made} goes on ")
    assert " PendingDeletion until " in place.keys("list")
    assert place.keys("cancel-deletion", made) == f"{made} is Disabled"
    assert place.keys("alias", "other", made) == f"alias/other stands for {made}"
    assert place.keys("alias", "prod", "--delete") == "forgot alias/prod"
    (shown,) = json.loads(place.keys("list", "--json"))["keys"]
    assert (shown["aliases"], shown["rotations"], shown["state"]) == (["alias/other"], 1, "Disabled")
    refused = place.run("keys", "disable", "alias/nobody")
    assert (refused.returncode, "there is no key" in refused.stderr) == (1, True)
    assert place.run("keys", "alias", "prod").returncode == 1


def test_the_aws_command_line_and_a_key_of_the_ring(launch, home, layout):
    place = place_of(launch, home, "--workers", "2")
    key = place.keys("create", "--alias", "prod")
    uri = place.repository("app", "alias/prod")
    (described,) = place.ecr("describe-repositories")["repositories"]
    assert described["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    place.crane("push", layout, f"{uri}:v1")
    place.keys("disable", "alias/prod")
    # Noticed at once by whichever worker is asked.
    for _ in range(6):
        assert f"DENIED: {key} is disabled." in place.crane.refuses("manifest", f"{uri}:v1")
    failed = place.aws.refuses("ecr", "initiate-layer-upload", "--repository-name", "app")
    assert f"(KmsException) when calling the InitiateLayerUpload operation: {key} is disabled." in failed
    answer = place.ecr("batch-get-image", "--repository-name", "app", "--image-ids", "imageTag=v1")
    assert [each["failureCode"] for each in answer["failures"]] == ["KmsError"]
    assert place.ecr("describe-images", "--repository-name", "app")["imageDetails"][0]["imageTags"] == ["v1"]
    place.keys("enable", "alias/prod")
    assert json.loads(place.crane("manifest", f"{uri}:v1"))["schemaVersion"] == 2
    place.crane("push", layout, f"{uri}:v2")
    assert place.keys("revoke-grant", key, "all") == "revoked 2"
    assert "because no grant allows" in place.crane.refuses("manifest", f"{uri}:v1")
    place.ecr("delete-repository", "--repository-name", "app", "--force")


@pytest.fixture
def moto() -> Iterator[Moto]:
    found = Moto()
    yield found
    found.stop()


def test_a_key_of_moto_s_disabled_in_the_middle_of_a_push_and_of_a_pull(launch, home, layout, moto):
    place = place_of(launch, home, "--kms-endpoint", moto.url, "--workers", "2")
    kms = Client((require("aws"), "--endpoint-url", moto.url, "kms"), place.aws.environ)
    made = json.loads(kms("create-key", "--output", "json"))["KeyMetadata"]
    uri = place.repository("app", made["KeyId"])
    (described,) = place.ecr("describe-repositories")["repositories"]
    assert described["encryptionConfiguration"]["kmsKey"] == made["Arn"]
    grants = json.loads(kms("list-grants", "--key-id", made["KeyId"], "--output", "json"))["Grants"]
    assert len(grants) == 2

    # A pull of a layer that has begun when the key goes, and a push between its requests.
    place.crane("push", layout, f"{uri}:v1")
    password = place.aws("ecr", "get-login-password").strip()
    session = requests.Session()
    session.auth, session.trust_env = ("AWS", password), False
    started = session.post(f"{place.server.url}/v2/app/blobs/uploads/", timeout=60)
    assert started.status_code == 202
    place_of_upload = f"{place.server.url}{started.headers['Location']}"
    manifest = json.loads(place.crane("manifest", f"{uri}:v1"))
    layer = f"{place.server.url}/v2/app/blobs/{manifest['layers'][0]['digest']}"
    kms("disable-key", "--key-id", made["KeyId"])
    time.sleep(NOTICED)
    assert f"DENIED: {made['Arn']} is disabled." in place.crane.refuses("manifest", f"{uri}:v1")
    assert session.patch(place_of_upload, data=b"a layer", timeout=60).status_code == 403
    assert session.get(layer, timeout=60).status_code == 403
    kms("enable-key", "--key-id", made["KeyId"])
    # A refusal is not remembered.
    assert session.patch(place_of_upload, data=b"a layer", timeout=60).status_code == 202
    finished = session.put(f"{place_of_upload}?digest={images.digest(b'a layer')}", timeout=60)
    assert finished.status_code == 201
    assert session.get(layer, timeout=60).status_code == 200
    place.crane("push", layout, f"{uri}:v2")

    place.ecr("delete-repository", "--repository-name", "app", "--force")
    grants = json.loads(kms("list-grants", "--key-id", made["KeyId"], "--output", "json"))["Grants"]
    assert grants == []
