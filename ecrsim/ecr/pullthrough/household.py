"""What a cache needs when ecrsim stops, and at a reset."""

from __future__ import annotations

from functools import partial

from ecrsim.core.household import Stop, at_reset, at_start
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.pullthrough import fetches


@at_start
def bring_nothing_at_the_end(runtime: Runtime) -> Stop:
    return partial(fetches.close, runtime)


@at_reset
def forget_what_is_on_its_way(runtime: Runtime) -> None:
    fetches.forget(runtime)
