"""Queries with names: rows of a class, parameters that are checked, and the same statements for every dialect."""

import importlib
import pkgutil
from typing import NamedTuple

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_mock_engine,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

import ecrsim
from ecrsim.core.columns import Json, metadata
from ecrsim.core.db import Database, RowConflict
from ecrsim.core.query import Addition, Change, Query, _Statement, as_text, upsert
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.images import listing

#: Both as SQLAlchemy names them; nothing is connected to.
DIALECTS = (sqlite.dialect(), postgresql.dialect())

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True),
    Column("members", Json),
    Column("is_old", Boolean, nullable=False),
)


class Thing(NamedTuple):
    id: int
    name: str
    members: object
    is_old: bool


ALL = Query(select(things).order_by(things.c.id), Thing)
NAMED = Query(select(things).where(things.c.name == bindparam("name")), Thing)
FROM = Query(select(things.c.name).where(things.c.name >= bindparam("first")).order_by(things.c.name).limit(2), str)
COUNT = Query(select(func.count()).select_from(things), int)
NEWEST = Query(select(func.max(things.c.id)), int)
ADD = Addition(things, "name", "members", "is_old", identity=things.c.id)
AGE = Change(update(things).where(things.c.name == bindparam("which")).values(is_old=bindparam("is_old")))


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'ecrsim.db'}")
    database.open()
    with database.write() as connection:
        things.create(connection)
    yield database
    database.close()


@pytest.fixture
def connection(database):
    with database.write() as connection:
        yield connection


def add(connection, *names, members=None, is_old=False):
    for name in names:
        ADD.run(connection, name=name, members=members, is_old=is_old)


class TestRows:
    def test_rows_are_of_the_class_with_json_and_booleans_as_what_they_are(self, connection):
        assert ADD.add(connection, name="a", members={"b": [1, None]}, is_old=True) == 1
        assert ADD.add(connection, name="c", members=None, is_old=False) == 2
        assert ALL.all(connection) == [Thing(1, "a", {"b": [1, None]}, True), Thing(2, "c", None, False)]
        found = NAMED.first(connection, name="a")
        assert (type(found), type(found.is_old)) == (Thing, bool)
        assert NAMED.first(connection, name="b") is None

    def test_one_value_is_the_value_itself(self, connection):
        assert (COUNT.one(connection), NEWEST.first(connection)) == (0, None)
        add(connection, *"abc")
        assert FROM.all(connection, first="b") == ["b", "c"]
        assert FROM.all(connection, first="") == ["a", "b"]
        assert Query(select(things.c.is_old), bool).first(connection) is False

    def test_json_as_text_is_read_by_nobody(self, connection):
        add(connection, "a", members={"b": [1]})
        assert Query(select(as_text(things.c.members)), str).all(connection) == ['{"b":[1]}']
        given = Addition(things, "name", "members", "is_old", as_text=["members"])
        given.run(connection, name="b", members='{"c":  2}', is_old=False)
        assert NAMED.first(connection, name="b").members == {"c": 2}

    def test_many_rows_stand_in_the_order_of_the_columns(self, connection):
        other_order = Addition(things, "is_old", "members", "name")
        other_order.many(connection, [(True, [1], "a"), (False, None, "b")])
        ADD.many(connection, [("c", {}, False)])
        assert [row[1:] for row in ALL.all(connection)] == [("a", [1], True), ("b", None, False), ("c", {}, False)]

    def test_a_class_with_other_members_is_refused(self, connection):
        class Stranger(NamedTuple):
            id: int
            title: str

        with pytest.raises(TypeError, match=r"Stranger has the members .*title.*, the statement the columns .*name"):
            Query(select(things.c.id, things.c.name), Stranger).all(connection)
        with pytest.raises(TypeError, match="str is a class of one value, the statement has 2"):
            Query(select(things.c.id, things.c.name), str).all(connection)


