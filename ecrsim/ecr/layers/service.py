"""Verbs on layers and layer uploads, for both planes.

Bytes first, rows second: an upload's bytes go to the blob store, and into their place there, with no transaction open.
The row that makes them a layer is written in a write transaction that sees that no collection has deleted them
(`removals.py`). So a layer is never taken from under a push.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from ecrsim.blobs.base import BlobStoreError, DigestMismatch, UploadBusy, UploadNotFound
from ecrsim.core import ids
from ecrsim.core.db import RowConflict
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import (
    InvalidLayerException,
    LimitExceededException,
    RepositoryNotFoundException,
    UploadNotFoundException,
)
from ecrsim.core.misses import at_last, learn
from ecrsim.core.query import Addition, Change, Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime
from ecrsim.ecr.atrest.carrying import carried
from ecrsim.ecr.atrest.service import blobs_of, name_in_store, share_space, stored_layer_size
from ecrsim.ecr.layers import removals, rules
from ecrsim.ecr.layers.tables import layer_faults, layer_uploads, layers
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr.repositories.tables import OF_REGISTRY, Repository, repositories


class Upload(NamedTuple):
    """A row of `layer_uploads`. `expires_at` in epoch milliseconds."""

    upload_id: str
    repository_id: int
    expires_at: int
    part_count: int
    last_part_small: bool
    small_part_inside: bool


class _Layer(NamedTuple):
    layer_size: int
    needed_at: int


_LAYER = Query(
    select(layers.c.layer_size, layers.c.needed_at).where(
        layers.c.repository_id == bindparam("repository_id"), layers.c.layer_digest == bindparam("layer_digest")
    ),
    _Layer,
)
_RECORDED_SIZE = Query(
    select(layers.c.layer_size).where(layers.c.layer_digest == bindparam("layer_digest")).limit(1), int
)
_MENDED = Change(delete(layer_faults).where(layer_faults.c.layer_digest == bindparam("layer_digest")))
_NEED = Change(
    update(layers)
    .where(layers.c.repository_id == bindparam("repository_id"), layers.c.layer_digest == bindparam("layer_digest"))
    .values(needed_at=bindparam("now"))
)
_HOLDERS = Query(
    select(repositories)
    .join(layers, layers.c.repository_id == repositories.c.id)
    .where(layers.c.layer_digest == bindparam("layer_digest"), OF_REGISTRY)
    .order_by(repositories.c.id),
    Repository,
)
_UPLOAD = Query(select(layer_uploads).where(layer_uploads.c.upload_id == bindparam("upload_id")), Upload)
_BEGIN = Addition(layer_uploads, *Upload._fields)
_END = Change(delete(layer_uploads).where(layer_uploads.c.upload_id == bindparam("upload_id")))


def layer_size(call: Call, repository: Repository, layer_digest: str) -> int | None:
    """The size in bytes; None when the repository does not have the layer. For reads that nobody builds upon."""
    row = _LAYER.first(call.connection, repository_id=repository.id, layer_digest=layer_digest)
    return row.layer_size if row else None


def recorded_size(connection: Connection, layer_digest: str) -> int | None:
    """The size that the layer has in whichever repository; None when none has it."""
    return _RECORDED_SIZE.first(connection, layer_digest=layer_digest)


def stored_size(call: Call, repository: Repository, layer_digest: str) -> int | None:
    """As `layer_size`, and None when the store has not that many bytes. For answers that promise the layer."""
    return _if_stored(call, repository, layer_digest, layer_size(call, repository, layer_digest))


def _if_stored(call: Call, repository: Repository, layer_digest: str, size: int | None) -> int | None:
    return size if size is not None and stored_layer_size(call, repository, layer_digest) == size else None


def promise_layer(call: Call, repository: Repository, layer_digest: str) -> int | None:
    """As `stored_size`; the layer is kept for another grace period, since its client will not upload it."""
    row = _LAYER.first(call.connection, repository_id=repository.id, layer_digest=layer_digest)
    if row is None:
        return None
    size, needed_at = row
    if _if_stored(call, repository, layer_digest, size) is None:
        return None
    age, grace = call.now - needed_at, call.runtime.config.gc_grace * SECOND
    if age > grace // 2:
        # A collection may be near, in another process too. It finds the promise, or the pusher finds no layer.
        with call.writing(repository.scope):
            place = {"repository_id": repository.id, "layer_digest": layer_digest}
            kept = _NEED.run(call.connection, now=call.now, **place)
        return size if kept else None
    if age > grace // 8:
        call.runtime.batch.note(_write_promises, (repository.id, layer_digest), call.now)
    return size


def _write_promises(connection: Connection, notes: dict[Any, int]) -> None:
    for (repository_id, layer_digest), now in notes.items():
        _NEED.run(connection, repository_id=repository_id, layer_digest=layer_digest, now=now)


def initiate_upload(call: Call, repository: Repository) -> str:
    """The row of a new upload session, inside a write transaction. Returns its id; `open_upload` comes next.

    KmsException.
    """
    check(call, repository, "push")
    blobs_of(call, repository)  # the repository's keys are there before the first byte is
    upload_id = ids.new_uuid()
    with _repository_may_be_gone():
        _BEGIN.run(
            call.connection,
            upload_id=upload_id,
            repository_id=repository.id,
            expires_at=call.now + call.runtime.config.upload_lifetime * SECOND,
            part_count=0,
            last_part_small=False,
            small_part_inside=False,
        )
    return upload_id


def open_upload(call: Call, repository: Repository, upload_id: str) -> None:
    """Let the blob store take the bytes of a new session, with no transaction open: no writer waits for the store.

    The row is there before, so that a collection, which looks at the store first, never takes the session for garbage.
    """
    try:
        blobs_of(call, repository).create_upload(upload_id)
    except BaseException:
        discard_upload(call, upload_id)
        raise


@contextlib.contextmanager
def _repository_may_be_gone() -> Iterator[None]:
    """For rows of a repository that was looked up before this transaction began: it may have been deleted since."""
    try:
        yield
    except RowConflict:
        raise RepositoryNotFoundException("The repository was deleted in the meantime") from None


def get_upload(call: Call, repository: Repository, upload_id: str) -> Upload:
    """The session, if it is of this repository, not expired, and its bytes are there."""
    upload = _UPLOAD.first(call.connection, upload_id=upload_id)
    if (
        upload is None
        or upload.repository_id != repository.id
        or upload.expires_at <= call.now
        or call.runtime.blobs.upload_size(upload_id) is None
    ):
        raise upload_not_found(repository, upload_id)
    return upload


def upload_not_found(repository: Repository, upload_id: str) -> UploadNotFoundException:
    return UploadNotFoundException(
        upload_id=upload_id, repository_name=repository.repository_name, registry_id=repository.registry_id
    )


def received(call: Call, repository: Repository, upload_id: str) -> int:
    """Bytes that are there."""
    size = call.runtime.blobs.upload_size(upload_id)
    if size is None:
        raise upload_not_found(repository, upload_id)
    return size


def check_part(call: Call, repository: Repository, upload: Upload, size: int) -> None:
    """Whether the upload may have one part more, and be `size` bytes long with it.

    LimitExceededException, KmsException.
    """
    check(call, repository, "push")
    if upload.part_count >= most_parts(call, repository) or size > most_bytes(call, repository):
        raise LimitExceededException(
            f"The upload with id '{upload.upload_id}' in the repository with name '{repository.repository_name}' in "
            f"registry with id '{repository.registry_id}' exceeds the maximum number of layer parts or the maximum "
            "layer size"  # I
        )


def most_parts(call: Call, repository: Repository) -> int:
    """Parts of a layer upload."""
    config = call.runtime.config
    return config.quota_public_layer_parts if repository.kind == "public" else config.quota_layer_parts


def most_bytes(call: Call, repository: Repository) -> int:
    """Bytes of a layer."""
    config = call.runtime.config
    return config.quota_public_layer_size if repository.kind == "public" else config.quota_layer_size


def record_part(call: Call, upload_id: str, length: int) -> None:
    """Count a part of `length` bytes, and remember whether one below the minimum has been followed by another."""
    small = rules.is_small(length, call.runtime.config.quota_layer_part_min)
    change = (
        update(layer_uploads)
        .where(layer_uploads.c.upload_id == upload_id)
        .values(
            part_count=layer_uploads.c.part_count + 1,
            small_part_inside=layer_uploads.c.small_part_inside | layer_uploads.c.last_part_small,
            last_part_small=small,
        )
    )

    def write() -> None:
        with call.writing(_scope(upload_id)):
            call.connection.execute(change)

    at_last(write)


def _scope(upload_id: str) -> str:
    """Of a session alone. Who ends one and who makes a layer of it find the row, or do not."""
    return f"upload/{upload_id}"


def discard_upload(call: Call, upload_id: str) -> None:
    """Forget the session and its bytes; those that a request is still adding to go with the next gc."""
    with call.writing(_scope(upload_id)):
        _END.run(call.connection, upload_id=upload_id)
    with contextlib.suppress(UploadBusy):
        call.runtime.blobs.discard(upload_id)


def complete_upload(
    call: Call,
    repository: Repository,
    upload_id: str,
    layer_digest: str,
    size: int,
    also: Callable[[], object] | None = None,
) -> None:
    """Make the bytes of a session, whose digest was checked, a layer of the repository.

    `also` is called in the transaction of that.

    The store puts the bytes in place with no transaction open. A collection could delete them before the layer has its
    row: they are then put in place once more (`removals.py`).
    """

    def make(before: str) -> tuple[bool, str]:
        with call.writing(repository.scope):
            leaving = removals.leaving(call.connection)
            is_layer = leaving == before and name not in leaving
            if is_layer:
                _make_layer(call, repository, upload_id, layer_digest, size)
                if also is not None:
                    also()
        return is_layer, leaving

    with call.reading():
        blobs, name = blobs_of(call, repository), name_in_store(call, repository, layer_digest)
    try:
        blobs.sync(upload_id)
        is_layer = False
        while not is_layer:
            with call.reading():
                before = removals.leaving(call.connection)
            # The session is kept until the row is written: a process that dies in between loses no byte.
            blobs.commit(upload_id, layer_digest, keep=True)
            is_layer, leaving = at_last(partial(make, before))
            if name in leaving:
                removals.await_removal(call.runtime)
    except UploadNotFound:
        raise upload_not_found(repository, upload_id) from None
    except DigestMismatch:
        # Another request added to the session after its digest was checked.
        raise InvalidLayerException from None
    with contextlib.suppress(BlobStoreError):
        blobs.discard(upload_id)  # what stays goes with the next gc


def _make_layer(call: Call, repository: Repository, upload_id: str, layer_digest: str, size: int) -> None:
    if _END.run(call.connection, upload_id=upload_id) != 1:
        raise upload_not_found(repository, upload_id)
    add_layer(call, repository.id, layer_digest, size)
    _MENDED.run(call.connection, layer_digest=name_in_store(call, repository, layer_digest))


def add_layer(call: Call, repository_id: int, layer_digest: str, size: int) -> None:
    # Not `call.now`: the call began before the bytes came, hours ago perhaps; the period begins when they are there.
    now = call.runtime.clock.now()
    place = {"repository_id": repository_id, "layer_digest": layer_digest}
    with _repository_may_be_gone():
        upsert(call.connection, layers, place, {"needed_at": now, "layer_size": size})


def store_url(runtime: Runtime, layer_digest: str) -> str | None:
    """The store's own URL of a layer, for whoever is to get it from there (setting `blob_redirect`).

    None where the bytes come through ecrsim.
    """
    config = runtime.config
    return runtime.blobs.url(layer_digest, config.download_url_lifetime) if config.blob_redirect else None


def share_layers(call: Call, source: Repository, repository: Repository, sizes: Mapping[str, int]) -> None:
    """Make layers of one repository layers of another, in a write transaction. `sizes` by digest.

    Where both are encrypted with different keys, their bytes are encrypted anew first: KmsException, Miss.
    """
    if not share_space(call, source, repository):
        leaving = removals.leaving(call.connection)
        names = {digest: name_in_store(call, repository, digest) for digest in sizes}
        missing = [
            digest
            for digest, size in sizes.items()
            if stored_layer_size(call, repository, digest) != size or names[digest] in leaving
        ]
        if missing:
            # A collection may take again what was carried before its row: by `leaving` it is then another question.
            question = ("carry", source.id, repository.id, tuple(missing), leaving)
            is_leaving = any(names[digest] in leaving for digest in missing)
            first = partial(removals.await_removal, call.runtime) if is_leaving else None
            learn(call, question, carried(call.runtime, source, repository, missing, first))
    for digest, size in sizes.items():
        add_layer(call, repository.id, digest, size)


def repositories_with_layer(call: Call, registry: Registry, layer_digest: str) -> list[Repository]:
    """Repositories of the registry that hold the layer."""
    return _HOLDERS.all(call.connection, layer_digest=layer_digest, **registry._asdict())


def remove_layer(call: Call, repository: Repository, layer_digest: str) -> bool:
    """Take the layer from the repository; the bytes stay for the next gc. False when it was not there."""
    gone = call.connection.execute(
        delete(layers).where(layers.c.repository_id == repository.id, layers.c.layer_digest == layer_digest)
    )
    return gone.rowcount > 0
