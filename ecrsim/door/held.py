"""Open files that the server opens anew by their numbers, a moment after it was told to."""

from __future__ import annotations

import fcntl
import os
import resource
from collections import deque
from pathlib import Path
from typing import BinaryIO

#: Seconds that a file stays open for the server to open it too, and how many do; it takes a millisecond.
_HELD_FOR, _HELD = 30.0, 4096
#: Where a process finds its open files; on systems without it, a blob is opened by its name.
_FILES = "/proc/self/fd"
_HAS_FILES = Path(_FILES).is_dir()
#: Numbers beyond are not used: the kernel has 8 bytes for each up to the highest.
_HIGHEST = 1 << 16


class HeldFiles:
    """Files under numbers of their own, in turn: the upper half of those that a process may have.

    So a number that was closed is another file's only after all the others were. A server that comes too late, after
    a stall, finds no file, and never the bytes of another blob.
    """

    def __init__(self) -> None:
        self._held: deque[tuple[float, BinaryIO | int]] = deque()
        self._next = 0

    def hold(self, file: BinaryIO, now: float) -> str:
        """Where the server finds the file; it is closed here, later. `now`: seconds of one clock."""
        if not _HAS_FILES:
            self._keep(now, file)
            return str(file.name)
        number = self._numbered(file.fileno())
        if number is None:
            self._keep(now, file)
            return f"{_FILES}/{file.fileno()}"
        file.close()
        self._keep(now, number)
        return f"{_FILES}/{number}"

    def _numbered(self, descriptor: int) -> int | None:
        """The same file under the next number; None where none is free."""
        limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] % (1 << 63), _HIGHEST)
        for least in (self._next, limit // 2):
            if limit // 2 <= least < limit:
                try:
                    number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)
                except OSError:
                    continue
                self._next = number + 1
                return number
        return None

    def _keep(self, now: float, held: BinaryIO | int) -> None:
        self._held.append((now, held))
        while self._held[0][0] < now - _HELD_FOR or len(self._held) > _HELD:
            closed = self._held.popleft()[1]
            os.close(closed) if isinstance(closed, int) else closed.close()
