"""PostgreSQL behind the port: what it would do otherwise than SQLite, and what processes share by it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select

from ecrsim import Ecrsim
from ecrsim.blobs.identity import StoreMismatch
from ecrsim.cli import main
from ecrsim.config import ConfigError
from ecrsim.core.db import Database, RowConflict, SchemaMismatch
from ecrsim.core.engines.postgresql_rights import Word
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.query import Addition, Query
from ecrsim.ecr.pullthrough.import_rows import Custody
from ecrsim.testing import build_image
from tests.postgresql import PROGRAMS, Cluster
from tests.principals import admin

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not PROGRAMS, reason="there is no PostgreSQL on this machine"),
]

things = Table("things", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(3), unique=True))
NAMES = Query(select(things.c.name).order_by(things.c.name), str)
SUM = Query(select(func.sum(things.c.id)), int)
ADD = Addition(things, "name", identity=things.c.id)
ADD_NUMBERED = Addition(things, "id", "name")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


@pytest.fixture
def url(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    return f"{cluster.url}?schema=s{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    made.open()
    with made.write() as connection:
        things.create(connection)
    yield made
    made.close()


def soon(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def test_texts_are_sorted_by_their_bytes_and_may_be_long(database: Database) -> None:
    with database.write() as connection:
        for name in ("b", "B", "a-c", "ab", "a_b", "longer than three"):
            ADD.run(connection, name=name)
        assert NAMES.all(connection) == ["B", "a-c", "a_b", "ab", "b", "longer than three"]


def test_numbers_have_64_bits_and_their_sum_is_a_number(database: Database) -> None:
    with database.write() as connection:
        assert ADD.add(connection, name="a") == 1
        ADD_NUMBERED.run(connection, id=2**62, name="b")
        found = SUM.one(connection)
    assert (found, type(found)) == (2**62 + 1, int)


def test_a_row_that_cannot_be_is_a_conflict_and_undoes_the_rest(database: Database) -> None:
    def add_twice() -> None:
        with database.write() as connection:
            ADD.run(connection, name="a")
            ADD.run(connection, name="a")

    with pytest.raises(RowConflict):
        add_twice()
    with database.read() as connection:
        assert NAMES.all(connection) == []


def test_a_row_that_two_scopes_make_at_once_is_found_by_the_second(database: Database) -> None:
    """Both find it missing; the one that is undone is told to try again."""
    gate, ends = threading.Barrier(2), []

    def write(scope: str) -> None:
        try:
            with database.write(scope) as connection:
                gate.wait(10)
                ADD.run(connection, name="a")
            ends.append("stored")
        except ServiceUnavailableException as error:
            ends.append("undone" if error.is_undone else "lost")

    threads = [threading.Thread(target=write, args=(scope,)) for scope in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(ends) == ["stored", "undone"]


def test_who_writes_all_waits_for_who_writes_a_part(database: Database) -> None:
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        with database.write():
            done.set()

    with database.write("one"), database.write("two"):
        thread = threading.Thread(target=write)
        thread.start()
        assert begun.wait(10)
        assert not done.wait(0.2)
    assert done.wait(10)
    thread.join()


def test_a_reader_sees_one_state(database: Database) -> None:
    with database.read() as reading:
        assert NAMES.all(reading) == []
        with database.write() as connection:
            ADD.run(connection, name="a")
        assert NAMES.all(reading) == []
    with database.read() as reading:
        assert NAMES.all(reading) == ["a"]


def cut(cluster: Cluster) -> None:
    """End all connections."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ecrsim'")


def test_a_connection_that_the_server_has_ended_is_replaced(database: Database, cluster: Cluster) -> None:
    cut(cluster)
    with database.read() as reading:
        assert NAMES.all(reading) == []


def test_a_right_has_one_holder_and_goes_with_its_process(database: Database, url: str, cluster: Cluster) -> None:
    other = Database(url)
    other.open()
    held = database.hold("right", wait=False)
    assert held is not None
    assert database.hold("right", wait=False) is None
    assert other.hold("right", wait=False) is None
    database.close()
    found = other.hold("right", wait=True)
    assert found is not None
    found.release()
    other.close()


def test_a_right_that_went_with_its_connection_is_held_no_more(database: Database, url: str, cluster: Cluster) -> None:
    other = Database(url)
    held = database.hold("right")
    assert held is not None
    assert held.is_held()
    cut(cluster)
    taken = other.hold("right")
    assert taken is not None
    assert (held.is_held(), taken.is_held()) == (False, True)
    held.release()
    assert taken.is_held()
    other.close()
    assert not taken.is_held()


def test_who_lost_the_number_of_an_importer_takes_another(database: Database, url: str, cluster: Cluster) -> None:
    """Two of one number would take each other's rows for their own, also when one of them is killed."""
    other = Database(url)
    one, two = Custody(database), Custody(other)
    assert (one.number(), one.number()) == (0, 0)
    cut(cluster)
    assert two.number() == 0
    assert one.number() == 1
    assert two.is_alive(1)
    for custody in (one, two):
        custody.release()
    other.close()


