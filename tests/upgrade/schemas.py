"""What a database consists of, in a form that can be compared: on every engine, whatever the order of columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect


def described(connection: Connection) -> dict[str, Any]:
    """By table: its columns with types and defaults, its keys and its indexes."""
    found = inspect(connection)
    return {
        table: {
            "columns": {
                each["name"]: (str(each["type"]), each["nullable"], _default(each["default"]))
                for each in found.get_columns(table)
            },
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(each["column_names"] for each in found.get_unique_constraints(table)),
            "references": sorted(
                (each["constrained_columns"], each["referred_table"], each["referred_columns"], each["options"])
                for each in found.get_foreign_keys(table)
            ),
            "indexes": {
                each["name"]: (each["column_names"], bool(each["unique"]), _where(each["dialect_options"]))
                for each in found.get_indexes(table)
                if "duplicates_constraint" not in each
            },
            **_of_sqlite(connection, table),
        }
        for table in found.get_table_names()
    }


def _default(text: str | None) -> str | None:
    """Without PostgreSQL's cast, and without the name of a sequence, which keeps that of a table before."""
    if text is None:
        return None
    return "next of a sequence" if text.startswith("nextval(") else text.partition("::")[0]


def _where(options: dict[str, Any]) -> str | None:
    """The condition of a partial index."""
    return next((str(value) for name, value in options.items() if name.endswith("_where")), None)


def _of_sqlite(connection: Connection, table: str) -> dict[str, Any]:
    """What SQLAlchemy does not tell of SQLite's tables."""
    if connection.dialect.name != "sqlite":
        return {}
    text = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).scalar_one()
    return {name: name in text for name in ("AUTOINCREMENT", "WITHOUT ROWID")}
