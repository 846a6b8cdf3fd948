"""HTTP as it lies on the wire: a connection whose requests are sent piece by piece, and an upload to aim them at."""

import base64
import socket
from types import TracebackType
from typing import NamedTuple, Self

import requests

from tests.e2e import images
from tests.e2e.server import ServerProcess


class Reply(NamedTuple):
    """A response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to a server. `authorization` is the header that a logged-in client sends."""

    def __init__(self, server: ServerProcess, address: str = "127.0.0.1", *, timeout: float = 20) -> None:
        self.socket = socket.create_connection((address, server.port), timeout=timeout)
        # Head and body are sent apart here, and must not wait for each other.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.authorization = "Basic " + base64.b64encode(f"AWS:{server.password()}".encode()).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

    def begin(self, method: str, path: str, *headers: tuple[str, object], logged_in: bool = True) -> None:
        """Send the head of a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        if logged_in:
            lines.append(f"Authorization: {self.authorization}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def send_chunk(self, content: bytes) -> None:
        """A chunk of a chunked body; an empty one ends it."""
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(content), content))

    def reply(self, *, to_head: bool = False) -> Reply:
        """Read one response, an interim one (100) included."""
        status = int(self.stream.readline().split()[1])
        headers = {}
        while line := self.stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if to_head or status < 200 else int(headers.get("content-length", "0"))
        return Reply(status, headers, self.stream.read(length))

    def ask(self, method: str, path: str, *headers: tuple[str, object], logged_in: bool = True) -> Reply:
        """A request without a body, and its response."""
        self.begin(method, path, *headers, logged_in=logged_in)
        return self.reply(to_head=method == "HEAD")

    def ended(self) -> bool:
        """Whether the server has closed the connection; waits until it says something."""
        return self.stream.read(1) == b""


class Uploads:
    """Upload sessions of one repository, spoken to by an ordinary client."""

    def __init__(self, server: ServerProcess, repository: str) -> None:
        self.server = server
        self.repository = repository
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = ("AWS", server.password())

    def begin(self) -> str:
        """The path of a new session."""
        begun = self.session.post(f"{self.server.url}/v2/{self.repository}/blobs/uploads/", timeout=20)
        assert begun.status_code == 202
        return begun.headers["Location"]

    def range(self, location: str) -> str:
        """What the session says that it has."""
        state = self.session.get(self.server.url + location, timeout=20)
        assert state.status_code == 204
        return state.headers["Range"]

    def finish(self, location: str, rest: bytes, content: bytes, first: int) -> None:
        """Send `rest`, which begins at byte `first`, and hold what was stored against `content`."""
        done = self.session.put(
            self.server.url + location,
            params={"digest": images.digest(content)},
            data=rest,
            headers={"Content-Range": f"{first}-{first + len(rest) - 1}"} if rest else {},
            timeout=60,
        )
        assert done.status_code == 201, done.text
        assert self.pull(images.digest(content)) == content

    def pull(self, digest: str) -> bytes:
        found = self.session.get(f"{self.server.url}/v2/{self.repository}/blobs/{digest}", timeout=60)
        assert found.status_code == 200, found.text
        return found.content
