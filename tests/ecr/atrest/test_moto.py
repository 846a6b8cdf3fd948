"""Layers and manifests under data keys of a KMS beside ecrsim: moto's, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ecrsim import Ecrsim
from ecrsim.ecr.encryption import memory
from ecrsim.testing import build_image, push_image
from tests.ecr.atrest.conftest import IMAGE, LAYER, LAYER_DIGEST, MARK, pushed_by_registry, registry, shows
from tests.keys import encrypted
from tests.pushing import create


@pytest.fixture
def kms() -> Iterator[Any]:
    """A client of moto's KMS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "kms",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="123456789012",
        aws_secret_access_key="x",
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()
    server.stop()


@pytest.fixture
def start(kms: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    # What a KMS allowed is good for no time.
    monkeypatch.setattr(memory, "FRESH", 0)
    return lambda: Ecrsim(data_dir=str(data_dir), encrypt=True, kms_endpoint=kms.meta.endpoint_url)


def test_pushed_restarted_and_pulled(kms: Any, start: Any, data_dir: Path):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    with start() as sim:
        ecr = sim.client("ecr")
        create(ecr, **encrypted(key))
        push_image(ecr, "app", IMAGE, "api")
        pushed_by_registry(sim, "app", build_image(MARK + LAYER), "registry")
        assert shows(data_dir) == []
    with start() as sim:
        assert registry(sim, "GET", "/v2/app/manifests/api").read() == IMAGE.manifest
        assert registry(sim, "GET", f"/v2/app/blobs/{LAYER_DIGEST}").read() == LAYER
        (image,) = sim.client("ecr").batch_get_image(repositoryName="app", imageIds=[{"imageTag": "api"}])["images"]
        assert image["imageManifest"].encode() == IMAGE.manifest


def test_a_key_that_is_disabled_in_the_middle_of_a_push_and_of_a_pull(kms: Any, start: Any, data_dir: Path):
    key = kms.create_key()["KeyMetadata"]
    with start() as sim:
        ecr = sim.client("ecr")
        create(ecr, **encrypted(key["Arn"]))
        location = registry(sim, "POST", "/v2/app/blobs/uploads/").headers["Location"]
        assert registry(sim, "PATCH", location, LAYER[:300_000]).status == 202
        kms.disable_key(KeyId=key["KeyId"])
        assert registry(sim, "PATCH", location, LAYER[300_000:]).status == 403
        kms.enable_key(KeyId=key["KeyId"])
        assert registry(sim, "PATCH", location, LAYER[300_000:]).status == 202
        assert registry(sim, "PUT", f"{location}?digest={LAYER_DIGEST}").status == 201
        push_image(ecr, "app", IMAGE, "v1")
        kms.disable_key(KeyId=key["KeyId"])
        assert registry(sim, "GET", "/v2/app/manifests/v1").status == 403
        assert registry(sim, "GET", f"/v2/app/blobs/{LAYER_DIGEST}").status == 403
        (failure,) = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["failures"]
        assert failure["failureCode"] == "KmsError"
    # Also not by an ecrsim that has never had the key.
    with start() as sim:
        assert registry(sim, "GET", f"/v2/app/blobs/{LAYER_DIGEST}").status == 403
        kms.enable_key(KeyId=key["KeyId"])
        assert registry(sim, "GET", "/v2/app/manifests/v1").read() == IMAGE.manifest
        assert registry(sim, "GET", f"/v2/app/blobs/{LAYER_DIGEST}").read() == LAYER
    assert shows(data_dir) == []


def test_repositories_of_one_key_share_and_of_another_do_not(kms: Any, start: Any, data_dir: Path):
    one, other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    with start() as sim:
        ecr = sim.client("ecr")
        for name, key in {"first": one, "second": one, "third": other}.items():
            create(ecr, name, **encrypted(key))
            push_image(ecr, name, IMAGE, "v1")
            assert registry(sim, "GET", f"/v2/{name}/blobs/{LAYER_DIGEST}").read() == LAYER
        # Deleting one of them leaves the others theirs.
        ecr.delete_repository(repositoryName="first", force=True)
        for name in ("second", "third"):
            assert registry(sim, "GET", f"/v2/{name}/blobs/{LAYER_DIGEST}").read() == LAYER
    files = list(data_dir.glob(f"encrypted/*/*/*/{LAYER_DIGEST.partition(':')[2]}"))
    assert len(files) == 2
