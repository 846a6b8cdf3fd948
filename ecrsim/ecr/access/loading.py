"""Principals at the start and over time: their file is read, ended sessions are forgotten."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from ecrsim.core.durations import SECOND
from ecrsim.core.given_files import obey_once
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.access.directory import DirectoryError, end_sessions, replace_all

_LOADED = "principals:generation"


def load_principals(runtime: Runtime) -> None:
    """Make the file's principals the known ones, once for each content. DirectoryError when it cannot be."""
    config = runtime.config

    def obey(connection: Connection, document: dict[str, Any]) -> None:
        replace_all(connection, document, config.account, config.region)

    if config.principals:
        obey_once(runtime.database, config.principals, _LOADED, obey, DirectoryError)


def forget_ended_sessions(runtime: Runtime) -> int:
    """A session's key stays for as long as a registry token that was given to it may be good."""
    before = runtime.clock.now() - runtime.config.token_lifetime * SECOND
    with runtime.database.write() as connection:
        return end_sessions(connection, before)
