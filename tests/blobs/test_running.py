"""Hashes that keep up with a body, in other threads or without one."""

import hashlib
import threading

import pytest

from ecrsim.blobs import running
from ecrsim.blobs.running import Hashers, HashingAside, RunningHash, RunningHashes

LARGE = bytes(range(256)) * 4096


@pytest.fixture
def hashers() -> Hashers:
    return Hashers()


@pytest.mark.parametrize(
    ("pieces", "threads"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([b"small", b"", b"pieces"], 0, id="small pieces are not worth a thread"),
        pytest.param([LARGE], 1, id="one large piece"),
        pytest.param([LARGE, b"small", LARGE, LARGE[:-1], b"end"], 1, id="all sizes in order, on one thread"),
    ],
)
def test_the_hash_is_that_of_the_pieces_in_order(hashers: Hashers, pieces: list[bytes], threads: int) -> None:
    hashed = RunningHash("sha256")
    aside = HashingAside(hashed, hashers)
    for piece in pieces:
        aside.update(piece)
    aside.finish()
    assert hashers._threads == threads
    assert hashed.covers == sum(map(len, pieces))
    assert hashed.digest() == f"sha256:{hashlib.sha256(b''.join(pieces)).hexdigest()}"


def test_many_bodies_share_a_few_threads(hashers: Hashers) -> None:
    hashed = [RunningHash("sha256") for _ in range(40)]
    asides = [HashingAside(each, hashers) for each in hashed]
    for _ in range(3):
        for aside in asides:
            aside.update(LARGE)
    for aside in asides:
        aside.finish()
    assert {each.digest() for each in hashed} == {f"sha256:{hashlib.sha256(LARGE * 3).hexdigest()}"}
    assert 1 <= hashers._threads <= running._MOST_THREADS


def test_what_fails_in_the_thread_is_raised_where_it_is_waited_for(hashers: Hashers) -> None:
    class Failing(RunningHash):
        def update(self, chunk: bytes) -> None:
            raise MemoryError

    aside = HashingAside(Failing("sha256"), hashers)
    aside.update(LARGE)
    with pytest.raises(MemoryError):
        aside.finish()


def test_where_no_thread_can_start_the_caller_hashes(hashers: Hashers, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    hashed = RunningHash("sha256")
    aside = HashingAside(hashed, hashers)
    aside.update(LARGE)
    aside.update(LARGE)
    aside.finish()
    assert hashed.digest() == f"sha256:{hashlib.sha256(LARGE * 2).hexdigest()}"


def test_a_copy_goes_its_own_way() -> None:
    first = RunningHash("sha256")
    first.update(b"common")
    second = first.copy()
    second.update(b" and more")
    assert (first.covers, second.covers) == (6, 15)
    assert first.digest() == f"sha256:{hashlib.sha256(b'common').hexdigest()}"
    assert second.digest() == f"sha256:{hashlib.sha256(b'common and more').hexdigest()}"


def test_only_the_sessions_touched_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_KEPT", 2)
    hashes = RunningHashes()
    for upload_id in ("a", "b", "a", "c"):
        hashed = RunningHash("sha256")
        hashed.update(b"bytes")
        hashes.keep(upload_id, hashed)
    assert {upload_id: hashes.copy(upload_id, "sha256").covers for upload_id in "abc"} == {"a": 5, "b": 0, "c": 5}


def test_a_session_that_ended_is_forgotten_under_every_algorithm() -> None:
    hashes = RunningHashes()
    for algorithm in ("sha256", "sha512"):
        hashed = RunningHash(algorithm)
        hashed.update(b"bytes")
        hashes.keep("upload", hashed)
        assert hashes.copy("upload", algorithm).covers == 5
    hashes.drop("upload")
    assert [hashes.copy("upload", algorithm).covers for algorithm in ("sha256", "sha512")] == [0, 0]
