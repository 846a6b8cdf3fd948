"""Documents that a user gives in a file, as JSON or TOML: obeyed once for each content."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from ecrsim.core.db import Database
from ecrsim.core.digest import digest_of
from ecrsim.core.properties import get_property, set_property


def obey_once(
    database: Database,
    file: str,
    name: str,
    obey: Callable[[Connection, dict[str, Any]], object],
    error: type[ValueError],
) -> None:
    """Let `obey` have the document, unless it had the same the last time; `name` is the property that remembers it.

    `error`, which `obey` raises as well, when the file cannot be read or is no object. Nothing is changed then.
    """
    try:
        content = Path(file).read_bytes()
    except OSError as failure:
        raise error(f"{file} cannot be read: {failure.strerror}") from failure
    digest = digest_of(content)
    with database.write() as connection:
        if get_property(connection, name) == digest:
            return
        try:
            obey(connection, _parsed(content, error))
        except error as failure:
            raise error(f"{file}: {failure}") from None
        set_property(connection, name, digest)


def refuse_doubles(what: str, names: Iterable[str], error: type[ValueError]) -> None:
    """Raise `error` for the first name that stands twice: `the target a is there twice`."""
    seen = set()
    for name in names:
        if name in seen:
            raise error(f"the {what} {name} is there twice")
        seen.add(name)


def _parsed(content: bytes, error: type[ValueError]) -> dict[str, Any]:
    try:
        document = orjson.loads(content) if content.lstrip().startswith(b"{") else tomllib.loads(content.decode())
    except (ValueError, RecursionError) as failure:  # of TOML also numbers without end, and nesting
        raise error(f"it is neither JSON nor TOML: {failure}") from None
    if not isinstance(document, dict):
        raise error("it is not an object")
    return document
