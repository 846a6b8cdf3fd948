"""Hashes that keep up with a body, on a second thread or without one."""

import hashlib
import threading

import pytest

from ecrsim.blobs import running
from ecrsim.blobs.running import HashingAside, RunningHash, RunningHashes

LARGE = bytes(range(256)) * 4096


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "blob-hash"]


@pytest.mark.parametrize(
    ("pieces", "threads"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([b"small", b"", b"pieces"], 0, id="small pieces are not worth a thread"),
        pytest.param([LARGE], 1, id="one large piece"),
        pytest.param([LARGE, b"small", LARGE, LARGE[:-1], b"end"], 1, id="all sizes in order, on one thread"),
    ],
)
def test_the_hash_is_that_of_the_pieces_in_order(pieces: list[bytes], threads: int) -> None:
    hashed = RunningHash("sha256")
    with HashingAside(hashed) as aside:
        for piece in pieces:
            aside.update(piece)
        assert len(helpers()) == threads
    assert hashed.covers == sum(map(len, pieces))
    assert hashed.digest() == f"sha256:{hashlib.sha256(b''.join(pieces)).hexdigest()}"
    assert helpers() == []


def test_the_thread_ends_when_the_body_breaks_off() -> None:
    def cut_off() -> None:
        with HashingAside(hashed) as aside:
            aside.update(LARGE)
            raise ConnectionResetError

    hashed = RunningHash("sha256")
    with pytest.raises(ConnectionResetError):
        cut_off()
    assert hashed.covers == len(LARGE)
    assert helpers() == []


def test_where_no_thread_can_start_the_caller_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    hashed = RunningHash("sha256")
    with HashingAside(hashed) as aside:
        aside.update(LARGE)
        aside.update(LARGE)
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
