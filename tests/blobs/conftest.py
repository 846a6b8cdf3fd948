"""The stores under test, and a way to let time pass for what they hold."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ecrsim.blobs import BlobStore
from ecrsim.blobs.encrypted import EncryptedStore
from ecrsim.blobs.filesystem import FilesystemStore
from ecrsim.blobs.framing import SpaceKey
from ecrsim.blobs.memory import MemoryStore
from ecrsim.core import ids
from tests.blobs.sources import Clock


class Subject(NamedTuple):
    """A store, and what makes everything in it look an hour older than it is."""

    store: BlobStore
    age: Callable[[], None]


def in_memory(_: Path) -> Subject:
    clock = Clock()

    def age() -> None:
        clock.now += 3600

    return Subject(MemoryStore(clock), age)


def on_disk(root: Path) -> Subject:
    def age() -> None:
        for path in root.rglob("*"):
            if path.is_file():
                os.utime(path, (path.stat().st_mtime - 3600,) * 2)

    return Subject(FilesystemStore(root), age)


def encrypted(root: Path) -> Subject:
    key = SpaceKey("0" * 32, bytes(32), ids.new_secret)
    store = EncryptedStore(root, "process", {key.space: key}.__getitem__)
    return Subject(store.within(key), on_disk(root).age)


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "memory": in_memory,
    "filesystem": on_disk,
    "encrypted": encrypted,
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return SUBJECTS[request.param](tmp_path / "store")


@pytest.fixture
def store(subject: Subject) -> BlobStore:
    return subject.store
