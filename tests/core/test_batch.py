"""The batching writer: what readers note is written together, and whoever must see it does."""

import threading

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select

from ecrsim.core import batch as module
from ecrsim.core.batch import BatchingWriter
from ecrsim.core.db import Database
from ecrsim.core.errors import ServiceUnavailableException

# Not among the tables of ecrsim: this file makes it.
notes = Table("notes", MetaData(), Column("key", String, primary_key=True), Column("value", Integer))


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'ecrsim.db'}")
    database.open()
    with database.write() as connection:
        notes.create(connection)
    yield database
    database.close()


@pytest.fixture
def writer(database):
    """One whose timer never goes off by itself."""
    return BatchingWriter(database, delay=3600)


def write(connection, values):
    connection.execute(delete(notes).where(notes.c.key.in_(values)))
    connection.execute(insert(notes), [{"key": key, "value": value} for key, value in values.items()])


def written(database):
    with database.read() as connection:
        return {row.key: row.value for row in connection.execute(select(notes))}


def test_a_note_waits_until_it_is_asked_for(database, writer):
    writer.note(write, "a", 1)
    assert written(database) == {}

    writer.flush()
    assert written(database) == {"a": 1}


def test_the_last_value_of_a_key_wins(database, writer):
    for value in range(5):
        writer.note(write, "a", value)
    writer.note(write, "b", 9)
    writer.flush()

    assert written(database) == {"a": 4, "b": 9}


def test_notes_of_all_kinds_are_written_in_one_transaction(database, writer):
    seen = []

    def other(connection, values):
        seen.append((values, connection.execute(select(notes.c.value)).scalars().all()))

    writer.note(write, "a", 1)
    writer.note(other, "x", 2)
    writer.flush()

    assert seen == [({"x": 2}, [1])]


def test_the_timer_writes_what_nobody_asked_for(database):
    done = threading.Event()

    def apply(connection, values):
        write(connection, values)
        done.set()

    BatchingWriter(database, delay=0.001).note(apply, "a", 1)

    assert done.wait(10)


def test_flushing_waits_for_the_flush_that_is_under_way(database, writer):
    """Else the one that flushes second would look before the first has written."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connection, values):
        begun.set()
        assert go_on.wait(10)
        write(connection, values)

    writer.note(slowly, "a", 1)
    first = threading.Thread(target=writer.flush)
    first.start()
    assert begun.wait(10)
    seen = []
    second = threading.Thread(target=lambda: (writer.flush(), seen.append(written(database))))
    second.start()
    second.join(0.05)
    go_on.set()
    first.join(10)
    second.join(10)

    assert seen == [{"a": 1}]


def test_a_flush_of_nothing_opens_no_transaction(database, writer):
    with database.write():
        writer.flush()


def test_closing_writes_what_is_left(database, writer):
    writer.note(write, "a", 1)
    writer.close()

    assert written(database) == {"a": 1}


def test_a_note_after_the_end_starts_no_timer(writer, monkeypatch):
    started = []
    monkeypatch.setattr(module.threading, "Timer", lambda *_: started.append(1))
    writer.close()
    writer.note(write, "a", 1)

    assert started == []


@pytest.mark.parametrize("error", [ServiceUnavailableException("disk is full"), RuntimeError("a mistake")])
def test_what_cannot_be_written_is_logged_and_stops_nobody(database, writer, caplog, error):
    def fail(connection, values):
        raise error

    writer.note(fail, "a", 1)
    writer.close()

    assert "were not recorded" in caplog.text


def test_many_threads_lose_nothing(database):
    writer = BatchingWriter(database, delay=0.001)

    def work(name):
        for number in range(50):
            writer.note(write, f"{name}-{number}", number)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    assert written(database) == {f"{name}-{number}": number for name in "abcd" for number in range(50)}


def test_sums_of_a_key_add_up(database, writer):
    seen = []

    def apply(connection, values):
        seen.append(values)

    for size in (10, 5):
        writer.add(apply, "a", 1, size)
    writer.add(apply, "b", 2, 0)
    writer.flush()

    assert seen == [{"a": (2, 15), "b": (2, 0)}]


def test_sums_that_could_not_be_written_are_added_to_those_that_came_since(database, writer):
    seen, failures = [], [ServiceUnavailableException("disk is full")]

    def apply(connection, values):
        writer.add(apply, "a", 1, 7) if failures else None
        for error in failures:
            failures.clear()
            raise error
        seen.append(values)

    writer.add(apply, "a", 1, 10)
    writer.flush()
    writer.flush()

    assert seen == [{"a": (2, 17)}]


def test_a_note_does_not_wait_for_the_timer_of_sums(database):
    done = threading.Event()
    writer = BatchingWriter(database, delay=0.05)
    writer.add(lambda *_: None, "sum", 1, 1)
    slow = writer._due
    writer.note(lambda *_: done.set(), "a", 1)

    assert writer._due < slow
    assert done.wait(10)
