"""What the capability does at a start, and time and again."""

import threading

from ecrsim.core.household import Stop, at_reset, at_start, every
from ecrsim.core.runtime import Runtime

done: list[str] = []
was_repeated = threading.Event()


@at_start
def begin(runtime: Runtime) -> Stop:
    done.append("start")
    return lambda: done.append("stop")


@at_reset
def begin_anew(runtime: Runtime) -> None:
    done.append("reset")


@every(lambda _: 0.01)
def look_again(runtime: Runtime) -> None:
    was_repeated.set()
