"""Aliases of public registries: the names by which clients pull from them.

The first public repository of an account gives it its default alias; AWS approves others on request. All that are
ACTIVE lead to the registry; the primary one stands in its URIs.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from ecrsim.core.ids import stable_uuid
from ecrsim.core.query import Query, upsert
from ecrsim.core.registry import PUBLIC_REGION, Registry
from ecrsim.ecr.registries.tables import registry_aliases


class Alias(NamedTuple):
    """A row of `registry_aliases`. `status`: ACTIVE, PENDING or REJECTED."""

    name: str
    registry_id: str
    status: str
    is_primary: bool
    is_default: bool


_BY_NAME = Query(select(registry_aliases).where(registry_aliases.c.name == bindparam("name")), Alias)
_OF_ACCOUNT = Query(
    select(registry_aliases)
    .where(registry_aliases.c.registry_id == bindparam("account"))
    .order_by(registry_aliases.c.is_default.desc(), registry_aliases.c.name),
    Alias,
)
_ALL = Query(select(registry_aliases).order_by(registry_aliases.c.name), Alias)


def aliases_of(connection: Connection, registry: Registry) -> list[Alias]:
    """The default one first, the others by name."""
    return _OF_ACCOUNT.all(connection, account=registry.account)


def all_aliases(connection: Connection) -> list[Alias]:
    """Of all registries, by name."""
    return _ALL.all(connection)


def find_alias(connection: Connection, name: str) -> Alias | None:
    return _BY_NAME.first(connection, name=name)


def registry_by_alias(connection: Connection, name: str) -> Registry | None:
    """The public registry that an ACTIVE alias leads to."""
    alias = find_alias(connection, name)
    return Registry(alias.registry_id, PUBLIC_REGION, "public") if alias and alias.status == "ACTIVE" else None


def primary_alias(connection: Connection, registry: Registry) -> str:
    """The one that URIs are made with; the empty text where the registry has none yet."""
    return next((each.name for each in aliases_of(connection, registry) if each.is_primary), "")


def give_default_alias(connection: Connection, registry: Registry) -> None:
    """Unless it has one. Primary, where no other is."""
    known = aliases_of(connection, registry)
    if any(each.is_default for each in known):
        return
    attempt = 0
    while find_alias(connection, name := _default_name(registry.account, attempt)) is not None:
        attempt += 1
    is_primary = not any(each.is_primary for each in known)
    put_alias(connection, Alias(name, registry.account, "ACTIVE", is_primary, is_default=True))


def _default_name(account: str, attempt: int) -> str:
    """Four times a letter and a digit (inferred from names that were seen), the same each time for an account."""
    number = uuid.UUID(stable_uuid("alias", account, str(attempt))).int
    text = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        number, digit = divmod(number, 10)
        text += f"{chr(ord('a') + letter)}{digit}"
    return text


def put_alias(connection: Connection, alias: Alias) -> None:
    """Make it one of the registry's, or change it. A primary one takes the place of the one that was."""
    if alias.is_primary:
        others = registry_aliases.c.registry_id == alias.registry_id
        connection.execute(update(registry_aliases).where(others).values(is_primary=False))
    values = alias._asdict()
    upsert(connection, registry_aliases, {"name": values.pop("name")}, values)