def test_who_has_a_right_writes_a_scope_of_its_name(database: Database) -> None:
    """Both are advisory locks; the pump has the right to deliver, and its couriers write how far they are."""
    done = threading.Event()

    def write() -> None:
        with database.write("delivery"):
            done.set()

    with database.exclusive("delivery"):
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        assert done.wait(10)
        thread.join()


def test_a_word_is_heard_by_all_and_late_news_change_nothing(database: Database, url: str) -> None:
    other = Database(url)
    other.open()
    one, two = database.word("clock", 1), other.word("clock", 1)
    for value in range(2, 50):
        one[0] = value
        assert one[0] == value
    soon(lambda: two[0] == 49)
    two[0] = 7
    assert two[0] == 7
    soon(lambda: one[0] == 7)
    time.sleep(0.2)
    assert (one[0], two[0]) == (7, 7)
    other.close()


def test_what_others_said_before_does_not_stay() -> None:
    """It is heard while one's own is told."""

    def tell(value: int) -> int:
        if value == 3:
            word.hear(2, 7)
        return value

    word = Word(tell, 1)
    word[0] = 3
    word.hear(3, 3)
    assert word[0] == 3


def test_a_text_that_it_cannot_keep_is_the_clients_error(url: str) -> None:
    with Ecrsim(socket=False, database_url=url) as sim:
        with pytest.raises(ClientError) as caught:
            sim.push("app", "v1", image=build_image(b"a layer", artifactType="a\0b"))
        assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
        assert "U+0000" in caught.value.response["Error"]["Message"]


def test_a_text_that_no_index_takes_is_the_clients_error(url: str) -> None:
    """Random, as the server compresses what it can."""
    with Ecrsim(socket=False, database_url=url) as sim:
        path = f"/{secrets.token_hex(4000)}/"
        answer = admin(sim, "PUT", "principals", {"users": [{"name": "ada", "path": path}]})
        assert (answer.status, answer.json()["message"]) == (400, "A text is too long to be found by.")


def test_an_ephemeral_one_leaves_nothing(cluster: Cluster) -> None:
    query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ecrsim%'"
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        with Ecrsim(socket=False, database_url=cluster.url, ephemeral=True) as sim:
            sim.client().create_repository(repositoryName="app")
            assert connection.execute(query).fetchone() == (1,)
        assert connection.execute(query).fetchone() == (0,)


def test_who_still_asks_an_ephemeral_one_that_stops_is_refused(url: str) -> None:
    """Before its schema is dropped, meanwhile, and afterwards."""
    database = Database(url)
    database.open()

    def read_on() -> None:
        with database.read() as reading:
            database.drop()
            NAMES.all(reading)

    with pytest.raises(ServiceUnavailableException, match="ecrsim has stopped"):
        read_on()
    with pytest.raises(ServiceUnavailableException, match="ecrsim has stopped"), database.read():
        pass


def test_a_store_of_another_schema_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    with Ecrsim(socket=False, database_url=f"{cluster.url}?schema=first", data_dir=str(tmp_path)) as sim:
        sim.push("app", "v1")
    with (
        pytest.raises(StoreMismatch, match=r"belongs to the database postgresql://.*schema=first"),
        Ecrsim(socket=False, database_url=f"{cluster.url}?schema=second", data_dir=str(tmp_path)),
    ):
        pass


@pytest.mark.parametrize(
    "url", ["postgresql://me:se:cret@[::1/x", "postgresql://db:port/x", "postgresql://x/y?schema=A"]
)
@pytest.mark.parametrize("command", [["db", "current"], ["gc"], ["db", "copy", "--to"]])
def test_a_url_that_cannot_be_read_is_said(
    command: list[str], url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*command, url] if command[-1] == "--to" else [*command, "--database-url", url]
    if command[-1] == "--to":
        given += ["--to-data-dir", str(tmp_path / "copy")]
    status = main([*given, "--data-dir", str(tmp_path)])
    said = capsys.readouterr().err
    assert (status, "Traceback" in said, "cret" in said) == (1, False, False)
    assert said.startswith("ecrsim: ")


def test_a_schema_of_somebody_else_is_refused(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA strange; CREATE TABLE strange.somebody (id int)")
    with pytest.raises(SchemaMismatch, match="not one of ecrsim's"):
        Database(f"{cluster.url}?schema=strange").open()
    with pytest.raises(ConfigError, match="lower case"):
        Database(f"{cluster.url}?schema=Not;One")


def test_a_server_that_is_not_there_is_a_service_that_is_unavailable() -> None:
    with pytest.raises(ServiceUnavailableException, match="The database cannot be used"):
        Database("postgresql://nobody@127.0.0.1:1/nothing").open()
