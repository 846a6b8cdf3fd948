"""A restart keeps everything, a stop finishes what is under way, and a data directory of others is refused."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ecrsim import Ecrsim
from ecrsim.core.columns import metadata
from ecrsim.core.db import SchemaMismatch
from ecrsim.core.migrations import SCHEMA_VERSION
from ecrsim.delivery.reach import Reach
from ecrsim.delivery.targets import replace_all
from ecrsim.ecr.encryption.tables import kms_data_keys
from ecrsim.ecr.images.tables import images
from ecrsim.ecr.layers.tables import layer_faults
from ecrsim.ecr.lifecycle.tables import lifecycle_actions, lifecycle_policies, lifecycle_runs
from ecrsim.ecr.pullthrough.tables import image_imports, layer_imports, upstream_checks, upstream_entries
from ecrsim.ecr.replication.tables import replication_uploads
from ecrsim.ecr.scanning.tables import set_findings
from ecrsim.ecr_public.tables import public_meters
from ecrsim.testing import call_application
from tests.ecr.lifecycle.policies import policy, rule
from tests.ecr.scanning.scanned import CONTINUOUS, OPENSSL, know, old_openssl
from tests.ecr.signing.conftest import configure, make_profiles
from tests.ecr.signing.conftest import rule as signing_rule
from tests.ecr_public.conftest import png_of
from tests.faults.client import ACCOUNT, Client, manifest_of
from tests.faults.serving import NotServing, Serving, clean_environment
from tests.planes.catalogue import ACCEPTED
from tests.planes.pushing import ApiPlane, RegistryPlane, push, rows
from tests.principals import document, user
from tests.principals import know as know_principals
from tests.pushing import NOWHERE, digest_of
from tests.pushing import push as push_by_api

# Servers are started and killed.
pytestmark = pytest.mark.slow

CONFIG, LAYER = b'{"architecture":"amd64","os":"linux"}', b"a layer"
FILTER = {"filter": "copied", "filterType": "PREFIX_MATCH"}
EXCLUDED = f"arn:aws:iam::{ACCOUNT}:role/scanner"


def fill(sim: Ecrsim) -> None:
    """Something in every table."""
    client = sim.client("ecr")
    client.create_repository(
        repositoryName="app",
        tags=[{"Key": "team", "Value": "a"}],
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
        encryptionConfiguration={"encryptionType": "KMS"},
    )
    api, registry = ApiPlane(sim), RegistryPlane(sim)
    for number, fixture in enumerate(ACCEPTED):
        push(registry if number % 2 else api, "app", fixture, f"t{number}")
    client.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    client.register_pull_time_update_exclusion(principalArn=EXCLUDED)
    client.create_pull_through_cache_rule(
        ecrRepositoryPrefix="mirror", upstreamRegistryUrl=f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com"
    )
    client.create_repository_creation_template(prefix="team", appliedFor=["REPLICATION"])
    rules = [{"destinations": [{"region": "eu-west-1", "registryId": ACCOUNT}], "repositoryFilters": [FILTER]}]
    client.put_replication_configuration(replicationConfiguration={"rules": rules})
    sim.push("copied/app", "v1")
    fill_scans(sim)
    client.start_replication_backfill(destination=rules[0]["destinations"][0])
    sim.advance(seconds=1)
    sim.push("copied/app", "v2")
    upload_id = client.initiate_layer_upload(repositoryName="app")["uploadId"]
    registry.append("app", upload_id, 0, b"begun")
    registry.pull("app", "t0")
    anyone = {"Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages"}
    client.set_repository_policy(repositoryName="app", policyText=json.dumps(document(anyone)))
    client.put_registry_policy(policyText=json.dumps(document({**anyone, "Resource": "*"})))
    jwk = {"kty": "RSA", "kid": "one", "n": base64.urlsafe_b64encode(b"\xff" * 256).decode().rstrip("="), "e": "AQAB"}
    everything(sim)
    fill_public(sim)
    know_principals(
        sim, {"users": [user("dev")], "identity_providers": [{"issuer": "https://i.example", "keys": {"keys": [jwk]}}]}
    )
    fill_signing(sim)


def fill_scans(sim: Ecrsim) -> None:
    """A basic scan with a finding, one that a test set, and enhanced scanning elsewhere."""
    client, far = sim.client("ecr"), sim.client("ecr", region="eu-west-1")
    far.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    know(sim, OPENSSL)
    image = sim.push("scanned", "v1", image=old_openssl())
    client.start_image_scan(repositoryName="scanned", imageId={"imageTag": "v1"})
    sim.advance(seconds=1)
    with sim.runtime.database.write() as connection:
        image_id = connection.execute(select(images.c.id).where(images.c.image_digest == image.digest)).scalar_one()
        connection.execute(insert(set_findings).values(image_id=image_id, scan_type="ENHANCED", findings=[]))


def fill_signing(sim: Ecrsim) -> None:
    """An image that a profile has signed."""
    make_profiles(sim, "prod")
    configure(sim.client("ecr"), signing_rule("prod", "signed/*"))
    sim.push("signed/app", "v1")
    sim.advance(seconds=1)


def fill_public(sim: Ecrsim) -> None:
    """A public repository with all that the gallery shows of it."""
    public = sim.client("ecr-public")
    public.create_repository(repositoryName="app", catalogData={"logoImageBlob": png_of(60, 60)})
    public.put_registry_catalog_data(displayName="Us")
    push_by_api(public, "app", None, "v1")
    pulls = {"subject": "127.0.0.1", "action": "pull", "next_at": 0, "month": "2026-01", "bytes": 1}
    with sim.runtime.database.write() as connection:
        connection.execute(insert(public_meters).values(**pulls))


def everything(sim: Ecrsim) -> None:
    """Policies, previews, a run that was cut off, jobs, and targets that nobody can reach."""
    client = sim.client("ecr")
    text = policy(rule(keep=1))
    client.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text)
    client.start_lifecycle_policy_preview(repositoryName="app")
    with sim.runtime.database.write() as connection:
        replace_all(
            connection,
            {
                "targets": [{"name": "nowhere", "type": "webhook", "url": "http://127.0.0.1:9/"}],
                "rules": [{"pattern": {"source": ["aws.ecr"]}, "targets": ["nowhere"]}],
            },
            Reach.of(sim.runtime.config, sim.runtime.data_dir),
        )
        repository_id = connection.execute(select(lifecycle_policies.c.repository_id)).scalar_one()
        of_repository = {"repository_id": repository_id}
        connection.execute(insert(lifecycle_runs).values(**of_repository, policy_version=1, planned_at=0))
        connection.execute(
            insert(layer_faults).values(layer_digest=digest_of(b"nowhere"), problem="missing", found_at=0)
        )
        fill_feeds(connection, repository_id)
        begun = {"registry_id": ACCOUNT, "region": "eu-west-1", "repository_name": "app", "layer_digest": NOWHERE}
        connection.execute(insert(replication_uploads).values(**begun, location="/upload", updated_at=0))
        # Of an image that is gone: nothing will be done.
        action = {
            "position": 0,
            "image_id": 10_000,
            "image_pushed_at": 0,
            "image_tags": [],
            "storage_class": "STANDARD",
        }
        action |= {"action": "EXPIRE", "rule_priority": 1}
        connection.execute(insert(lifecycle_actions).values(**of_repository, **action))
        connection.execute(insert(kms_data_keys).values(**of_repository, wrapped="k1.YQ=="))
        fill_what_others_need(connection, repository_id)


def fill_what_others_need(connection: Connection, repository_id: int) -> None:
    """Of an ecrsim that encrypts, of one among several, and of a bill."""
    held = {"kind": "private", "registry_id": ACCOUNT, "region": "us-east-1", "repository_name": "gone"}
    span = {"storage_class": "STANDARD", "since": 0, "until": 2**53, "size": 1, "ended_by": "deleted"}
    connection.execute(insert(metadata.tables["storage_spans"]).values(**held, **span))
    key = {"sharing": "s", "wrapped_key": "w", "space": "0" * 32, "space_key": "k"}
    connection.execute(insert(metadata.tables["repository_keys"]).values(repository_id=repository_id, **key))
    piece = {"revision": "r", "place": 0, "content": b"x"}
    connection.execute(insert(metadata.tables["advisory_pieces"]).values(**piece))
    node = {"name": "n", "worker": 1, "version": "v", "started_at": 0, "seen_at": 2**53, "is_draining": False}
    connection.execute(insert(metadata.tables["nodes"]).values(**node))


def fill_feeds(connection: Connection, repository_id: int) -> None:
    """What a cache knows of its upstreams."""
    checked = {"repository_id": repository_id, "asked": "v1", "checked_at": 0, "has_answered": True}
    connection.execute(insert(upstream_checks).values(**checked))
    coming = {"repository_id": repository_id, "owner": 9}
    image = {"import_id": "i", "image_digest": "sha256:0", "media_type": "m", "manifest": b"{}"}
    connection.execute(insert(image_imports).values(**coming, **image))
    layer = {"layer_digest": "sha256:1", "layer_size": 1, "upload_id": "u"}
    connection.execute(insert(layer_imports).values(**coming, **layer))
    connection.execute(insert(upstream_entries).values(name="quay.io", url="http://127.0.0.1:9"))


def test_every_row_is_there_again(tmp_path: Path):
    """The time of the last pull too, which was still on its way to the database."""
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        fill(sim)
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        found = rows(sim)
        assert [table for table, content in found.items() if not content] == []
        pulled = [image["image_digest"] for image in found["images"] if image["last_recorded_pull_time"]]
        assert pulled == [ACCEPTED[0].digest]
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        assert rows(sim) == found
        registry = RegistryPlane(sim)
        for fixture in ACCEPTED:
            assert registry.pull("app", fixture.digest) == (fixture.manifest, fixture.media_type)
        (upload,) = found["layer_uploads"]
        registry.append("app", upload["upload_id"], 5, b", ended")
        registry.complete("app", upload["upload_id"], digest_of(b"begun, ended"))


def test_tokens_and_urls_are_good_after_a_restart(tmp_path: Path):
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        fill(sim)
        token = sim.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        digest, data = next(iter(ACCEPTED[0].layers.items()))
        url = sim.client("ecr").get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        headers = {"Authorization": f"Basic {token}"}
        assert call_application(sim.app, "GET", "http://localhost/v2/app/manifests/t0", headers).status == 200
        assert call_application(sim.app, "GET", url).body == data


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_server_goes_on_where_it_was(tmp_path: Path, end: str):
    """By SIGTERM or by SIGKILL: repositories, images, tokens and an upload in mid-way, through other workers."""
    with Serving(tmp_path / "data") as server:
        client = Client(server.url)
        token = client.token()
        assert client.api("CreateRepository", repositoryName="app").status == 200
        for data in (CONFIG, LAYER):
            assert client.push_layer("app", data).status == 201
        assert client.push_manifest("app", "v1", manifest_of(CONFIG, LAYER)).status == 201
        location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
        assert client.registry("PATCH", location, b"half ").headers["Range"] == "0-4"
        client.close()
        if end == "stop":
            assert server.stop() == 0
        else:
            server.kill()
    with Serving(tmp_path / "data") as server:
        client = Client(server.url)
        client.use_token(token)
        assert client.registry("GET", "app/manifests/v1").body == manifest_of(CONFIG, LAYER)
        assert client.registry("GET", location).headers["Range"] == "0-4"
        assert client.registry("PATCH", location, b"whole", {"Content-Range": "5-9"}).status == 202
        assert client.registry("PUT", f"{location}?digest={digest_of(b'half whole')}").status == 201
        client.close()
        assert server.stop() == 0


def test_a_stop_finishes_what_is_under_way(tmp_path: Path):
    """SIGTERM in the middle of a body: the rest is taken, the answer comes, the exit status is 0."""
    data = bytes(range(256)) * 8192
    with Serving(tmp_path / "data") as server:
        client = Client(server.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        head = (
            f"POST /v2/app/blobs/uploads/?digest={digest_of(data)} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Basic {client.token()}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        client.close()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(head.encode() + data[: len(data) // 2])
            uploads = server.data_dir / "uploads"
            # The request is under way once its session has bytes.
            assert any(sum(path.stat().st_size for path in uploads.iterdir()) > 0 for _ in range(100_000))
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                server.process.wait(0.3)
            connection.sendall(data[len(data) // 2 :])
            assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
        assert server.stop() == 0
    with Ecrsim(socket=False, data_dir=str(tmp_path / "data")) as sim:
        assert sim.runtime.blobs.stat(digest_of(data)) == len(data)


def test_a_stop_tells_balancers_first(tmp_path: Path):
    """SIGTERM with --drain-delay: requests are taken still, while ready says no; a second SIGTERM stops at once."""
    with Serving(tmp_path / "data", drain_delay=600) as server:
        client = Client(server.url)
        assert client.send("GET", "/_ecrsim/ready").status == 200
        server.process.send_signal(signal.SIGTERM)
        assert any(client.send("GET", "/_ecrsim/ready").status == 503 for _ in range(1000))
        assert client.send("GET", "/_ecrsim/health").status == 200
        assert client.api("CreateRepository", repositoryName="app").status == 200
        client.close()
        assert server.stop() == 0
    with Serving(tmp_path / "data", drain_delay=1) as server:
        client = Client(server.url)
        assert client.send("GET", "/_ecrsim/ready").status == 200
        client.close()
        assert server.stop() == 0


@pytest.mark.parametrize("milliseconds", [150, 250, 300, 350, 400, 500])
def test_a_kill_while_it_starts_is_no_harm(tmp_path: Path, milliseconds: int):
    """Whatever it was at: an empty directory, a database without tables, a server that is nearly ready."""
    command = [sys.executable, "-m", "ecrsim", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL, start_new_session=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(milliseconds / 1000)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    with Ecrsim(socket=False, data_dir=str(tmp_path / "data")) as sim:
        sim.client("ecr").create_repository(repositoryName="app")
        registry = RegistryPlane(sim)
        push(registry, "app", ACCEPTED[0], "v1")
        assert registry.pull("app", "v1")[0] == ACCEPTED[0].manifest


# Data directories that this release cannot read


def of_another_version(data_dir: Path) -> None:
    with Ecrsim(socket=False, data_dir=str(data_dir)):
        pass
    with closing(sqlite3.connect(data_dir / "ecrsim.db")) as database:
        database.execute("UPDATE properties SET value = '99' WHERE name = 'schema_version'")
        database.commit()


def of_another_program(data_dir: Path) -> None:
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "ecrsim.db")) as database:
        database.execute("CREATE TABLE notes (text TEXT)")
        database.commit()


def of_no_database(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "ecrsim.db").write_bytes(b"these are not the bytes of a database" * 1000)


OTHER_VERSION = (
    f"the database has schema version 99, this release of ecrsim reads version {SCHEMA_VERSION}: "
    "use the release that wrote it, or begin with an empty data directory"
)
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "of another version": (
        of_another_version,
        OTHER_VERSION,
    ),
    "of another program": (of_another_program, "the database is not one of ecrsim's"),
    "of no database": (of_no_database, "the file is not a database"),
}
every_refusal = pytest.mark.parametrize(("make", "sentence"), REFUSED.values(), ids=REFUSED)


def content(data_dir: Path) -> bytes:
    return (data_dir / "ecrsim.db").read_bytes()


@every_refusal
def test_a_directory_is_refused_in_python(tmp_path: Path, make: Callable[[Path], None], sentence: str):
    make(tmp_path / "data")
    before = content(tmp_path / "data")
    with pytest.raises(SchemaMismatch) as refusal:
        Ecrsim(socket=False, data_dir=str(tmp_path / "data")).start()
    assert str(refusal.value) == sentence
    assert content(tmp_path / "data") == before


@every_refusal
def test_a_directory_is_refused_by_the_server(tmp_path: Path, make: Callable[[Path], None], sentence: str):
    make(tmp_path / "data")
    before = content(tmp_path / "data")
    with pytest.raises(NotServing, match="exit status 1") as refusal:
        Serving(tmp_path / "data", workers=1)
    assert str(refusal.value).splitlines()[-1].endswith(f"{tmp_path / 'data'}: {sentence}")
    assert content(tmp_path / "data") == before


@every_refusal
def test_a_directory_is_refused_by_gc(tmp_path: Path, make: Callable[[Path], None], sentence: str):
    make(tmp_path / "data")
    done: Any = subprocess.run(
        [sys.executable, "-m", "ecrsim", "gc", "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"ecrsim: {sentence}\n")
