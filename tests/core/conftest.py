"""An ecrsim whose clock stands still, that runs no jobs by itself, and a book of those that it was told to run."""

from collections.abc import Iterator

import pytest

from ecrsim.config import load
from ecrsim.core import jobs
from ecrsim.core.runtime import Runtime
from tests.core.jobbing import Book


@pytest.fixture
def runtime(tmp_path) -> Iterator[Runtime]:
    made = Runtime(load({"data_dir": str(tmp_path), "clock": "frozen@2026-01-01", "jobs": "manual"}, environ={}))
    made.open()
    yield made
    made.close()


@pytest.fixture
def book(monkeypatch) -> Book:
    """Jobs of the kinds `note` and, long, `note-long` are written down in it."""
    book = Book()
    monkeypatch.setitem(jobs._KINDS, "note", jobs.JobKind(book.run, is_long=False))
    monkeypatch.setitem(jobs._KINDS, "note-long", jobs.JobKind(book.run_long, is_long=True))
    return book
