"""Ecrsims whose blobs are in S3."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ecrsim import Ecrsim
from tests import s3_servers


@pytest.fixture(scope="session")
def moto() -> Iterator[s3_servers.Moto]:
    with s3_servers.moto() as server:
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
