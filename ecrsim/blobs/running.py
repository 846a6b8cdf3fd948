"""Hashes of sessions that are still growing, kept so that no byte is read back to learn its digest.

A hash that is lost (another process received the bytes, a restart, too many sessions) costs one reading of the file, so
nothing here needs to be durable or shared.
"""

import hashlib
import queue
import threading
from collections import OrderedDict
from types import TracebackType
from typing import Self

from ecrsim.blobs.base import ALGORITHMS

_KEPT = 1024

# Handing a smaller piece to the other thread takes longer than hashing it.
_WORTH_A_THREAD = 128 * 1024


class RunningHash:
    """The hash of the first `covers` bytes of a session."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.covers = 0
        self._hash = hashlib.new(algorithm)

    def update(self, chunk: bytes) -> None:
        """Take in the bytes that follow."""
        self._hash.update(chunk)
        self.covers += len(chunk)

    def digest(self) -> str:
        """The digest of the bytes so far, with its algorithm."""
        return f"{self.algorithm}:{self._hash.hexdigest()}"

    def copy(self) -> "RunningHash":
        """A hash of the same bytes that goes its own way from here."""
        twin = RunningHash(self.algorithm)
        twin.covers, twin._hash = self.covers, self._hash.copy()
        return twin


class RunningHashes:
    """The running hashes of the sessions that this process touched last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], RunningHash] = OrderedDict()
        self._lock = threading.Lock()

    def copy(self, upload_id: str, algorithm: str) -> RunningHash:
        """A hash to go on with; one that covers nothing where none is kept."""
        with self._lock:
            kept = self._kept.get((upload_id, algorithm))
        return kept.copy() if kept else RunningHash(algorithm)

    def keep(self, upload_id: str, running: RunningHash) -> None:
        """Keep a hash, which the caller does not update any more."""
        key = (upload_id, running.algorithm)
        with self._lock:
            self._kept[key] = running
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def drop(self, upload_id: str) -> None:
        """Forget a session that has ended."""
        with self._lock:
            for algorithm in ALGORITHMS:
                self._kept.pop((upload_id, algorithm), None)


class HashingAside:
    """Hashes each piece on a second thread while the caller writes it, one piece at a time.

    Pushing one layer through the server is a quarter faster that way on two cores, and several at once are no slower.
    The thread starts with the first piece that is worth it, and is gone when the `with` block ends.
    """

    def __init__(self, running: RunningHash) -> None:
        self._running = running
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._outstanding = False

    def update(self, chunk: bytes) -> None:
        """Wait for the piece before, then begin with this one."""
        if self._outstanding:
            self._done.get()
            self._outstanding = False
        if len(chunk) < _WORTH_A_THREAD or not self._has_thread():
            self._running.update(chunk)
            return
        self._pieces.put(chunk)
        self._outstanding = True

    def _has_thread(self) -> bool:
        if self._thread is None:
            # A daemon, lest a client that stalls in mid-body keep the process from ending.
            thread = threading.Thread(target=self._work, name="blob-hash", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False  # at the limit of threads, or the interpreter is ending
            self._thread = thread
        return True

    def _work(self) -> None:
        while (chunk := self._pieces.get()) is not None:
            try:
                self._running.update(chunk)
            finally:
                del chunk  # not to be held while waiting for the next
                self._done.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
