"""Layers from one key space into another: read with one key, encrypted with the other, in constant memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import partial

from ecrsim.blobs.base import BlobDamaged, BlobNotFound, DigestMismatch
from ecrsim.core import ids
from ecrsim.core.errors import LayersNotFoundException
from ecrsim.core.misses import Flight, Learned
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.atrest.service import blobs_of, open_keys_now
from ecrsim.ecr.repositories.protection import Protected


def carry(runtime: Runtime, source: Protected, target: Protected, layer_digests: Collection[str]) -> None:
    """Have the bytes of layers of one repository in the space of another as well; no row tells of them yet.

    No transaction may be open. KmsException, LayersNotFoundException where the bytes of the source are not sound, and
    the errors of the store.
    """
    with runtime.call(root_caller(target.registry.account, target.registry.region)) as call:
        for repository in (source, target):
            open_keys_now(call, repository)
        here, there = blobs_of(call, source), blobs_of(call, target)
        call.release()
        for digest in layer_digests:
            upload_id = ids.new_uuid()
            there.create_upload(upload_id)
            try:
                with here.open(digest) as blob:
                    there.append(upload_id, blob)
                there.digest_upload(upload_id, digest.partition(":")[0])
                there.sync(upload_id)
                there.commit(upload_id, digest)
            except BaseException as error:
                there.discard(upload_id)
                if isinstance(error, BlobNotFound | BlobDamaged | DigestMismatch):
                    raise LayersNotFoundException(f"The layer with digest '{digest}' is lost or damaged") from error
                raise


def aside(work: Callable[[], object]) -> Flight:
    """Begin with the work in a thread of its own; the flight is over when it is."""
    flight = Flight()

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            flight.settle(error=error)
        else:
            flight.settle(Learned(None))

    threading.Thread(target=run, name="atrest", daemon=True).start()
    return flight


def carried(
    runtime: Runtime,
    source: Protected,
    target: Protected,
    layer_digests: Collection[str],
    first: Callable[[], object] | None = None,
) -> Callable[[], Flight]:
    """What begins to carry layers, for a `Miss`; `first` is done before, and may wait."""

    def work() -> None:
        if first is not None:
            first()
        carry(runtime, source, target, tuple(layer_digests))

    return partial(aside, work)
