"""`ecrsim db copy`: everything of one database and its blob store in another database and another store.

Each side is a database, a blob store, and a data directory with what lies beside them: the key of the secrets, the root
of signatures, the token of the admin surface, advisories, the authority of HTTPS. The source is read and never changed.

The destination is empty at first. Its database and its store get an id of their own, so that neither of the two is ever
taken for the other's. Bytes come first, each read again where they came to; then all rows, numbers and properties in
one transaction, at whose end they are read again and compared. A copy that is killed leaves a destination that no
server starts on, and the same command goes on with it: bytes that are right are not brought again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Table, select

from ecrsim.blobs import private
from ecrsim.core.db import properties
from ecrsim.core.durations import SECOND
from ecrsim.core.migrations import SCHEMA_VERSION
from ecrsim.core.nodes import known
from ecrsim.core.ownership import Names, blob_names, upload_names
from ecrsim.core.properties import delete_property, get_property, set_property
from ecrsim.core.runtime import COPYING, Runtime, is_encrypted
from ecrsim.databases.content import BytesMoved, copy_blobs, copy_uploads, forget_others
from ecrsim.databases.rows import TableContent, content_of, copy_table, tables, unknown_tables
from ecrsim.values import CommandFailed

#: Properties that are each database's own: its version, its store, its key, its directory, what it was doing.
_OWN = (
    *("schema_version", "store:id", "store:opened", "secret:key-id", "copy:of"),
    *("data-dir:shared", "clock:started", "blobs:leaving"),
)
#: Words that the processes over one database share (`Database.word`): each start sets them.
_WORDS = "word:"
#: Of a destination that is done: the id of what it is a copy of.
_COPIED = "copy:of"
_STORE_ID, _KEY_ID = "store:id", "secret:key-id"
#: What lies beside a database and is neither a lock nor on its way.
_BESIDE = (*(name for name in private.OWN if not name.endswith((".lock", "-journal"))), "tls/ca.pem", "tls/ca-key.pem")


class CopyRefused(CommandFailed):
    """It was not copied, or not all of it; the text says why."""


class CopyDone(NamedTuple):
    """What the destination has now. `was_done`: it had all of it before, by the same copy."""

    rows: int
    blobs: BytesMoved
    uploads: BytesMoved
    files: list[str]
    was_done: bool


def copy(source: Runtime, destination: Runtime) -> CopyDone:
    """Copy everything. CopyRefused, and what database and store raise. Neither of the two is open."""
    identity = _identity(source, destination)
    was_done = _was_done(destination, identity)
    files = _copy_files(source, destination)
    destination.database.open(lambda: {COPYING: identity})
    with closing(destination.ownership) as ownership:
        ownership.open(destination.clock.unturned() / SECOND)
        _begin(source, destination, identity, was_done=was_done)
        sessions = sorted(set(_named(source, upload_names)))
        forget_others(destination.blobs, set(sessions))
        blobs = copy_blobs(source.blobs, destination.blobs, _named(source, blob_names))
        uploads = copy_uploads(source.blobs, destination.blobs, sessions)
        rows = _compare(source, destination) if was_done else _copy_rows(source, destination, identity)
    if _is_served(source):
        raise CopyRefused(f"{source.database.name} was served meanwhile: the copy may lack what was done since")
    return CopyDone(rows, blobs, uploads, files, was_done)


def _identity(source: Runtime, destination: Runtime) -> str:
    """The id of the source. CopyRefused where it cannot be copied now, or not there."""
    name = source.database.name
    if name == destination.database.name:
        raise CopyRefused(f"the database {name} cannot be copied onto itself")
    if _store(source) == _store(destination):
        raise CopyRefused(f"the blob store {_store(source)} cannot be copied onto itself")
    for each in (source, destination):
        if each.keyed_blobs is not None or is_encrypted(each.database):
            raise CopyRefused(
                f"{_store(each)} is encrypted: stop the ecrsim that serves it, and copy its data directory as it is"
            )
    version = source.database.schema_version()
    if version != SCHEMA_VERSION:
        raise CopyRefused(f"the database {name} has schema version {version}: run `ecrsim db upgrade` first")
    if _is_served(source):
        raise CopyRefused(f"the blob store {_store(source)} is in use: stop the ecrsim that serves it first")
    with source.database.read() as connection:
        if get_property(connection, COPYING) is not None:
            raise CopyRefused(f"the database {name} is itself a copy that is not done")
        found, unknown = get_property(connection, _STORE_ID), unknown_tables(connection)
    if unknown:
        raise CopyRefused(f"the database {name} has tables that nobody here knows: {', '.join(unknown)}")
    if found is None:
        raise CopyRefused(f"the database {name} has no blob store: was it ever served?")
    return found


def _is_served(runtime: Runtime) -> bool:
    """Whether anybody has it open on this machine, or, where machines share the database, on another one."""
    if runtime.ownership.is_in_use():
        return True
    return runtime.database.is_shared and any(node["status"] != "lost" for node in known(runtime))


def _store(runtime: Runtime) -> str:
    place = runtime.config.blob_store_in(runtime.data_dir)
    return place if place.startswith("s3://") else str(Path(place).resolve())


def _was_done(destination: Runtime, identity: str) -> bool:
    """Whether the destination is a copy of this source already. CopyRefused unless it is one that was begun."""
    database = destination.database
    if not database.exists() or database.schema_version() is None:
        return False
    with database.read() as connection:
        if get_property(connection, COPYING) == identity:
            return False
        if get_property(connection, _COPIED) == identity:
            return True
    raise CopyRefused(f"the database {database.name} is there already: a copy is made where there is none")


def _copy_files(source: Runtime, destination: Runtime) -> list[str]:
    """Copy what lies in the data directory beside the database. CopyRefused where something else has the name."""
    private.make_directory(destination.data_dir)
    found = [name for name in _BESIDE if (source.data_dir / name).is_file()]
    for name in found:
        old, new = source.data_dir / name, destination.data_dir / name
        if not new.exists():
            private.make_directory(new.parent)
            # Whole or absent, however this ends.
            aside = new.with_name(f"{new.name}.copied")
            aside.unlink(missing_ok=True)
            private.make_file(aside)
            shutil.copyfile(old, aside)
            aside.replace(new)
        elif new.read_bytes() != old.read_bytes():
            raise CopyRefused(f"{new} is there, and is another one than {old}: choose another data directory")
    private.flush_names(destination.data_dir)
    return found


def _begin(source: Runtime, destination: Runtime, identity: str, *, was_done: bool) -> None:
    """CopyRefused where the key is another one, or somebody has used the destination meanwhile."""
    with source.database.read() as reading, destination.database.read() as written:
        if get_property(reading, _KEY_ID) != get_property(written, _KEY_ID):
            raise CopyRefused(
                f"{destination.data_dir / 'secret.key'} is not the key that the secrets in {source.database.name} are "
                "sealed with"
            )
        if get_property(written, _COPIED if was_done else COPYING) != identity:
            raise CopyRefused(f"the database {destination.database.name} is used by somebody else as well")


def _named(runtime: Runtime, names: Names) -> Iterator[str]:
    """All names of the kind, with no transaction open while bytes are moved."""
    return chain.from_iterable(names.pages(runtime.database.read))


def _copy_rows(source: Runtime, destination: Runtime, identity: str) -> int:
    """Everything that is a row, or none of it. How many there are."""
    with destination.database.write() as written:
        with source.database.read() as reading:
            content = {table: _copy_table(reading, written, table) for table in tables()}
            destination.database.go_on_from(written, source.database.last_numbers(reading))
            own = _properties(reading)
        for name, value in own.items():
            set_property(written, name, value)
        delete_property(written, COPYING)
        set_property(written, _COPIED, identity)
        for table, expected in content.items():
            if content_of(written, table) != expected:
                raise CopyRefused(f"the rows of {table.name} were copied, and are not read again as they were written")
    return sum(each.rows for each in content.values())


def _copy_table(reading: Connection, written: Connection, table: Table) -> TableContent:
    if written.execute(select(table).limit(1)).first() is not None:
        raise CopyRefused(f"the destination is not empty any more: {table.name} has rows")
    return copy_table(reading, written, table)


def _properties(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(properties.c.name, properties.c.value)).all()
    return {name: value for name, value in rows if name not in _OWN and not name.startswith(_WORDS)}


def _compare(source: Runtime, destination: Runtime) -> int:
    """How many rows both have. CopyRefused when they are not the same any more."""
    total = 0
    for table in tables():
        with source.database.read() as reading:
            content = content_of(reading, table)
        with destination.database.read() as written:
            if content_of(written, table) != content:
                raise CopyRefused(
                    f"the database {destination.database.name} was copied from this one before, and {table.name} is "
                    "not the same in both any more"
                )
        total += content.rows
    return total
