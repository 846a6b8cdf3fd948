"""Who sends so slowly that it is no use to wait: bodies are held to a pace, measured while the client has the word."""

from __future__ import annotations

import asyncio
from typing import cast

#: Seconds between two looks at the bodies under way.
_GLANCE = 1.0


class Flow:
    """One body under way: how long its client was waited for, and what came."""

    __slots__ = ("_since", "_waited", "is_late", "received", "task")

    def __init__(self, task: asyncio.Task[None], received: int) -> None:
        self.task = task
        #: Bytes that came, or of a body that is read in one piece, all that will.
        self.received = received
        self.is_late = False
        self._waited = 0.0
        self._since: float | None = None

    def wait(self, now: float) -> None:
        """The client has the word."""
        self._since = now

    def came(self, size: int, now: float) -> None:
        """It said `size` bytes."""
        self.received += size
        if self._since is not None:
            self._waited += now - self._since
            self._since = None

    def waited(self, now: float) -> float:
        """Seconds that the client had the word; 0 while it has not."""
        return 0.0 if self._since is None else self._waited + now - self._since


class Pace:
    """After `grace` seconds, `rate` bytes a second on the average. Who is slower is cancelled, and `is_late`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, grace: float, rate: int) -> None:
        self._loop, self._grace, self._rate = loop, grace, rate
        self._flows: set[Flow] = set()
        self._looks = False

    def watch(self, received: int = 0) -> Flow:
        """The body that the current task reads, until `leave`."""
        flow = Flow(cast("asyncio.Task[None]", asyncio.current_task()), received)
        self._flows.add(flow)
        if not self._looks:
            self._looks = True
            self._loop.call_later(_GLANCE, self._look)
        return flow

    def leave(self, flow: Flow) -> None:
        self._flows.discard(flow)

    def _look(self) -> None:
        now = self._loop.time()
        for flow in self._flows:
            if not flow.is_late and flow.waited(now) > self._grace + flow.received / self._rate:
                flow.is_late = True
                flow.task.cancel()
        self._looks = bool(self._flows)
        if self._looks:
            self._loop.call_later(_GLANCE, self._look)
