"""The stores under test, and a way to let time pass for what they hold."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ecrsim.blobs import BlobStore
from ecrsim.blobs.encrypted import EncryptedStore
from ecrsim.blobs.filesystem import FilesystemStore
from ecrsim.blobs.memory import MemoryStore
from ecrsim.blobs.s3 import Bucket
from ecrsim.blobs.s3_store import S3Store
from ecrsim.core import ids
from tests import s3_servers
from tests.blobs.sources import Clock


class Subject(NamedTuple):
    """A store, and what makes everything in it look an hour older than it is."""

    store: BlobStore
    age: Callable[[], None]


def in_memory(_: Path, __: pytest.FixtureRequest) -> Subject:
    clock = Clock()

    def age() -> None:
        clock.now += 3600

    return Subject(MemoryStore(clock), age)


def on_disk(root: Path, _: pytest.FixtureRequest) -> Subject:
    def age() -> None:
        for path in root.rglob("*"):
            if path.is_file():
                os.utime(path, (path.stat().st_mtime - 3600,) * 2)

    return Subject(FilesystemStore(root), age)


def encrypted(root: Path, request: pytest.FixtureRequest) -> Subject:
    store = EncryptedStore(root, "process", lambda _: bytes(32), ids.new_secret)
    return Subject(store.within("0" * 32, bytes(32)), on_disk(root, request).age)


def in_s3(server: str) -> Callable[[Path, pytest.FixtureRequest], Subject]:
    def make(_: Path, request: pytest.FixtureRequest) -> Subject:
        running: s3_servers.S3Server = request.getfixturevalue(server)
        bucket = running.new_bucket()
        store = store_in(running, bucket)
        request.addfinalizer(store.close)
        return Subject(store, lambda: running.age(bucket))

    return make


def store_in(server: s3_servers.S3Server, bucket: str, **access: Any) -> S3Store:
    """A store of its own in the bucket, as another node has it."""
    return S3Store(Bucket(f"s3://{bucket}/some/prefix", server.access._replace(**access)), ids.new_uuid)


SUBJECTS: dict[str, Callable[[Path, pytest.FixtureRequest], Subject]] = {
    "memory": in_memory,
    "filesystem": on_disk,
    "encrypted": encrypted,
    "moto": in_s3("moto"),
    "versitygw": in_s3("versitygw"),
}


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


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return SUBJECTS[request.param](tmp_path / "store", request)


@pytest.fixture
def store(subject: Subject) -> BlobStore:
    return subject.store
