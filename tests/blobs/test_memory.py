"""What only the store in memory does."""

import io

import pytest

from ecrsim.blobs import UploadNotFound
from ecrsim.blobs.memory import MemoryStore
from tests.blobs.sources import Body, Clock, sha256


def test_times_are_those_of_the_clock() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    store.put(sha256(b"blob"), b"blob")
    clock.now += 100
    store.create_upload("upload")
    assert list(store.blobs()) == [(sha256(b"blob"), 4, clock.now - 100)]
    assert list(store.uploads()) == [("upload", 0, clock.now)]


def test_an_open_blob_has_no_descriptor_and_no_path() -> None:
    store = MemoryStore(Clock())
    store.put(sha256(b"blob"), b"blob")
    assert store.path(sha256(b"blob")) is None
    with store.open(sha256(b"blob")) as blob, pytest.raises(io.UnsupportedOperation):
        blob.fileno()


def test_a_session_that_ends_between_finding_and_locking_is_not_found() -> None:
    store = MemoryStore(Clock())
    store.create_upload("upload")
    session = store._sessions["upload"]
    lock = session.lock

    class EndsTheSessionFirst:
        def acquire(self, *, blocking: bool) -> bool:
            session.lock = lock
            store.discard("upload")
            return lock.acquire(blocking=blocking)

    session.lock = EndsTheSessionFirst()
    with pytest.raises(UploadNotFound):
        store.append("upload", Body(b"to nowhere"))
