"""What is done about images when nobody asks: garbage is collected."""

from __future__ import annotations

import logging

from ecrsim.blobs.base import BlobStoreError
from ecrsim.core.household import every
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.images import garbage

log = logging.getLogger("ecrsim")


@every(lambda config: config.gc_interval)
def collect_garbage(runtime: Runtime) -> None:
    try:
        garbage.collect(runtime)
    except BlobStoreError as error:
        log.warning("no garbage is collected: %s", error)
