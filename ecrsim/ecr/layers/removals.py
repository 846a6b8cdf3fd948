"""Taking blobs out of the store beside pushes, with no transaction open while the store is at work.

A collection names the blobs that it is about to delete in a property of the database, in the write transaction that
sees that no row names them, and clears the property when they are gone. Both change the property. A push reads it
before it puts bytes in place, and again in the transaction of the layer's row: bytes that may have been deleted in
between are put in place once more.

The right `blob-removal` is held from the first transaction to the second. A push that finds its blob in the property
waits for that right, and clears a property that a killed collection left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from ecrsim.core.ownership import blob_names
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.runtime import Runtime

_PROPERTY = "blobs:leaving"
_RIGHT = "blob-removal"


def leaving(connection: Connection) -> str:
    """The number of changes so far and the digests that are being deleted, as one text; empty before the first."""
    return get_property(connection, _PROPERTY) or ""


def _set(connection: Connection, digests: Collection[str]) -> None:
    number = int(leaving(connection).partition(" ")[0] or 0) + 1
    set_property(connection, _PROPERTY, " ".join([str(number), *digests]))


@contextmanager
def removal(runtime: Runtime, digests: Collection[str], *, of_named: bool = False) -> Iterator[Collection[str]]:
    """The blobs that may be taken out of the store inside the block: no push relies on their bytes meanwhile.

    Those alone that no row names, unless `of_named`: damaged ones go whoever names them.
    """
    with runtime.database.exclusive(_RIGHT):
        with runtime.database.write() as connection:
            named = set() if of_named else blob_names.among(connection, digests)
            going = [digest for digest in digests if digest not in named]
            _set(connection, going)
        try:
            yield going
        finally:
            with runtime.database.write() as connection:
                _set(connection, ())


def await_removal(runtime: Runtime) -> None:
    """Return when no removal is under way that was under way before."""
    with runtime.database.exclusive(_RIGHT), runtime.database.write() as connection:
        _set(connection, ())
