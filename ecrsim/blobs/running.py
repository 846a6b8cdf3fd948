"""Hashes of sessions that are still growing, kept so that no byte is read back to learn its digest.

A hash that is lost (another process received the bytes, a restart, too many sessions) costs one reading of the file, so
nothing here needs to be durable or shared.
"""

import hashlib
import queue
import threading
from collections import OrderedDict
from concurrent.futures import Future

from ecrsim.blobs.base import ALGORITHMS

_KEPT = 1024

# Handing a smaller piece to the other thread takes longer than hashing it.
_WORTH_A_THREAD = 128 * 1024

_MOST_THREADS = 4


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


class Hashers:
    """Threads that hash: as many as hashing can use, however many uploads are under way.

    They start with pieces that are worth it, and stay. Daemons, lest they keep the process from ending.
    """

    def __init__(self) -> None:
        self._pieces: queue.SimpleQueue[tuple[Future[None], RunningHash, bytes]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def begin(self, running: RunningHash, chunk: bytes) -> Future[None] | None:
        """Hash the bytes that follow in another thread. None when there is none to be had, and nothing was done."""
        with self._lock:
            if self._idle <= 0 and self._threads < _MOST_THREADS and self._started():
                self._threads += 1
                self._idle += 1
            if not self._threads:
                return None
            self._idle -= 1
        done: Future[None] = Future()
        self._pieces.put((done, running, chunk))
        return done

    def _started(self) -> bool:
        try:
            threading.Thread(target=self._work, name="blob-hash", daemon=True).start()
        except RuntimeError:
            return False  # at the limit of threads, or the interpreter is ending
        return True

    def _work(self) -> None:
        while True:
            done, running, chunk = self._pieces.get()
            failure: BaseException | None = None
            try:
                running.update(chunk)
            except BaseException as error:  # noqa: BLE001 - it is raised where the hash is waited for
                failure = error
            with self._lock:
                self._idle += 1
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)
            del done, running, chunk, failure  # not to be held while waiting for the next


_hashers = Hashers()


class HashingAside:
    """Hashes each piece in another thread while the caller writes it, one piece at a time.

    Pushing one layer through the server is a quarter faster that way on two cores, and several at once are no slower.
    """

    def __init__(self, running: RunningHash, hashers: Hashers = _hashers) -> None:
        self._running = running
        self._hashers = hashers
        self._under_way: Future[None] | None = None

    def update(self, chunk: bytes) -> None:
        """Wait for the piece before, then begin with this one."""
        self.finish()
        if len(chunk) >= _WORTH_A_THREAD:
            self._under_way = self._hashers.begin(self._running, chunk)
        if self._under_way is None:
            self._running.update(chunk)

    def finish(self) -> None:
        """Wait until every piece is hashed."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()
