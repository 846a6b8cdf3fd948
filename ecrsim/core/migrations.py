"""How a database of an earlier version becomes one of this version: by Alembic's revisions, one for each version.

The version of a database is its property `schema_version`, and that alone: releases that know nothing of Alembic read
it to refuse a database that is newer than they are, and a second record could say something else. So there is no table
`alembic_version`; the id of a revision is the version that it leads to (`core/revisions`).

All revisions of an upgrade run in one transaction. Tables that are missing are made after them (`core/db.py`).
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

#: Raised by one with each revision. A database of a lower version is migrated, one of a higher version is refused.
SCHEMA_VERSION = 6
#: The first version that can be migrated.
OLDEST_VERSION = 1

REVISIONS = Path(__file__).with_name("revisions")


def upgrade(connection: Connection, version: int) -> None:
    """Bring the tables from this version to SCHEMA_VERSION, in the open transaction."""
    # Imported when a migration is due: 150 ms and 11 MB that every other start does without.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(REVISIONS.parent), version_locations=[str(REVISIONS)])
    due = list(scripts.iterate_revisions(str(SCHEMA_VERSION), str(version)))
    with Operations.context(MigrationContext.configure(connection)):
        for script in reversed(due):
            script.module.upgrade()
            connection.execute(
                text("UPDATE properties SET value = :version WHERE name = 'schema_version'"),
                {"version": script.revision},
            )


def has_table(connection: Connection, name: str) -> bool:
    """Whether there is the table already. One that is missing is made as it is now, so a revision passes it over."""
    return name in inspect(connection).get_table_names()
