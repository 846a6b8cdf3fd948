"""What delivery is tested with: an outbox with events, a webhook that can be down, a way to wait."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ecrsim.config import load
from ecrsim.core.event import Event
from ecrsim.core.outbox import emit
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.delivery import targets
from ecrsim.delivery.eventbridge import envelope
from ecrsim.delivery.parcels import Parcel
from ecrsim.delivery.reach import Reach
from tests.answers import ACCOUNT, REGION

DIGEST = f"sha256:{'a' * 64}"
FACTS = {
    "image_digest": DIGEST,
    "image_tag": "1",
    "manifest_media_type": "application/vnd.oci.image.manifest.v1+json",
    "artifact_media_type": None,
    "is_referrer": False,
}


def wait_until(predicate: Callable[[], Any], seconds: float = 10) -> None:
    """Until it is true; AssertionError when that takes longer."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not predicate():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(0.01)


def new_runtime(data_dir: Path, **settings: Any) -> Runtime:
    runtime = Runtime(load({"data_dir": str(data_dir), **settings}, environ={}))
    runtime.open()
    return runtime


def push(runtime: Runtime, *tags: str, repository: str = "app", type: str = "ImagePushed") -> None:
    """Append one event for each tag."""
    with runtime.call(root_caller(ACCOUNT, REGION)) as call, call.writing():
        for tag in tags:
            emit(call, Registry(ACCOUNT, REGION), repository, type, {**FACTS, "image_tag": tag})


def parcel(sequence: int, tag: str = "1", *, repository: str | None = "app", **facts: Any) -> Parcel:
    identity = f"00000000-0000-4000-8000-{sequence:012}"
    members = {**FACTS, "image_tag": tag, **facts}
    event = Event(sequence, 1_700_000_000_000, identity, "ImagePushed", ACCOUNT, REGION, repository, members, None)
    return Parcel(event, envelope(event))


def set_targets(runtime: Runtime, *entries: dict[str, Any], rules: Iterable[dict[str, Any]] = ()) -> dict[str, int]:
    with runtime.database.write() as connection:
        return targets.replace_all(
            connection,
            {"targets": list(entries), "rules": list(rules)},
            Reach.of(runtime.config, runtime.data_dir),
        )


def state_of(runtime: Runtime, name: str) -> dict[str, Any]:
    with runtime.database.read() as connection:
        return next(target for target in targets.state(connection) if target["name"] == name)


def is_done(runtime: Runtime, name: str) -> bool:
    return state_of(runtime, name)["pending"] == 0


def tag_of(envelope: dict[str, Any]) -> str:
    return str(envelope["detail"]["image-tag"])


class Delivered(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def tag(self) -> str:
        return tag_of(orjson.loads(self.body))


class Receiver:
    """A webhook on a port of 127.0.0.1 that stays the same when it is taken down and brought up again.

    `respond` decides the status of each request, by its number from 0, in the thread of that request; headers may
    follow.
    """

    def __init__(self, respond: Callable[[int], int] = lambda _: 204, headers: dict[str, str] | None = None) -> None:
        self.respond = respond
        self.headers = headers or {}
        self.content = b""
        #: All that was asked, and what of it was answered with 2xx.
        self.asked: list[Delivered] = []
        self.taken: list[Delivered] = []
        self.connections = 0
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/events?key=hidden"

    @property
    def tags(self) -> list[str]:
        return [each.tag for each in self.taken]

    def up(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with receiver._lock:
                    receiver.connections += 1
                    receiver._open.add(self.connection)

            def finish(self) -> None:
                with receiver._lock:
                    receiver._open.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._hear(Delivered(self.path, dict(self.headers.items()), body))
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(receiver.content)))
                self.end_headers()
                self.wfile.write(receiver.content)

            def log_message(self, *_: Any) -> None:
                return None

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: Any) -> None:
                """A connection that its client has cut."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def _hear(self, delivered: Delivered) -> int:
        with self._lock:
            number = len(self.asked)
            self.asked.append(delivered)
        status = self.respond(number)
        if 200 <= status < 300:
            with self._lock:
                self.taken.append(delivered)
        return status

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            with self._lock:
                for connection in self._open:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


class Right:
    """A right that is lost when somebody says so."""

    def __init__(self) -> None:
        self.is_there = True

    def is_held(self) -> bool:
        return self.is_there

    def release(self) -> None:
        pass
