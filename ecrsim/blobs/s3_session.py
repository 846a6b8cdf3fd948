"""Upload sessions in S3: their bytes in pieces that every node can read, and one small object that says which.

    uploads/<upload id>/session          what the session consists of, as JSON
    uploads/<upload id>/<token>-<n>      a piece of `PIECE` bytes; the token is of the request that brought it
    uploads/<upload id>/<token>-end      the last piece, shorter than others

`session` is written on condition that it is still the version that was read. So of two requests that go on from one
state one comes through, on whichever nodes they are, and the other has changed nothing: its pieces have names of their
own, which nothing refers to. A request that takes longer writes there every few seconds that it is at work, with what
it has so far: for that long the session is busy for others. A node that was killed, or paused for longer than that,
has lost it, and finds so when it writes next.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ecrsim.blobs.base import StoreUnwritable, UploadBusy, UploadNotFound
from ecrsim.blobs.s3 import Bucket, Missing, Overtaken

#: Bytes of all pieces but the last. S3 joins 10,000 of them at most, and none below 5 MiB but the last.
PIECE = 8 * 1024**2
#: Bytes of the longest session.
LONGEST = 10_000 * PIECE
#: Seconds after which a request at work says so again, and without which another one takes the session over.
BEAT, LEASE = 3.0, 15.0

PREFIX = "uploads/"


class Run(NamedTuple):
    """Pieces of `PIECE` bytes that one request brought: `<token>-0` to `<token>-<number - 1>`."""

    token: str
    number: int


class End(NamedTuple):
    """The last piece."""

    name: str
    size: int


class SessionContent(NamedTuple):
    """What a session consists of. `holder` is the token of the request at work on it, empty where none is.

    `is_sealed`: it is being made a blob, or is one, and takes no more bytes.
    """

    runs: tuple[Run, ...] = ()
    end: End | None = None
    is_sealed: bool = False
    holder: str = ""

    @property
    def whole(self) -> int:
        """Bytes before the last piece."""
        return PIECE * sum(run.number for run in self.runs)

    @property
    def size(self) -> int:
        return self.whole + (0 if self.end is None else self.end.size)

    def pieces(self) -> Iterator[tuple[str, int]]:
        """(name, size) of all pieces, in their order."""
        for run in self.runs:
            for index in range(run.number):
                yield f"{run.token}-{index}", PIECE
        if self.end is not None:
            yield self.end

    def piece_at(self, offset: int) -> tuple[str, int, int] | None:
        """(name, first byte in it, bytes from there to its end) of the piece that holds this byte; None behind all."""
        index, first = divmod(offset, PIECE)
        for run in self.runs:
            if index < run.number:
                return f"{run.token}-{index}", first, PIECE - first
            index -= run.number
        first += index * PIECE
        if self.end is not None and first < self.end.size:
            return self.end.name, first, self.end.size - first
        return None

    def to_json(self, mark: str) -> bytes:
        """`mark` is never written twice: by it one's own write is known again."""
        document = {
            "runs": self.runs,
            "end": self.end,
            "sealed": self.is_sealed,
            "holder": self.holder,
            "written": mark,
        }
        return json.dumps(document).encode()

    @classmethod
    def from_json(cls, content: bytes) -> SessionContent:
        """ValueError for what is none."""
        try:
            found = json.loads(content)
            end = None if found["end"] is None else End(str(found["end"][0]), int(found["end"][1]))
            runs = tuple(Run(str(token), int(number)) for token, number in found["runs"])
            return cls(runs, end, bool(found["sealed"]), str(found["holder"]))
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not a session: {error}") from error


class Version(NamedTuple):
    """A session as it was read, or written: the next write is on condition that it still is so."""

    content: SessionContent
    etag: str
    is_held: bool = False


class S3Sessions:
    """The sessions of one bucket. `new_token` gives texts that nobody has had before."""

    def __init__(self, bucket: Bucket, new_token: Callable[[], str]) -> None:
        self.bucket, self.new_token = bucket, new_token

    def create(self, upload_id: str) -> None:
        """FileExistsError."""
        data = SessionContent().to_json(self.new_token())
        try:
            self.bucket.put(_state(upload_id), data, only_new=True)
        except Overtaken:
            # boto3 may have sent it twice.
            if self.bucket.get(_state(upload_id))[1] != data:
                raise FileExistsError(upload_id) from None

    def find(self, upload_id: str) -> Version | None:
        try:
            stored, data = self.bucket.get(_state(upload_id))
        except Missing:
            return None
        try:
            content = SessionContent.from_json(data)
        except ValueError as error:
            raise StoreUnwritable(f"{self.bucket.url}: upload session {upload_id} is damaged: {error}") from error
        # Both moments are S3's own: no node's clock matters.
        age = stored.asked_at - stored.modified_at
        return Version(content, stored.etag, bool(content.holder) and age < LEASE)

    def get(self, upload_id: str) -> Version:
        """UploadNotFound; UploadBusy while a request is at work on it, on any node."""
        found = self.find(upload_id)
        if found is None:
            raise UploadNotFound(upload_id)
        if found.is_held:
            raise UploadBusy(upload_id)
        return found

    def write(self, upload_id: str, content: SessionContent, before: Version) -> Version:
        """UploadBusy where another request has changed it since, UploadNotFound where it is gone."""
        data = content.to_json(self.new_token())
        try:
            return Version(content, self.bucket.put(_state(upload_id), data, only_etag=before.etag))
        except Missing:
            raise UploadNotFound(upload_id) from None
        except Overtaken:
            try:
                stored, there = self.bucket.get(_state(upload_id))
            except Missing:
                raise UploadNotFound(upload_id) from None
            # boto3 may have sent it twice.
            if there != data:
                raise UploadBusy(upload_id) from None
            return Version(content, stored.etag)

    def put_piece(self, upload_id: str, name: str, data: bytes) -> None:
        self.bucket.put(piece(upload_id, name), data)

    def discard(self, upload_id: str, content: SessionContent | None = None) -> None:
        """With the pieces that it is known to have; where that is not known, with all that there are.

        What requests that failed have left beside them is listed by `all`, and goes with a collection.
        """
        if content is not None:
            self.bucket.delete(_state(upload_id), *(piece(upload_id, name) for name, _ in content.pieces()))
            return
        self.bucket.delete(_state(upload_id))
        self.bucket.delete(*(found.key for found in self.bucket.objects(f"{PREFIX}{upload_id}/")))

    def end(self, upload_id: str) -> None:
        """Discard what says that there is a session, and leave its pieces to who reads them still."""
        self.bucket.delete(_state(upload_id))

    def all(self) -> Iterator[tuple[str, int, float]]:
        """(upload id, bytes of its pieces, modified at), without a session where only pieces are left of it."""
        found = self.bucket.objects(PREFIX)
        for upload_id, objects in itertools.groupby(found, lambda each: each.key.split("/")[1]):
            size, modified_at = 0, 0.0
            for each in objects:
                modified_at = max(modified_at, each.modified_at)
                size += 0 if each.key == _state(upload_id) else each.size
            yield upload_id, size, modified_at


def piece(upload_id: str, name: str) -> str:
    """The key of a piece."""
    return f"{PREFIX}{upload_id}/{name}"


def _state(upload_id: str) -> str:
    return f"{PREFIX}{upload_id}/session"
