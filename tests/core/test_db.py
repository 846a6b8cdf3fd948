"""The database: schema versions, transactions, and faults of the disk."""

import shutil
import sqlite3
import stat
import threading
from contextlib import closing

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update

from ecrsim.core import migrations
from ecrsim.core.columns import Json, metadata
from ecrsim.core.db import Database, RowConflict, SchemaMismatch, properties
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.migrations import SCHEMA_VERSION

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True),
    Column("members", Json),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "ecrsim.db"


@pytest.fixture
def database(path):
    database = Database(f"sqlite:///{path}")
    database.open()
    with database.write() as connection:
        things.create(connection)
    yield database
    database.close()


@pytest.fixture
def revisions(tmp_path, monkeypatch):
    """`revisions(statement, …)`: revisions 2, 3, … with one statement each, and no others."""
    folder = tmp_path / "revisions"

    def give(*statements):
        folder.mkdir()
        for version, statement in enumerate(("SELECT 1", *statements), 1):
            before = None if version == 1 else str(version - 1)
            (folder / f"v{version}.py").write_text(
                f"from alembic import op\nrevision, down_revision = {str(version)!r}, {before!r}\n"
                f"def upgrade():\n    op.execute({statement!r})\n"
            )
        monkeypatch.setattr(migrations, "REVISIONS", folder)
        monkeypatch.setattr(migrations, "SCHEMA_VERSION", 1 + len(statements))

    return give


def add(database, *names, **values):
    with database.write() as connection:
        for name in names:
            connection.execute(insert(things).values(name=name, **values))


def add_and_raise(database, error):
    with database.write() as connection:
        connection.execute(insert(things).values(name="a"))
        raise error


def as_of_version_1(database):
    with database.write() as connection:
        connection.execute(update(properties).where(properties.c.name == "schema_version").values(value="1"))
    database.close()


def names(database):
    with database.read() as connection:
        return list(connection.execute(select(things.c.name).order_by(things.c.id)).scalars())


