"""Many values in one parameter: the same rows in SQLite, and words that PostgreSQL has."""

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from ecrsim.core.columns import Json
from ecrsim.core.entries import has_entry, is_among

things = Table("things", MetaData(), Column("id", Integer), Column("name", String), Column("colours", Json))


@pytest.fixture
def connection():
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        things.create(connection)
        rows = [(1, "a", ["red", "blue"]), (2, "b", ["blue"]), (3, 'c"', []), (4, "d", None)]
        connection.execute(insert(things), [dict(zip(things.c.keys(), row, strict=True)) for row in rows])
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (is_among(things.c.name, ["b", 'c"', "x"]), [2, 3]),
        (is_among(things.c.name, []), []),
        (has_entry(things.c.colours, "blue"), [1, 2]),
        (has_entry(things.c.colours, "red") & has_entry(things.c.colours, "blue"), [1]),
        (has_entry(things.c.colours, "re"), []),
    ],
)
def test_rows_are_found_by_their_values(connection, where, found):
    assert list(connection.execute(select(things.c.id).where(where)).scalars()) == found


def test_the_values_of_a_named_parameter_come_later(connection):
    query = select(things.c.name).where(is_among(things.c.id, "numbers"))
    assert list(connection.execute(query, {"numbers": "[1,4,9]"}).scalars()) == ["a", "d"]
    assert list(connection.execute(query, {"numbers": "[]"}).scalars()) == []


def in_words_of(dialect, where):
    return " ".join(str(select(things.c.id).where(where).compile(dialect=dialect)).split())


def test_each_dialect_has_its_own_words():
    numbers, names, colours = is_among(things.c.id, "n"), is_among(things.c.name, "n"), has_entry(things.c.colours, "x")
    assert "FROM json_each(?)" in in_words_of(sqlite.dialect(), numbers)
    dialect = postgresql.dialect()
    texts = "json_array_elements_text(CAST(%(n)s::VARCHAR AS JSON))"
    assert f"FROM {texts} AS" in in_words_of(dialect, names)
    # What is compared with a number is one: PostgreSQL compares no text with it.
    assert f"CAST(value AS BIGINT) AS value FROM {texts}) AS" in in_words_of(dialect, numbers)
    assert "json_array_elements_text(CAST(things.colours AS JSON))" in in_words_of(dialect, colours)
