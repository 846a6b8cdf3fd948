"""What no bill goes back to is forgotten."""

from __future__ import annotations

from ecrsim.core.household import every
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.metering.service import KEPT, forget_spans
from ecrsim.records import tally


@every(lambda config: config.gc_interval)
def forget_what_is_too_old(runtime: Runtime) -> None:
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call, call.writing():
        forget_spans(call)
        tally.forget(call, call.now - KEPT)
