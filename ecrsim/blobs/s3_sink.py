"""A body on its way into a session in S3: cut into pieces, of which some are sent while the next one comes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from ecrsim.blobs.base import BlobStoreError, Sink, Tally, UploadBusy, UploadNotFound
from ecrsim.blobs.running import HashingAside
from ecrsim.blobs.s3_session import BEAT, PIECE, End, Run, S3Sessions, SessionContent, Version, piece

#: Pieces of one body that are on their way to S3 at once. Memory for a body is this and one piece more.
_AHEAD = 2


class S3Sink(Sink):
    """Onto the end of a session. `held` is called at the end: True where the body became part of the session."""

    def __init__(
        self,
        sessions: S3Sessions,
        upload_id: str,
        before: Version,
        tally: Tally,
        hashing: HashingAside | None,
        held: Callable[[bool], None],
    ) -> None:
        self._sessions, self._upload_id, self._tally = sessions, upload_id, tally
        self._hashing, self._held = hashing, held
        self._before, self._now = before.content, before
        self._token = sessions.new_token()
        self._start = before.content.size
        # Bytes that follow the pieces: those of the last, short piece first.
        self._rest = bytearray(self._short_piece())
        self._sending: deque[tuple[bytes, Future[None]]] = deque()
        self._sent = self._cut = 0
        self._lost: BlobStoreError | None = None
        self._written: list[SessionContent] = []
        self._closed = False
        self._lock = threading.RLock()
        self._noted = time.monotonic()

    def _short_piece(self) -> bytes:
        end = self._before.end
        return b"" if end is None else self._sessions.bucket.get(piece(self._upload_id, end.name))[1]

    @property
    def size(self) -> int:
        """Of the session, with what came of this body."""
        return self._start + self._tally.received

    def write(self, piece: bytes) -> None:
        with self._lock:
            try:
                self._tally.count(piece)
                if self._hashing is not None:
                    self._hashing.update(piece)
                self._rest += piece
                while len(self._rest) >= PIECE:
                    self._send()
                self.note()
            except BaseException:
                self.abandon()
                raise

    def _send(self) -> None:
        """Send a piece; of those before it, all but some are with S3 then."""
        data = bytes(memoryview(self._rest)[:PIECE])
        del self._rest[:PIECE]
        name = f"{self._token}-{self._cut}"
        self._cut += 1
        sending = self._sessions.bucket.pool().submit(self._sessions.put_piece, self._upload_id, name, data)
        self._sending.append((data, sending))
        self._settle(_AHEAD)

    def _settle(self, most: int) -> None:
        """Wait until no more than so many pieces are on their way."""
        while self._sending and (len(self._sending) > most or self._sending[0][1].done()):
            self._sending[0][1].result()
            self._sending.popleft()
            self._sent += 1

    def note(self) -> None:
        """Where it is time to: write that this request is at work on the session, and what it has. UploadBusy."""
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._closed or time.monotonic() - self._noted < BEAT:
                return
            try:
                self._settle(_AHEAD)
                self._write(self._content()._replace(holder=self._token))
            except (UploadBusy, UploadNotFound) as error:
                self._lost = error
                raise
            self._noted = time.monotonic()

    def _write(self, content: SessionContent) -> None:
        # Noted before: it may be done though it is not answered.
        self._written.append(content)
        self._now = self._sessions.write(self._upload_id, content, self._now)

    def _content(self) -> SessionContent:
        """What the session consists of with the pieces that are with S3."""
        if not self._sent:
            return self._before
        return SessionContent((*self._before.runs, Run(self._token, self._sent)))

    def part(self, offset: int, size: int) -> bytes | None:
        """Bytes of the session from there, as far as they are in memory; None where they are not, but with S3."""
        with self._lock:
            offset -= self._before.whole + self._sent * PIECE
            if offset < 0:
                return None
            for data, _ in self._sending:
                if offset < PIECE:
                    return data[offset : offset + size]
                offset -= PIECE
            return bytes(memoryview(self._rest)[offset : offset + size])

    def content(self) -> SessionContent:
        """What of the session is with S3."""
        with self._lock:
            return self._content()

    def close(self) -> int:
        with self._lock:
            if not self._closed:
                try:
                    self._finish()
                except BaseException:
                    self.abandon()
                    raise
                self._end(kept=True)
                self._tally.end()
            return self.size

    def _finish(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._settle(0)
        content = self._content()._replace(holder="")
        if self._sent or self._tally.received:
            end = None
            if self._rest:
                end = End(f"{self._token}-end", len(self._rest))
                self._sessions.put_piece(self._upload_id, end.name, bytes(self._rest))
            content = content._replace(end=end)
        self._write(content)
        if self._before.end is not None and content.end != self._before.end:
            # Of no use any more; what stays goes with the session.
            self._forget(self._before.end.name)

    def abandon(self) -> None:
        """Where S3 does not answer, the session stays busy for some seconds, with the pieces it was noted to have."""
        with self._lock:
            if self._closed:
                return
            while self._sending:
                with contextlib.suppress(BlobStoreError):
                    self._sending.popleft()[1].result()
            own = {*(f"{self._token}-{number}" for number in range(self._cut)), f"{self._token}-end"}
            with contextlib.suppress(BlobStoreError):
                if self._written:
                    own -= self._undone()
                if self._cut or self._written:
                    self._forget(*own)
            self._end(kept=False)

    def _undone(self) -> set[str]:
        """Make the session what it was before. The names of pieces that it has all the same: another one's by now.

        Something is written in any case: a write of before that S3 has not come to yet comes too late then.
        """
        found = self._sessions.find(self._upload_id)
        if found is None:
            return set()
        if found.etag == self._now.etag or found.content in self._written:
            self._sessions.write(self._upload_id, self._before, found)
            return set()
        return {name for name, _ in found.content.pieces()}

    def _forget(self, *names: str) -> None:
        with contextlib.suppress(BlobStoreError):
            self._sessions.bucket.delete(*(piece(self._upload_id, name) for name in names))

    def _end(self, *, kept: bool) -> None:
        self._closed = True
        self._rest.clear()
        if self._hashing is not None:
            self._hashing.finish()
        self._held(kept)


class Beat:
    """A thread that lets sinks whose bodies come slowly say that they are at work; there while there are any."""

    def __init__(self) -> None:
        self._sinks: set[S3Sink] = set()
        self._lock = threading.Lock()
        self._is_running = False

    def add(self, sink: S3Sink) -> None:
        with self._lock:
            self._sinks.add(sink)
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, name="s3-beat", daemon=True).start()

    def remove(self, sink: S3Sink) -> None:
        with self._lock:
            self._sinks.discard(sink)

    def _run(self) -> None:
        while True:
            time.sleep(1)
            with self._lock:
                sinks = list(self._sinks)
                if not sinks:
                    self._is_running = False
                    return
            for sink in sinks:
                # Told to who writes next, or tried again.
                with contextlib.suppress(BlobStoreError):
                    sink.note()
