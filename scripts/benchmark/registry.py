"""One client of the registry protocol: pushes and pulls of one large blob over a socket of its own, and manifests.

Bodies are sent from memory and received into one buffer that is thrown away, so that the client costs as little as
can be: a benchmark that stored what it pulls would measure its own disk.
"""

import base64
import hashlib
import http.client
import json
import mmap
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from benchmark.figures import BenchError
from benchmark.images import ImageSet, digest_of
from benchmark.wire import DOCKER_MANIFEST, HOST, Api

PIECE = 32 * 1024  # what docker's push puts into one HTTP chunk
BUFFER = 1024 * 1024
UNIQUE = 32


@dataclass(frozen=True)
class Blob:
    """A large blob: a first block that makes it unique, and random content that all blobs of a run share in memory."""

    first: bytes
    rest: memoryview
    digest: str

    @property
    def size(self) -> int:
        return len(self.first) + len(self.rest)


class BlobSource:
    """Unique blobs of one size. Each is new to the server, so that deduplication saves nobody any work."""

    def __init__(self, size: int) -> None:
        # Shared with forked clients without a copy.
        self._content = mmap.mmap(-1, size - UNIQUE)
        for begin in range(0, size - UNIQUE, 16 * BUFFER):
            end = min(begin + 16 * BUFFER, size - UNIQUE)
            self._content[begin:end] = os.urandom(end - begin)

    def blob(self) -> Blob:
        first = os.urandom(UNIQUE)
        rest = memoryview(self._content)
        digest = hashlib.sha256(first)
        digest.update(rest)
        return Blob(first, rest, "sha256:" + digest.hexdigest())


