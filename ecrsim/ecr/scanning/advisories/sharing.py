"""The advisories of nodes over one database: each node has the file that was published last.

A change that a node makes is published at once; one that `ecrsim advisories import` makes there, and one of another
node, within two seconds (`household.py`). Of two changes at once on two nodes, the one that is published last is what
all have: a running ecrsim looks for a newer one before it changes anything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Column, Integer, LargeBinary, String, Table, bindparam, delete, func, select

from ecrsim.blobs import private
from ecrsim.core.columns import metadata
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning.advisories import schema
from ecrsim.ecr.scanning.advisories.replacing import FILE, alone, check, replace

advisory_pieces = Table(
    "advisory_pieces",
    metadata,
    Column("revision", String(36), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

#: The file that names the revision that this node has in common with the database.
SHARED, _FETCHED = "advisories.shared", "advisories.fetched"
_PROPERTY = "advisories"
#: Bytes of a row.
_PIECE = 1 << 20
#: Seconds that a node waits for a change that another process makes to its file.
_PATIENCE = 10.0


class _Extent(NamedTuple):
    pieces: int
    first: int | None


_IS_REVISION = advisory_pieces.c.revision == bindparam("revision")
_EXTENT = Query(
    select(func.count().label("pieces"), func.min(advisory_pieces.c.place).label("first")).where(_IS_REVISION), _Extent
)
_CONTENT = Query(
    select(advisory_pieces.c.content).where(_IS_REVISION, advisory_pieces.c.place == bindparam("place")), bytes
)
_INSERT = Addition(advisory_pieces, "revision", "place", "content")
_DROP = Change(delete(advisory_pieces).where(_IS_REVISION))
_DROP_OTHERS = Change(delete(advisory_pieces).where(advisory_pieces.c.revision != bindparam("revision")))


class _Published(NamedTuple):
    """`first`: of a file that another process has dropped while it was published the first pieces are missing."""

    revision: str
    pieces: int
    first: int | None

    @property
    def is_whole(self) -> bool:
        return self.first == 0


def share(runtime: Runtime) -> None:
    """Publish what was changed here, or fetch what was published elsewhere. AdvisoriesBusy, AdvisoriesDamaged.

    ServiceUnavailableException when the database cannot be had. Nothing where no machine shares it.
    """
    if runtime.database.is_shared and not _is_in_step(runtime):
        with alone(runtime.data_dir, _PATIENCE):
            bring_into_step(runtime)


def bring_into_step(runtime: Runtime) -> None:
    """`share` for who has the right to change the file already."""
    if not runtime.database.is_shared:
        return
    directory = runtime.data_dir
    with runtime.database.exclusive("advisories", wait=True):
        here, there = revision_of(directory / FILE), _published(runtime)
        if here is not None and here != _in_common(directory):
            _publish(runtime, here)
        elif there is not None and there.revision != here:
            _fetch(runtime, there)
        elif there is not None and here is not None and not there.is_whole:
            _publish(runtime, here)  # a reset took the rows, or one who published beside this one


def _is_in_step(runtime: Runtime) -> bool:
    here, there = revision_of(runtime.data_dir / FILE), _published(runtime)
    if there is None:
        return here is None
    return here == there.revision == _in_common(runtime.data_dir) and there.is_whole


def revision_of(file: Path) -> str | None:
    """The revision of a file of advisories; None when there is none. AdvisoriesDamaged."""
    if not file.exists():
        return None
    check(file)
    with contextlib.closing(schema.open_to_read(file)) as connection:
        return str(connection.execute("SELECT value FROM properties WHERE name = 'revision'").fetchone()[0])


def _in_common(directory: Path) -> str | None:
    try:
        return (directory / SHARED).read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _agree(directory: Path, revision: str) -> None:
    with os.fdopen(private.open_file(directory / SHARED), "w", encoding="ascii") as file:
        file.truncate()
        file.write(revision)


def _published(runtime: Runtime) -> _Published | None:
    with runtime.database.read() as connection:
        revision = get_property(connection, _PROPERTY)
        return None if revision is None else _Published(revision, *_EXTENT.one(connection, revision=revision))


def _publish(runtime: Runtime, revision: str) -> None:
    """In many transactions, so that no writer waits long. Who is killed in between leaves what the next one drops."""
    with runtime.database.write() as connection:
        _DROP.run(connection, revision=revision)
    for place, content in enumerate(_pieces(runtime.data_dir / FILE)):
        with runtime.database.write() as connection:
            _INSERT.run(connection, revision=revision, place=place, content=content)
    with runtime.database.write() as connection:
        set_property(connection, _PROPERTY, revision)
        _DROP_OTHERS.run(connection, revision=revision)
    _agree(runtime.data_dir, revision)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while piece := content.read(_PIECE):
            yield piece


def _fetch(runtime: Runtime, published: _Published) -> None:
    """Take what is published; not when it is replaced meanwhile, or not whole yet: the next look finds another."""
    copy = runtime.data_dir / _FETCHED
    copy.unlink(missing_ok=True)
    try:
        with os.fdopen(private.open_file(copy), "wb") as file:
            for place in range(published.pieces):
                with runtime.database.read() as connection:
                    content = _CONTENT.first(connection, revision=published.revision, place=place)
                if content is None:
                    return
                file.write(content)
        if published.is_whole and revision_of(copy) == published.revision:
            replace(runtime.data_dir, copy)
            _agree(runtime.data_dir, published.revision)
    finally:
        copy.unlink(missing_ok=True)
