"""Eight bytes that all processes over a database share, for what a query at each request would cost too much."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from ecrsim.blobs import private

_BYTES = 8


def own_word(value: int = 0) -> memoryview:
    """A word that nobody shares: `word[0]` is a signed integer of 64 bits."""
    word = memoryview(bytearray(_BYTES)).cast("q")
    word[0] = value
    return word


def shared_word(file: Path, value: int) -> memoryview:
    """The word that a file holds, set to `value`. OSError when the file cannot be.

    A word is moved whole, so that nobody ever reads half of a change. `struct` would clear it before it writes, and
    other processes saw that.
    """
    descriptor = private.open_file(file)
    try:
        # Written, not only made so long: on a full disk, writing to a hole by the map would kill the process.
        os.pwrite(descriptor, own_word(value).tobytes(), 0)
        return memoryview(mmap.mmap(descriptor, _BYTES)).cast("q")
    finally:
        os.close(descriptor)
