"""Servers over one data store, with their blobs in a directory or in S3."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from tests import s3_servers
from tests.stores.registry import Node


@pytest.fixture(scope="session")
def moto() -> Iterator[s3_servers.Moto]:
    with s3_servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw() -> Iterator[s3_servers.Versitygw]:
    if not s3_servers.has_versitygw():
        pytest.skip("versitygw is missing: scripts/tools versitygw")
    with s3_servers.versitygw() as server:
        yield server


@pytest.fixture
def bucket(moto: s3_servers.Moto) -> str:
    return moto.new_bucket()


@pytest.fixture
def start(moto: s3_servers.Moto, bucket: str, request: pytest.FixtureRequest) -> Callable[..., Ecrsim]:
    """An ecrsim over the bucket: `start(gc_grace=0)`."""

    def begin(**settings: Any) -> Ecrsim:
        given: dict[str, Any] = {"blob_store": f"s3://{bucket}/registry", "socket": False} | moto.settings
        sim = Ecrsim(**(given | settings))
        sim.start()
        request.addfinalizer(sim.stop)
        return sim

    return begin


@pytest.fixture
def serve(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Node]:
    """A server over the data directory of the test: `serve("--blob-redirect")`, `serve(s3=versitygw)`."""
    buckets: dict[str, str] = {}
    nodes: list[Node] = []

    def begin(*options: str, s3: s3_servers.S3Server | None = None) -> Node:
        environ = {}
        if s3 is not None:
            bucket = buckets.setdefault(s3.url, s3.new_bucket() if s3.url not in buckets else "")
            environ = {f"ECRSIM_{name.upper()}": value for name, value in s3.settings.items()}
            environ["ECRSIM_BLOB_STORE"] = f"s3://{bucket}/ecr"
        node = Node(tmp_path / f"node-{len(nodes)}", tmp_path / "data", options, environ)
        nodes.append(node)
        request.addfinalizer(node.close)
        return node

    return begin
