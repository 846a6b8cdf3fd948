"""Whether the bytes of a layer are what its digest says, and what is remembered of those that are not.

A file of the right size may still hold the wrong bytes: disks lose some. Whoever finds that moves the file aside, into
`damaged/` of the store. The layer is then unknown, as `service.stored_size` has it, a client that asks for it pushes it
again, and nothing is lost that was not lost before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from ecrsim.blobs.base import CHUNK, BlobDamaged, BlobNotFound
from ecrsim.blobs.names import digest_in
from ecrsim.core.errors import KmsException
from ecrsim.core.facts import record
from ecrsim.core.ownership import batches, blob_names
from ecrsim.core.query import Query
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.layers.events import LayerDamaged
from ecrsim.ecr.layers.removals import removal
from ecrsim.ecr.layers.tables import STORED_NAME, WITH_KEYS, layer_faults, layers
from ecrsim.ecr.repositories.tables import Repository, repositories

#: Each with what it means.
PROBLEMS = {
    "missing": "its file is gone",
    "damaged": "its bytes have another digest",
    "unreadable": "its file cannot be read",
    "locked": "its key cannot be used, and nothing is known of its bytes",
}

_HOLDERS = Query(
    select(repositories)
    .select_from(WITH_KEYS.join(repositories, layers.c.repository_id == repositories.c.id))
    .where(layers.c.layer_digest == bindparam("layer_digest"), bindparam("name") == STORED_NAME)
    .order_by(repositories.c.id),
    Repository,
)

#: The cost of opening a file, in bytes read.
_OPENING = 4096

#: Called with the bytes that were read; may wait, and raises to give up.
Pace = Callable[[int], None]


class Fault(NamedTuple):
    """`layer_digest` is the name in the store. `found_at` in epoch milliseconds, of the real time."""

    layer_digest: str
    problem: str
    found_at: int


def at_once(_: int) -> None:
    """Read at the speed of the disk."""


def problem_of(blob: BinaryIO, digest: str, pace: Pace = at_once) -> str | None:
    """Read an open blob from its start and say what is wrong with it."""
    algorithm, _, wanted = digest.partition(":")
    computed = hashlib.new(algorithm)
    try:
        blob.seek(0)
        pace(_OPENING)
        while chunk := blob.read(CHUNK):
            computed.update(chunk)
            pace(len(chunk))
    except BlobDamaged:
        return "damaged"
    except OSError:
        return "unreadable"
    return None if computed.hexdigest() == wanted else "damaged"


def examine(runtime: Runtime, digest: str, pace: Pace = at_once, *, aside: bool) -> str | None:
    """The problem of the blob of this name; None when it is sound. With `aside`, a wrong one is moved away and noted.

    No transaction may be open.
    """
    try:
        blob = runtime.blobs.open(digest)
    except KmsException:
        return "locked"
    except BlobDamaged:
        # Not even its header is what it was.
        problem: str | None = "damaged"
        if aside and runtime.keyed_blobs is not None:
            with runtime.keyed_blobs.open_file(digest) as file:
                if not _note(runtime, digest, "damaged", file):
                    problem = None
    except BlobNotFound:
        problem = "missing"
        if aside and not _note(runtime, digest, "missing", None):
            problem = None
    except OSError:
        problem = "unreadable"
        # It stays where it is: nothing is known of its bytes, and rights can be given back.
        if aside and not _note(runtime, digest, "unreadable", None):
            problem = None
    else:
        with blob:
            problem = problem_of(blob, digest_in(digest), pace)
            # Once more: memory errs as well, and what is moved away is pulled no more.
            if problem is not None and aside:
                problem = problem_of(blob, digest_in(digest))
                if problem is not None and not _note(runtime, digest, problem, blob):
                    problem = None
    return problem


def _note(runtime: Runtime, digest: str, problem: str, blob: BinaryIO | None) -> bool:
    """Move the blob away, remember the fault and tell of it. False when a push has put another file there meanwhile.

    The file is moved first: a process that dies before it remembers the fault leaves a layer that is found missing.
    """
    runtime.ownership.check()
    if blob is None:
        if runtime.blobs.stat(digest) is not None:
            return False
    else:
        with removal(runtime, [digest], of_named=True) as leaving:
            if not any(runtime.blobs.set_aside(each, blob) for each in leaving):
                return False
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call, call.writing():
        known = select(layer_faults.c.layer_digest).where(layer_faults.c.layer_digest == digest)
        if call.connection.execute(known).first() is None:
            found_at = runtime.clock.unturned()
            call.connection.execute(
                insert(layer_faults).values(layer_digest=digest, problem=problem, found_at=found_at)
            )
            for repository in _HOLDERS.all(call.connection, layer_digest=digest_in(digest), name=digest):
                record(call, LayerDamaged(repository, digest_in(digest), problem))
    return True


def forget(connection: Connection, digests: list[str]) -> None:
    """They were found sound, or pushed again."""
    connection.execute(delete(layer_faults).where(layer_faults.c.layer_digest.in_(digests)))


def faults(runtime: Runtime, limit: int = 1000) -> list[Fault]:
    """The faults that still hold: layers neither pushed again since, nor given up by every repository."""
    found: list[Fault] = []
    with runtime.database.read() as connection:
        known = {row[0]: Fault(*row) for row in connection.execute(select(layer_faults))}
        for names in batches(iter(sorted(known))):
            named = blob_names.among(connection, names)
            found += [known[name] for name in names if name in named]
            if len(found) >= limit:
                break
    return [fault for fault in found[:limit] if runtime.blobs.stat(fault.layer_digest) is None]
