"""A few threads that work for the loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

_Job = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Crew:
    """At most `size` threads, which start when there is work for them and stay.

    asyncio's own way to a thread and back costs three times as much: a future of each kind and a callback between.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, size: int) -> None:
        self._loop, self._name, self._size = loop, name, size
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._threads = 0
        #: Threads that wait for work, less the jobs that wait for a thread. The loop alone touches it.
        self._free = 0

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Begin with it; the future has what it returns or raises. Called on the loop."""
        future = self._loop.create_future()
        if self._free <= 0 and self._threads < self._size:
            self._start()
        self._free -= 1
        self._jobs.put((future, function, arguments))
        return future

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            return  # at the limit of threads: those that there are will do it
        self._threads += 1
        self._free += 1

    def _work(self) -> None:
        while True:
            future, function, arguments = self._jobs.get()
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:  # noqa: BLE001 - it is raised where the future is awaited
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle, future, result, error)
            del future, function, arguments, result, error  # not to be held while waiting for the next

    def _settle(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._free += 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):  # no future takes one
            future.set_exception(RuntimeError("a generator ended"))
        else:
            future.set_exception(error)
