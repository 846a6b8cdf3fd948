"""Delivery in a running ecrsim: targets are read, and events are brought to them."""

from __future__ import annotations

from ecrsim.core.household import Stop, at_reset, at_start
from ecrsim.core.runtime import Runtime
from ecrsim.delivery.pump import Pump
from ecrsim.delivery.targets import load_targets


@at_start
@at_reset
def read_targets(runtime: Runtime) -> None:
    """TargetsError when the file of the setting `targets` cannot be."""
    load_targets(runtime)


@at_start
def deliver(runtime: Runtime) -> Stop:
    pump = Pump(runtime)
    pump.start()
    return pump.stop
