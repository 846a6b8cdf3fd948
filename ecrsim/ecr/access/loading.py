"""What is done about principals when nobody asks: their file is read at the start, ended sessions are forgotten."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import delete, insert, select

from ecrsim.core.clock import SECOND
from ecrsim.core.db import properties
from ecrsim.core.digest import digest_of
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.access.directory import DirectoryError, end_sessions, replace_all

_LOADED = "principals:generation"


def load_principals(runtime: Runtime) -> None:
    """Make the file's principals the known ones, once for each content. DirectoryError when it cannot be."""
    file = runtime.config.principals
    if not file:
        return
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise DirectoryError(f"{file} cannot be read: {error.strerror}") from error
    digest = digest_of(content)
    with runtime.database.write() as connection:
        query = select(properties.c.value).where(properties.c.name == _LOADED)
        if connection.execute(query).scalar() == digest:
            return
        try:
            replace_all(connection, _document(file, content), runtime.config.account, runtime.config.region)
        except DirectoryError as error:
            raise DirectoryError(f"{file}: {error}") from None
        connection.execute(delete(properties).where(properties.c.name == _LOADED))
        connection.execute(insert(properties).values(name=_LOADED, value=digest))


def forget_ended_sessions(runtime: Runtime) -> int:
    """A session's key stays for as long as a registry token that was given to it may be good."""
    before = runtime.clock.now() - runtime.config.token_lifetime * SECOND
    with runtime.database.write() as connection:
        return end_sessions(connection, before)


def _document(file: str, content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content) if content.lstrip().startswith(b"{") else tomllib.loads(content.decode())
    except (orjson.JSONDecodeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DirectoryError(f"it is neither JSON nor TOML: {error}") from None
    if not isinstance(document, dict):
        raise DirectoryError("it is not an object")
    return document
