"""Properties of the database: texts by name, for what is one value and needs no table."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from ecrsim.core.db import properties
from ecrsim.core.query import Change, Query, upsert

_IS_NAMED = properties.c.name == bindparam("name")
_VALUE = Query(select(properties.c.value).where(_IS_NAMED), str)
_DELETE = Change(delete(properties).where(_IS_NAMED))


def get_property(connection: Connection, name: str) -> str | None:
    """The value; None when there is no property of the name."""
    return _VALUE.first(connection, name=name)


def set_property(connection: Connection, name: str, value: str) -> None:
    """Set the property, in the open write transaction, whoever sets it beside this one."""
    upsert(connection, properties, {"name": name}, {"value": value})


def delete_property(connection: Connection, name: str) -> None:
    """Forget the property, in the open write transaction."""
    _DELETE.run(connection, name=name)
