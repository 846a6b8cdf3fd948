"""`ecrsim db current` and `ecrsim db upgrade`: which version a database has, and the way to this release's."""

from __future__ import annotations

import argparse
import sys

from ecrsim.config import Config
from ecrsim.core.migrations import SCHEMA_VERSION
from ecrsim.core.runtime import Runtime
from ecrsim.storage import StorageError, stored

#: The exit code where an upgrade is due.
_DUE = 3


def current(config: Config, _: argparse.Namespace) -> int:
    """Say the version. 0: it is this release's, 3: an upgrade is due. StorageError for one that cannot be read."""
    with stored(config) as runtime:
        name, found = runtime.database.name, _version_of(runtime)
    is_due = found != SCHEMA_VERSION
    then = "; `ecrsim db upgrade` migrates it, and so does the next start" if is_due else ""
    sys.stdout.write(f"{name} has schema version {found}, this release reads version {SCHEMA_VERSION}{then}\n")
    return _DUE if is_due else 0


def upgrade(config: Config, _: argparse.Namespace) -> int:
    """Migrate the database where that is due. StorageError for one that cannot be."""
    with stored(config) as runtime:
        name, found = runtime.database.name, _version_of(runtime)
        runtime.database.open()
    was = f"{SCHEMA_VERSION} already" if found == SCHEMA_VERSION else f"{SCHEMA_VERSION} now; it had version {found}"
    sys.stdout.write(f"{name} has schema version {was}\n")
    return 0


def _version_of(runtime: Runtime) -> int:
    found = runtime.database.schema_version()
    if found is None:
        raise StorageError(f"the database {runtime.database.name} is empty: the next start makes it what it is to be")
    return found
