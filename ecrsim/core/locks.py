"""The right to be the only one, among all threads and processes over a data directory: a lock on a file.

The kernel frees the lock of a process that was killed, so that no right is ever left behind.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ecrsim.blobs import private


class Hold:
    """A lock that is held until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def is_held(self) -> bool:
        """The kernel takes it from nobody."""
        return True

    def release(self) -> None:
        os.close(self._descriptor)


def hold(path: Path, *, wait: bool) -> Hold | None:
    """Lock the file, which is made where it is not there. None without `wait` when somebody else has it."""
    descriptor = private.open_file(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return Hold(descriptor)