class TestParameters:
    @pytest.mark.parametrize("given", [{}, {"nme": "a"}, {"name": "a", "more": 1}, {"name": "a", "is_old": True}])
    def test_those_that_are_missing_or_unknown_are_an_error(self, connection, given):
        add(connection, "a")
        with pytest.raises(TypeError, match=r"the statement has the parameters \['name'\], and not \["):
            NAMED.all(connection, **given)

    def test_what_stands_in_the_statement_is_kept_and_cannot_be_given(self, connection):
        aged = Change(update(things).where(things.c.name == bindparam("which")).values(is_old=True))
        add(connection, "a", "b")
        assert aged.run(connection, which="a") == 1
        assert [row.is_old for row in ALL.all(connection)] == [True, False]
        with pytest.raises(TypeError):
            aged.run(connection, which="a", is_old=False)


class TestChanges:
    def test_the_number_of_rows_is_told(self, connection):
        add(connection, "a", "b")
        assert AGE.run(connection, which="a", is_old=True) == 1
        assert AGE.run(connection, which="c", is_old=True) == 0
        assert Change(delete(things)).run(connection) == 2

    def test_they_run_inside_of_the_transaction_around_them(self, database):
        def write_and_raise():
            with database.write() as connection:
                add(connection, "a")
                raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            write_and_raise()
        with database.read() as connection:
            assert COUNT.one(connection) == 0

    def test_a_row_that_cannot_be_is_a_conflict(self, connection):
        add(connection, "a")
        with pytest.raises(RowConflict, match="name"):
            add(connection, "a")
        with pytest.raises(RowConflict, match="name"):
            ADD.many(connection, [("b", None, False), ("b", None, False)])
        with pytest.raises(RowConflict, match="is_old"):
            upsert(connection, things, {"name": "c"}, {"is_old": None})

    def test_upsert_inserts_or_changes(self, connection):
        upsert(connection, things, {"name": "a"}, {"is_old": False, "members": [1]})
        upsert(connection, things, {"name": "a"}, {"is_old": True, "members": [2]})
        assert [row[1:] for row in ALL.all(connection)] == [("a", [2], True)]
        upsert(connection, things, {"name": "a"}, {"is_old": False, "members": [3]}, {"is_old": False})
        assert [row[1:] for row in ALL.all(connection)] == [("a", [2], False)]


# --- all that there are -----------------------------------------------------------------------------------------------


def everything():
    """Each statement of the package, those that are made for a combination of filters included."""
    load_capabilities()
    for module in pkgutil.walk_packages(ecrsim.__path__, "ecrsim."):
        if module.name != "ecrsim.__main__":
            importlib.import_module(module.name)
    for status in ("ANY", "ACTIVE"):
        for tagged in (None, True, False):
            listing._statements(status, tagged)
    return [each for each in _Statement.known if "things" not in str(each._statement)]


def test_every_statement_compiles_for_sqlite_and_postgresql_with_all_its_parameters():
    statements = everything()
    assert len(statements) > 150
    for statement in statements:
        lite, post = (statement.prepare(dialect) for dialect in DIALECTS)
        assert lite.names == post.names
        assert lite.constants.keys() | lite.names == set(lite.order)
        assert lite.sql.count("?") == len(lite.order)
        assert lite.positional
        assert not post.positional
        assert all(f"%({name})s" in post.sql for name in post.names | post.constants.keys())
        assert set(lite.processes) == set(post.processes)
        assert "json_each" not in post.sql


def test_an_insert_that_needs_the_number_asks_postgresql_for_it():
    lite, post = (ADD.prepare(dialect).sql for dialect in DIALECTS)
    assert "RETURNING" not in lite
    assert post.endswith("RETURNING things.id")


def test_every_table_and_index_is_made_alike_in_both():
    load_capabilities()
    made: dict[str, list[str]] = {"sqlite": [], "postgresql": []}
    for dialect in DIALECTS:

        def keep(statement, *_, dialect=dialect, **__):
            made[dialect.name].append(str(statement.compile(dialect=dialect)))

        metadata.create_all(create_mock_engine(f"{dialect.name}://", keep), checkfirst=False)
    lite, post = (
        [(text.partition(" ON ")[0], text.partition("WHERE")[2]) for text in texts if "INDEX" in text]
        for texts in made.values()
    )
    assert lite == post
    assert len(made["sqlite"]) == len(made["postgresql"]) > 60
    assert sum(bool(where) for _, where in lite) >= 3