class Registry:
    """`/v2/` of one server for one repository; `token` is GetAuthorizationToken's, or empty where none is asked for."""

    def __init__(self, port: int, repository: str, token: str = "") -> None:
        self.port = port
        self.repository = repository
        # A server that asks for no credentials gets some all the same: equal bytes for all.
        self.headers = {"Authorization": f"Basic {token or base64.b64encode(b'AWS:none').decode()}"}

    def push_whole(self, blob: Blob) -> None:
        """POST, then the blob in one PUT with Content-Length, as containerd and BuildKit push."""
        location = self._begin()
        with socket.create_connection((HOST, self.port), timeout=300) as connection:
            headers = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"}
            connection.sendall(self._head("PUT", _with_digest(location, blob.digest), headers) + blob.first)
            connection.sendall(blob.rest)
            self._expect(connection, "PUT", 201)

    def push_chunked(self, blob: Blob) -> None:
        """POST, one PATCH in HTTP chunks, then an empty PUT, as docker pushes."""
        location = self._begin()
        with socket.create_connection((HOST, self.port), timeout=300) as connection:
            headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}
            connection.sendall(self._head("PATCH", location, headers))
            connection.sendall(b"%x\r\n%b\r\n" % (len(blob.first), blob.first))
            _send_chunks(connection, blob.rest)
            connection.sendall(b"0\r\n\r\n")
            answer = self._expect(connection, "PATCH", 202, 201)
        location = _path(answer.getheader("Location") or location)
        with socket.create_connection((HOST, self.port), timeout=300) as connection:
            connection.sendall(self._head("PUT", _with_digest(location, blob.digest), {"Content-Length": "0"}))
            self._expect(connection, "PUT", 201)

    def pull(self, digest: str, check: bool = False) -> int:
        """The size of the blob after all of it was received; `check` hashes it as well, which costs the client time."""
        with socket.create_connection((HOST, self.port), timeout=300) as connection:
            connection.sendall(self._head("GET", f"/v2/{self.repository}/blobs/{digest}", {}))
            head, content = _read_head(connection)
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if head[9:12] != b"200" or not length:
                raise BenchError(f"GET of a blob answered {head[:200].decode(errors='replace')}")
            size, received = int(length.group(1)), len(content)
            hashed = hashlib.sha256(content)
            buffer = memoryview(bytearray(BUFFER))
            while received < size:
                count = connection.recv_into(buffer)
                if not count:
                    raise BenchError(f"the blob ended after {received} of {size} bytes")
                if check:
                    hashed.update(buffer[:count])
                received += count
        if check and "sha256:" + hashed.hexdigest() != digest:
            raise BenchError("the blob that was pulled is not the blob that was pushed")
        return received

    def push_small(self, content: bytes) -> None:
        self.push_whole(Blob(content, memoryview(b""), digest_of(content)))

    def push_image(self, images: ImageSet, number: int, tag: str) -> str:
        """The digest of a manifest that was pushed with its layers."""
        manifest = images.manifest(number).encode()
        known = {digest_of(content): content for content in images.blobs()}
        described = json.loads(manifest)
        for descriptor in [described["config"], *described["layers"]]:
            self.push_small(known[descriptor["digest"]])
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        path = f"/v2/{self.repository}/manifests/{tag}"
        connection.request("PUT", path, manifest, {**self.headers, "Content-Type": DOCKER_MANIFEST})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status != 201:
            raise BenchError(f"PUT of a manifest answered {answer.status}: {content[:200].decode(errors='replace')}")
        return digest_of(manifest)

    def get_manifest(self, reference: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        path = f"/v2/{self.repository}/manifests/{reference}"
        connection.request("GET", path, headers={**self.headers, "Accept": DOCKER_MANIFEST})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status != 200:
            raise BenchError(f"GET of a manifest answered {answer.status}: {content[:200].decode(errors='replace')}")
        return content

    def begun_upload(self, size: int) -> bytes:
        """The head of a PATCH of `size` bytes to a new session."""
        return self._head("PATCH", self._begin(), {"Content-Length": str(size)})

    def _begin(self) -> str:
        with socket.create_connection((HOST, self.port), timeout=60) as connection:
            path = f"/v2/{self.repository}/blobs/uploads/"
            connection.sendall(self._head("POST", path, {"Content-Length": "0"}))
            answer = self._expect(connection, "POST", 202)
        return _path(answer.getheader("Location") or "")

    def _head(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        # Host with the port, because docker-registry makes its Location from it.
        lines = {"Host": f"{HOST}:{self.port}", **self.headers, **headers}
        return "\r\n".join(
            [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
        ).encode()

    def _expect(self, connection: socket.socket, method: str, *statuses: int) -> http.client.HTTPResponse:
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        content = answer.read()
        if answer.status not in statuses:
            text = content[:200].decode(errors="replace")
            raise BenchError(f"{method} of a blob answered {answer.status}: {text}")
        return answer


def open_registry(port: int, repository: str, is_ecr: bool) -> Registry:
    """A registry client for a repository that exists; ECR wants it created and the caller logged in."""
    if not is_ecr:
        return Registry(port, repository)
    api = Api(port)
    api.call("CreateRepository", repositoryName=repository)
    token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    api.close()
    return Registry(port, repository, token)


def timed_megabytes(size: int, work: Callable[[], object]) -> float:
    """Megabytes (10**6) per second of moving `size` bytes."""
    began = time.perf_counter()
    try:
        work()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(repr(error)) from error
    return size / 1e6 / (time.perf_counter() - began)


def _send_chunks(connection: socket.socket, content: memoryview) -> None:
    size = b"%x\r\n" % PIECE
    whole = len(content) // PIECE * PIECE
    for begin in range(0, whole, 16 * PIECE):
        parts: list[bytes | memoryview] = []
        for piece in range(begin, min(begin + 16 * PIECE, whole), PIECE):
            parts += [size, content[piece : piece + PIECE], b"\r\n"]
        _send_all(connection, parts)
    if whole < len(content):
        _send_all(connection, [b"%x\r\n" % (len(content) - whole), content[whole:], b"\r\n"])


def _send_all(connection: socket.socket, parts: list[bytes | memoryview]) -> None:
    sent = connection.sendmsg(parts)
    for part in parts:
        if sent >= len(part):
            sent -= len(part)
            continue
        connection.sendall(part[sent:])
        sent = 0


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise BenchError("the connection was closed before an answer")
        data += more
    end = data.index(b"\r\n\r\n")
    return data[: end + 2], data[end + 4 :]


def _path(location: str) -> str:
    parts = urlsplit(location)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"
