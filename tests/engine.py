"""Which engine the tests run on: `TEST_ENGINE`, sqlite or postgresql (`scripts/test --engine`).

On PostgreSQL every ecrsim that would keep its database in its data directory has a schema of that directory instead,
in a cluster that is started once for the whole run.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ecrsim.config import Config
from tests.postgresql import PROGRAMS, Cluster

ENGINE = os.environ.get("TEST_ENGINE") or "sqlite"
#: The server of the run, for its worker processes too.
_SERVER = "TEST_DATABASE"


def database_url(data_dir: Path) -> str:
    """The URL of the database of an ecrsim with this data directory."""
    if ENGINE == "sqlite":
        return f"sqlite:///{data_dir / 'ecrsim.db'}"
    name = hashlib.sha256(os.path.realpath(data_dir).encode()).hexdigest()[:20]
    return f"{os.environ[_SERVER]}?schema=t_{name}"


def settings(data_dir: Path) -> dict[str, str]:
    """The variables that give a process with this data directory its database."""
    return {} if ENGINE == "sqlite" else {"ECRSIM_DATABASE_URL": database_url(data_dir)}


def number_anew(connection: Connection) -> None:
    """Let new rows be numbered from 1 again, as in a new database."""
    if ENGINE == "sqlite":
        connection.exec_driver_sql("DELETE FROM sqlite_sequence")
    else:
        connection.exec_driver_sql(
            "SELECT setval(quote_ident(schemaname) || '.' || quote_ident(sequencename), 1, false) "
            "FROM pg_sequences WHERE schemaname = current_schema()"
        )


def soon(is_so: Callable[[], bool]) -> None:
    """Assert it, at once on SQLite, where processes share memory; within a second where a server tells the others."""
    deadline = time.monotonic() + (1 if ENGINE != "sqlite" else 0)
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert is_so()


def use_postgresql(config: pytest.Config) -> None:
    if _SERVER not in os.environ:
        if not PROGRAMS:
            pytest.exit("there is no PostgreSQL on this machine: apt-get install postgresql", 1)
        cluster = Cluster()
        os.environ[_SERVER] = cluster.url
        config.add_cleanup(cluster.close)
    Config.database_url_in = _url_in  # type: ignore[method-assign]


_chosen = Config.database_url_in


def _url_in(self: Config, data_dir: Path) -> str:
    return _chosen(self, data_dir) if self.database_url else database_url(data_dir)
