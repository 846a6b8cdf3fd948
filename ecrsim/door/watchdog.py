"""Names what holds up the loop. For tests and for the curious: it costs each step of the loop two looks at a clock."""

from __future__ import annotations

import asyncio
import logging
import time

log = logging.getLogger("ecrsim.door")

#: How many times as long a step may wait (for a lock, a disk, its turn on a busy machine) as it may compute.
_WAITING = 40


class Watchdog:
    """Logs each step of any loop of this process that computes for more than `limit` seconds, or waits far longer.

    What counts is the time that the thread had a core: on a machine that is busy otherwise, none is reported for it.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._run = asyncio.Handle._run  # noqa: SLF001 - asyncio's own measure counts the time of other processes

    def start(self) -> None:
        run, report = self._run, self._report

        def timed(handle: asyncio.Handle) -> None:
            computed, passed = time.thread_time(), time.monotonic()
            run(handle)
            report(handle, time.thread_time() - computed, time.monotonic() - passed)

        asyncio.Handle._run = timed  # type: ignore[method-assign,assignment]  # noqa: SLF001

    def _report(self, handle: asyncio.Handle, computed: float, passed: float) -> None:
        if computed > self._limit or passed > self._limit * _WAITING:
            log.error("the loop was held for %d ms (%d ms computing) by %r", passed * 1000, computed * 1000, handle)
