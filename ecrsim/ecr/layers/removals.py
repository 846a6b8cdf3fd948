"""Taking blobs out of the store beside pushes, with no transaction open while the store is at work.

A collection names the blobs that it is about to delete in a property of the database, in the write transaction that
sees that no row names them, and clears the property when they are gone. Both change the property. A push reads it
before it puts bytes in place, and again in the transaction of the layer's row: bytes that may have been deleted in
between are put in place once more.

The right `blob-removal` is held from the first transaction to the second. A push that finds its blob in the property
waits for that right, and clears a property that a killed collection left. A collection may lose the right beside a
server with its connection (`core/db.py: Held`): it then deletes no more, and leaves the property to whoever set it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import takewhile

from sqlalchemy import Connection

from ecrsim.core.ownership import blob_names
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.runtime import Runtime

_PROPERTY = "blobs:leaving"
_RIGHT = "blob-removal"


def leaving(connection: Connection) -> str:
    """The number of changes so far and the digests that are being deleted, as one text; empty before the first."""
    return get_property(connection, _PROPERTY) or ""


def _set(connection: Connection, digests: Collection[str]) -> str:
    number = int(leaving(connection).partition(" ")[0] or 0) + 1
    text = " ".join([str(number), *digests])
    set_property(connection, _PROPERTY, text)
    return text


@contextmanager
def removal(runtime: Runtime, digests: Collection[str], *, of_named: bool = False) -> Iterator[Iterator[str]]:
    """The blobs that may be taken out of the store inside the block: no push relies on their bytes meanwhile.

    Those alone that no row names, unless `of_named`: damaged ones go whoever names them. Each is to be taken out when
    it comes: none does any more once the right was lost.
    """
    held = runtime.database.hold(_RIGHT)
    if held is None:
        raise RuntimeError("who waits for a right has it in the end")
    try:
        with runtime.database.write() as connection:
            named = set() if of_named else blob_names.among(connection, digests)
            going = [digest for digest in digests if digest not in named]
            mine = _set(connection, going)
        try:
            yield takewhile(lambda _: held.is_held(), going)
        finally:
            with runtime.database.write() as connection:
                if leaving(connection) == mine:
                    _set(connection, ())
    finally:
        held.release()


def await_removal(runtime: Runtime) -> None:
    """Return when no removal is under way that was under way before."""
    with runtime.database.exclusive(_RIGHT), runtime.database.write() as connection:
        _set(connection, ())
