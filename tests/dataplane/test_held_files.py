"""Blobs that the server opens by the numbers of descriptors: too late, it finds none, and never another blob."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecrsim.door import held
from ecrsim.door.held import HeldFiles

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors have no names here")


@pytest.fixture
def files() -> Iterator[HeldFiles]:
    files = HeldFiles()
    yield files
    for _, each in files._held:
        os.close(each) if isinstance(each, int) else each.close()


def blob(directory: Path, number: int) -> Path:
    path = directory / str(number)
    path.write_bytes(b"%d" % number)
    return path


def opened_late(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def numbers_in_use() -> list[int]:
    return [int(each.name) for each in Path("/proc/self/fd").iterdir()]


def hold(files: HeldFiles, tmp_path: Path, numbers: range, now: float) -> list[str]:
    return [files.hold(blob(tmp_path, number).open("rb", buffering=0), now) for number in numbers]


def test_a_file_is_found_though_it_was_deleted(files: HeldFiles, tmp_path: Path):
    places = hold(files, tmp_path, range(3), 0.0)
    for path in tmp_path.iterdir():
        path.unlink()
    assert [opened_late(place) for place in places] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("why", ["a stall", "many files"])
def test_who_comes_too_late_finds_nothing(files: HeldFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str):
    monkeypatch.setattr(held, "_HELD", 4096 if why == "a stall" else 20)
    late = hold(files, tmp_path, range(20), 0.0)
    before = len(numbers_in_use())
    here = hold(files, tmp_path, range(20, 40), 31.0 if why == "a stall" else 0.0)
    assert [opened_late(place) for place in late] == [None] * 20
    assert [opened_late(place) for place in here] == [b"%d" % number for number in range(20, 40)]
    assert len(numbers_in_use()) == before


def test_numbers_come_round_and_run_out_without_harm(files: HeldFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 2 * (max(numbers_in_use()) + 50)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        monkeypatch.setattr(held, "_HELD", 10)
        for number in range(3 * limit):
            (place,) = hold(files, tmp_path, range(number, number + 1), 0.0)
            assert opened_late(place) == b"%d" % number
        monkeypatch.setattr(held, "_HELD", limit)
        places = hold(files, tmp_path, range(limit // 2 + 20), 0.0)
        assert [opened_late(place) for place in places] == [b"%d" % number for number in range(limit // 2 + 20)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
