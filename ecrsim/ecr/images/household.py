"""Periodic work on images: garbage is collected, layers are read to find damage."""

from __future__ import annotations

import logging

from ecrsim.blobs.base import BlobStoreError
from ecrsim.config import Config
from ecrsim.core.household import every
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.images import garbage, scrub

log = logging.getLogger("ecrsim")

#: Seconds between two looks whether layers are to be read again.
_REST = 60


@every(lambda config: config.gc_interval)
def collect_garbage(runtime: Runtime) -> None:
    try:
        garbage.collect(runtime)
    except BlobStoreError as error:
        log.warning("no garbage is collected: %s", error)


def _rest(config: Config) -> float:
    return min(_REST, max(1, config.scrub_interval)) if config.scrub_rate else 0


@every(_rest)
def read_layers(runtime: Runtime) -> None:
    try:
        found = scrub.scrub(runtime)
    except scrub.ScrubStopped:
        return
    except BlobStoreError as error:
        log.warning("layers are not read: %s", error)
        return
    if found:
        log.error("%d layers are missing or damaged: ecrsim fsck says what it means for which images", found)