def rows(path, query):
    """What another connection to the file sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


class TestOpening:
    def test_the_directory_and_all_tables_are_made(self, path):
        Database(f"sqlite:///{path}").open()

        found = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type='table'")}
        assert found >= set(metadata.tables)

    def test_it_is_in_the_mode_in_which_readers_never_wait(self, database, path):
        assert rows(path, "PRAGMA journal_mode") == [("wal",)]

    @pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
    def test_durability_decides_whether_commits_wait_for_the_disk(self, path, durability, synchronous):
        database = Database(f"sqlite:///{path}", durability)
        database.open()
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == synchronous
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        database.close()

    def test_what_was_written_is_there_the_next_time(self, database, path):
        add(database, "a")
        database.close()
        again = Database(f"sqlite:///{path}")
        again.open()

        assert names(again) == ["a"]
        again.close()

    @pytest.mark.parametrize("version", ["0", str(SCHEMA_VERSION + 1), "999", "young"])
    def test_another_version_is_refused_in_plain_words(self, database, path, version):
        with database.write() as connection:
            connection.execute(update(properties).where(properties.c.name == "schema_version").values(value=version))
        database.close()
        with pytest.raises(
            SchemaMismatch, match=rf"has schema version {version}, this release of ecrsim reads version"
        ):
            Database(f"sqlite:///{path}").open()

    def test_an_older_version_is_migrated(self, database, path, revisions):
        as_of_version_1(database)
        revisions("ALTER TABLE things ADD colour TEXT", "UPDATE things SET colour = 'red'")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO things (name) VALUES ('a')")
        migrated = Database(f"sqlite:///{path}")
        migrated.open()
        with migrated.read() as connection:
            assert connection.exec_driver_sql("SELECT colour FROM things").scalar() == "red"
            query = select(properties.c.value).where(properties.c.name == "schema_version")
            assert connection.execute(query).scalar() == "3"
        migrated.close()

    def test_tables_that_version_1_lacked_are_made(self, database, path, revisions):
        revisions("SELECT 1")
        with database.write() as connection:
            connection.exec_driver_sql("DROP TABLE jobs")
        as_of_version_1(database)
        Database(f"sqlite:///{path}").open()
        assert [row[1] for row in rows(path, "PRAGMA table_info(jobs)")][:2] == ["id", "run_at"]

    def test_a_migration_that_fails_changes_nothing(self, database, path, revisions):
        as_of_version_1(database)
        revisions("ALTER TABLE things ADD colour TEXT", "ALTER TABLE nothing ADD x")
        with pytest.raises(Exception, match="nothing"):
            Database(f"sqlite:///{path}").open()

        columns = [row[1] for row in rows(path, "PRAGMA table_info(things)")]
        assert columns == ["id", "name", "members"]
        assert rows(path, "SELECT value FROM properties WHERE name = 'schema_version'") == [("1",)]

    def test_a_table_that_is_made_anew_takes_nothing_with_it_that_refers_to_it(self, database, path, revisions):
        as_of_version_1(database)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE parts (thing INTEGER REFERENCES things (id) ON DELETE CASCADE)")
            connection.execute("INSERT INTO things (name) VALUES ('a')")
            connection.execute("INSERT INTO parts VALUES (1)")
        revisions("CREATE TABLE anew AS SELECT * FROM things", "DROP TABLE things", "ALTER TABLE anew RENAME TO things")
        migrated = Database(f"sqlite:///{path}")
        migrated.open()
        with migrated.read() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        migrated.close()
        assert rows(path, "SELECT thing FROM parts") == [(1,)]

    def test_a_database_of_something_else_is_refused(self, tmp_path):
        other = tmp_path / "other.db"
        with closing(sqlite3.connect(other)) as connection, connection:
            connection.execute("CREATE TABLE somebody (id)")
        with pytest.raises(SchemaMismatch, match="not one of ecrsim's"):
            Database(f"sqlite:///{other}").open()

    def test_a_file_that_is_no_database_is_an_error_and_stays(self, tmp_path):
        other = tmp_path / "notes.txt"
        other.write_text("these are my notes" * 100)
        with pytest.raises(SchemaMismatch, match="not a database"):
            Database(f"sqlite:///{other}").open()
        assert other.read_text() == "these are my notes" * 100


class TestTransactions:
    def test_a_block_that_raises_leaves_nothing(self, database):
        with pytest.raises(RuntimeError):
            add_and_raise(database, RuntimeError())

        assert names(database) == []

    def test_a_broken_constraint_leaves_nothing_and_is_a_conflict_of_rows(self, database):
        with pytest.raises(RowConflict):
            add(database, "a", "b", "a")

        assert names(database) == []

    def test_a_reader_sees_one_state_and_does_not_wait_for_the_writer(self, database):
        add(database, "a")
        with database.read() as reading:
            assert reading.execute(select(things.c.name)).scalars().all() == ["a"]
            add(database, "b")
            assert reading.execute(select(things.c.name)).scalars().all() == ["a"]
        assert names(database) == ["a", "b"]

    def test_writers_queue(self, database):
        def work(name):
            for number in range(20):
                add(database, f"{name}{number}")

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(names(database)) == 80

    def test_two_processes_databases_queue_at_the_file(self, database, path):
        other = Database(f"sqlite:///{path}")
        other.open()
        begun, done = threading.Event(), threading.Event()

        def write():
            begun.set()
            add(other, "b")
            done.set()

        with database.write() as connection:
            thread = threading.Thread(target=write)
            thread.start()
            assert begun.wait(10)
            assert not done.wait(0.05)
            connection.execute(insert(things).values(name="a"))
        thread.join(10)
        other.close()

        assert names(database) == ["a", "b"]

    def test_a_connection_is_used_again_and_carries_nothing_over(self, database):
        with database.read() as connection:
            first = connection
        with database.write() as connection:
            assert connection is first
            connection.execute(insert(things).values(name="a"))
        assert names(database) == ["a"]

    def test_many_readers_at_once_have_connections_of_their_own(self, database):
        barrier = threading.Barrier(20)
        seen = []

        def read():
            with database.read() as connection:
                barrier.wait(10)
                seen.append((id(connection), connection.exec_driver_sql("SELECT 1").scalar()))

        threads = [threading.Thread(target=read) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len({number for number, _ in seen}) == 20
        assert all(answer == 1 for _, answer in seen)


class TestFaults:
    @pytest.mark.parametrize(
        "text",
        ["database or disk is full", "attempt to write a readonly database", "disk I/O error", "database is locked"],
    )
    def test_a_fault_of_the_disk_is_a_service_that_is_unavailable(self, database, text):
        with pytest.raises(ServiceUnavailableException, match=rf"{text}\. Nothing was stored\.") as caught:
            add_and_raise(database, sqlite3.OperationalError(text))
        assert caught.value.status == 503
        assert names(database) == []

    def test_a_mistake_of_ours_is_no_fault_of_the_disk(self, database):
        with pytest.raises(sqlite3.OperationalError), database.read():
            raise sqlite3.OperationalError("no such column: x")

    def test_a_read_only_file_answers_reads_and_refuses_writes(self, database, path):
        add(database, "a")
        database.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        path.chmod(stat.S_IRUSR)
        reopened = Database(f"sqlite:///file:{path}?mode=ro&uri=true")
        with reopened.read() as connection:
            assert connection.execute(select(things.c.name)).scalars().all() == ["a"]
        with pytest.raises(ServiceUnavailableException, match="readonly"), reopened.write() as connection:
            connection.execute(insert(things).values(name="b"))
        reopened.close()

    def test_a_path_that_cannot_be_opened_is_a_service_that_is_unavailable(self, tmp_path):
        folder = tmp_path / "ecrsim.db"
        folder.mkdir()
        with pytest.raises(ServiceUnavailableException, match="unable to open database"):
            Database(f"sqlite:///{folder}").open()


def test_its_version_is_another_one_after_each_commit_of_anybody(database, path):
    assert database.version() is None  # of a thread that may wait
    database.never_wait_in(threading.get_ident())
    seen = [database.version()]
    assert names(database) == []
    assert database.version() == seen[0]
    other = Database(f"sqlite:///{path}")
    other.open()
    for each in (database, other):
        # A thread that may wait writes.
        writer = threading.Thread(target=add, args=(each, f"of {len(seen)}"))
        writer.start()
        writer.join()
        seen.append(database.version())
    other.close()
    assert len(set(seen)) == 3
    assert database.version() == seen[-1]
    assert names(database) == ["of 1", "of 2"]


def test_one_that_was_closed_brings_no_file_back(database, path):
    """Somebody still had a connection, and others come too late: the directory may be deleted meanwhile."""
    with database.read():
        database.close()
        shutil.rmtree(path.parent)
    for begin in (database.read, database.write):
        with pytest.raises(ServiceUnavailableException, match="has stopped"), begin():
            pass
    assert not path.parent.exists()
