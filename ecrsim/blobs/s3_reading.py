"""Bytes in S3, open for reading as files are."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ecrsim.blobs.base import BlobNotFound, StoreUnwritable, StreamedBlob
from ecrsim.blobs.s3 import Bucket, Missing, Stored, interrupted
from ecrsim.blobs.s3_session import SessionContent, piece

#: Answers of S3 that are open at once, one for each blob that is being pulled. Of more, those that nobody has read from
#: for longest are closed, and asked for anew from where they were when somebody reads on.
OPEN = 256
#: How often reading goes on after a connection that broke.
_ATTEMPTS = 4
#: Seconds between two looks at a session that another node fills.
_GLANCE = 0.2


class OpenAnswers:
    """Bounds how many answers are open."""

    def __init__(self, most: int = OPEN) -> None:
        self._most = most
        self._files: OrderedDict[S3File, None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    def used(self, file: S3File) -> None:
        resting = []
        with self._lock:
            self._files[file] = None
            self._files.move_to_end(file)
            while len(self._files) > self._most:
                resting.append(self._files.popitem(last=False)[0])
        for each in resting:
            each.rest()

    def closed(self, file: S3File) -> None:
        with self._lock:
            self._files.pop(file, None)


class S3File(StreamedBlob):
    """An object, open for reading from `first` on; it is asked for at once. Missing where there is none.

    `length`: bytes that will be wanted, where that is known. Reading raises StoreUnwritable where S3 does not answer.
    """

    def __init__(
        self, bucket: Bucket, key: str, answers: OpenAnswers, first: int = 0, length: int | None = None
    ) -> None:
        super().__init__()
        self._bucket, self._key, self._answers = bucket, key, answers
        self._position, self._end = first, None if length is None else first + length
        self._lock = threading.Lock()
        self.stored, self._body = bucket.stream(key, first, length)
        answers.used(self)

    @property
    def size(self) -> int:
        return self.stored.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._lock:
            if whence == io.SEEK_CUR:
                offset += self._position
            elif whence == io.SEEK_END:
                offset += self.size
            if offset != self._position:
                self._let_go()
                self._position, self._end = offset, None
        return offset

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self.readall()
        with self._lock:
            data = self._read(size)
        self._answers.used(self) if self._body is not None else self._answers.closed(self)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        if not size or self._position >= self.size:
            self._let_go()
            return b""
        failure: BaseException | None = None
        for _ in range(_ATTEMPTS):
            try:
                data: bytes = self._open_body().read(size)
            except interrupted() as error:
                failure = error
            else:
                self._position += len(data)
                if data:
                    return data
                # To the end of what was asked for, or cut off.
                if self._end is not None and self._position >= self._end:
                    self._end = None
            self._let_go()
        raise StoreUnwritable(f"{self._bucket.url}: cannot read {self._key}: {failure or 'it ends too early'}")

    def _open_body(self) -> Any:
        if self._body is None:
            length = None if self._end is None else self._end - self._position
            try:
                self.stored, self._body = self._bucket.stream(self._key, self._position, length)
            except Missing:
                raise StoreUnwritable(f"{self._bucket.url}: {self._key} was removed while it was read") from None
        return self._body

    def rest(self) -> None:
        """Close the answer, unless somebody reads from it right now."""
        if self._lock.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _let_go(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            with contextlib.suppress(*interrupted()):
                body.close()

    def close(self) -> None:
        if not self.closed:
            self._answers.closed(self)
            with self._lock:
                self._let_go()
        super().close()


#: What of a session is there: (bytes from an offset that are in memory, or None; what is with S3, or None; a number
#: that is another one after each change in this process).
Look = Callable[[int, int], tuple[bytes | None, SessionContent | None, int]]


class S3Upload(io.RawIOBase):
    """The bytes of a session as far as they go, whichever node adds to them.

    `blob` opens the blob that the session became, where that is known: its pieces are gone then.
    """

    def __init__(
        self,
        bucket: Bucket,
        upload_id: str,
        answers: OpenAnswers,
        look: Look,
        find: Callable[[], SessionContent | None],
        blob: Callable[[int], Any] | None,
        when_closed: Callable[[S3Upload], None],
    ) -> None:
        super().__init__()
        self._bucket, self.upload_id, self._answers = bucket, upload_id, answers
        self._look, self._find, self._blob, self._when_closed = look, find, blob, when_closed
        self._position = 0
        self._content = SessionContent()
        self._file: tuple[str, S3File] | None = None
        self._whole: Any = None
        self._looked, self._change = 0.0, -1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a session that grows is read from its start")
        self._position = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self.readall()
        data = self._read(size)
        self._position += len(data)
        return data

    def _read(self, size: int) -> bytes:
        if self._whole is not None:
            return self._of_blob(size)
        in_memory, content, change = self._look(self._position, size)
        if in_memory is not None:
            return in_memory
        if content is not None:
            self._content = content
        elif self._position >= self._content.size and self._may_look(change):
            found = self._find()
            if found is None:
                return self._of_blob(size)
            self._content = found
        return self._of_piece(size)

    def _may_look(self, change: int) -> bool:
        """Whether something may have changed: here for certain, elsewhere after a while."""
        now = time.monotonic()
        if change == self._change and now - self._looked < _GLANCE:
            return False
        self._looked, self._change = now, change
        return True

    def _of_piece(self, size: int) -> bytes:
        found = self._content.piece_at(self._position)
        if found is None:
            return b""
        name, first, left = found
        try:
            if self._file is None or self._file[0] != name:
                self._let_go()
                key = piece(self.upload_id, name)
                self._file = name, S3File(self._bucket, key, self._answers, first)
            file = self._file[1]
            file.seek(first)
            return file.read(min(size, left))
        except Missing:
            # A short piece that a longer one has replaced, or the session is over.
            found_now = self._find()
            if found_now is None or found_now == self._content:
                return self._of_blob(size)
            self._content = found_now
            return self._of_piece(size)

    def _of_blob(self, size: int) -> bytes:
        """Of the blob that it became, or nothing more."""
        if self._whole is None:
            if self._blob is None:
                return b""
            try:
                self._whole = self._blob(self._position)
            except BlobNotFound:
                return b""
        self._whole.seek(self._position)
        data: bytes = self._whole.read(size)
        return data

    def ended(self, content: SessionContent) -> None:
        """The session is over in this process; its pieces are kept until this reader is closed."""
        self._content = content

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file[1].close()

    def close(self) -> None:
        if not self.closed:
            self._let_go()
            if self._whole is not None:
                self._whole.close()
            self._when_closed(self)
        super().close()


def same(one: Stored, other: Stored) -> bool:
    """Whether it is one version of an object."""
    return (one.etag, one.modified_at, one.size) == (other.etag, other.modified_at, other.size)
