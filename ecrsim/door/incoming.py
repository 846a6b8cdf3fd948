"""The body of a request while it comes: read whole, poured into a sink, or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from granian._granian import RSGIProtocolClosed as ProtocolClosed

from ecrsim.blobs.base import CHUNK, Sink
from ecrsim.core.web import SMALL, Answer, Request, RequestRefused, Steps
from ecrsim.door.crew import Crew
from ecrsim.door.pace import Flow, Pace

_CUT = "The body ended before its end."
_SLOW = "The body comes too slowly."


class Incoming:
    """What granian has of a body, and what of it was read."""

    def __init__(self, request: Request, protocol: Any, pace: Pace) -> None:
        self._protocol, self._pace = protocol, pace
        self._length = None if request.is_chunked else request.content_length or 0
        self._has_trailer = "trailer" in request.headers
        self._received = 0
        self._pieces: AsyncGenerator[bytes, None] | None = None
        self.begun = False
        #: Nothing more will come: all did, or it cannot.
        self.ended = self._length == 0

    @property
    def left(self) -> int | None:
        """Bytes that are still to come; None when nobody knows."""
        return None if self._length is None else self._length - self._received

    async def whole(self, limit: int) -> bytes | None:
        """The body. None, and nothing was read, when it says that it is longer than `limit` bytes.

        Of one that turns out to be longer, a byte more than that. RequestRefused when it is cut or too slow.
        """
        if self._length is not None and self._length > limit:
            return None
        if self._length is not None and self._length <= SMALL:
            return await self._at_once(self._length)
        pieces: list[bytes] = []
        async for piece in self.pieces():
            pieces.append(piece)
            if self._received > limit:
                break
        return b"".join(pieces)[: limit + 1]

    async def _at_once(self, length: int) -> bytes:
        """A small body, which the server gathers; it tells when one was cut."""
        self.begun = self.ended = True
        flow = self._pace.watch(length)
        flow.wait(asyncio.get_running_loop().time())
        try:
            content: bytes = await self._protocol()
        except ProtocolClosed:
            raise RequestRefused(400, _CUT) from None
        except asyncio.CancelledError:
            raise self._late(flow) from None
        finally:
            self._pace.leave(flow)
        if len(content) != length:
            raise RequestRefused(400, _CUT)
        return content

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The pieces as they come, up to the end. Asked again, it goes on where it was left."""
        if self._pieces is None:
            self._pieces = self._come()
        return self._pieces

    async def _come(self) -> AsyncGenerator[bytes, None]:
        """The server gives an empty piece at the end. Where the body was cut or is malformed, it gives two."""
        if self.ended:
            return
        self.begun = True
        source, time = self._protocol.__aiter__(), asyncio.get_running_loop().time
        flow = self._pace.watch()
        is_over = False
        try:
            while True:
                flow.wait(time())
                try:
                    piece: bytes = await source.__anext__()
                except StopAsyncIteration:
                    break
                except asyncio.CancelledError:
                    raise self._late(flow) from None
                flow.came(len(piece), time())
                if is_over and not self._has_trailer:
                    raise RequestRefused(400, _CUT)
                is_over = not piece
                if piece:
                    self._received += len(piece)
                    yield piece
            if self._length is not None and self._received < self._length:
                raise RequestRefused(400, _CUT)
            self.ended = True
        except RequestRefused:
            self.ended = True
            raise
        finally:
            self._pace.leave(flow)

    @staticmethod
    def _late(flow: Flow) -> BaseException:
        if not flow.is_late:
            return asyncio.CancelledError()
        flow.task.uncancel()
        return RequestRefused(408, _SLOW)

    async def skip(self, limit: int) -> None:
        """Read up to `limit` bytes for nothing."""
        try:
            async for piece in self.pieces():
                limit -= len(piece)
                if limit <= 0:
                    break
        except RequestRefused:
            pass

    async def pour(self, sink: Sink, crew: Crew) -> None:
        """Write the body to the sink, in pieces that are worth a thread. RequestRefused once what came is written.

        One piece is written while the next one comes.
        """
        gathered: list[bytes] = []
        size = 0
        writing: asyncio.Future[Any] | None = None
        refusal: RequestRefused | None = None
        try:
            try:
                async for piece in self.pieces():
                    gathered.append(piece)
                    size += len(piece)
                    if size >= CHUNK:
                        if writing is not None:
                            await writing
                        writing = crew.run(sink.write, b"".join(gathered))
                        gathered.clear()
                        size = 0
            except RequestRefused as error:
                refusal = error
            if writing is not None:
                await writing
            if gathered:
                writing = crew.run(sink.write, b"".join(gathered))
                await writing
        finally:
            if writing is not None and not writing.done():
                await asyncio.wait([writing])
        if refusal is not None:
            raise refusal


def _go(steps: Steps, error: Exception | None) -> Sink | Answer:
    try:
        return next(steps) if error is None else steps.throw(error)
    except StopIteration as end:
        answer: Answer = end.value
        return answer


async def follow(steps: Steps, incoming: Incoming, crew: Crew) -> Answer:
    """Take the steps to an answer; they, and the sinks that they give, run on the crew's threads."""
    found = await crew.run(_go, steps, None)
    while not isinstance(found, Answer):
        failure: Exception | None = None
        try:
            await incoming.pour(found, crew)
        except Exception as error:  # noqa: BLE001 - the steps say what becomes of it
            failure = error
        found = await crew.run(_go, steps, failure)
    return found
