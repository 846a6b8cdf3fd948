"""Upstreams on loopback that do what a test tells them: good registries, and every kind of bad one."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from ecrsim.core.digest import digest_of
from ecrsim.testing import BuiltImage

#: Answers a request; what it returns is sent as JSON with 200, unless it wrote something itself.
Answerer = Callable[["Handler"], Any]


class Asked(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    authorization: str | None
    range: str | None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        header = self.headers.get
        site.asked.append(Asked(self.command, self.path, header("Authorization"), header("Range")))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            found = site.answer(self)
            if found is not None:
                self.give(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def give(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        given = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """End the connection in the middle of whatever was begun."""
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing: what was asked is in `Site.asked`."""


class Site:
    """A server on 127.0.0.1 with a port of its own."""

    def __init__(self, answer: Answerer, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        #: What a handler that stalls waits for.
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._server.site = self  # type: ignore[attr-defined]
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def serving(answer: Answerer, context: ssl.SSLContext | None = None) -> Iterator[Site]:
    site = Site(answer, context)
    try:
        yield site
    finally:
        site.close()


class Registry:
    """An answerer that is a registry of these images, `{"library/app": {"v1": image}}`; `wants` guards it."""

    def __init__(self, images: dict[str, dict[str, BuiltImage]], wants: Answerer | None = None) -> None:
        self.images = images
        self.wants = wants
        self.referrers: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, handler: Handler) -> Any:
        if self.wants is not None and self.wants(handler):
            return None
        path = urlsplit(handler.path).path
        if path == "/v2/":
            return {}
        name, _, rest = path.removeprefix("/v2/").rpartition("/manifests/" if "/manifests/" in path else "/blobs/")
        if "/referrers/" in path:
            digest = path.rpartition("/")[2]
            index = {"schemaVersion": 2, "manifests": self.referrers.get(digest, [])}
            handler.give(200, json.dumps(index).encode(), {"Content-Type": "application/vnd.oci.image.index.v1+json"})
            return None
        images = self.images.get(name, {})
        if "/manifests/" in path:
            found = images.get(rest) or next((image for image in images.values() if image.digest == rest), None)
            if found is not None:
                headers = {"Content-Type": found.media_type, "Docker-Content-Digest": found.digest}
                handler.give(200, found.manifest, headers)
                return None
        blobs = {digest: data for image in images.values() for digest, data in image.blobs.items()}
        if "/blobs/" in path and rest in blobs:
            give_blob(handler, blobs[rest])
            return None
        handler.give(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', {"Content-Type": "application/json"})
        return None


def give_blob(handler: Handler, data: bytes) -> None:
    """A blob, or its end where a range is asked for."""
    asked = handler.headers.get("Range")
    if asked is None:
        handler.give(200, data)
        return
    first = int(asked.removeprefix("bytes=").removesuffix("-"))
    handler.give(206, data[first:], {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"})


def basic(username: str, password: str) -> Answerer:
    """Refuses who does not come with these."""
    wanted = f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"

    def refuses(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == wanted:
            return False
        handler.give(401, b"{}", {"WWW-Authenticate": 'Basic realm="here"'})
        return True

    return refuses


class TokenService:
    """A token service as an answerer, and the guard of the registry that believes its tokens."""

    def __init__(self, credentials: tuple[str, str] | None = None, lifetime: Any = 300) -> None:
        self.credentials = credentials
        self.lifetime = lifetime
        self.given: list[str] = []
        self.good: set[str] = set()
        self.url = ""

    def __call__(self, handler: Handler) -> Any:
        if self.credentials is not None and basic(*self.credentials)(handler):
            return None
        (scope,) = parse_qs(urlsplit(handler.path).query).get("scope", [""])
        token = f"token-{len(self.given)}"
        self.given.append(scope)
        self.good.add(token)
        return {"token": token, "expires_in": self.lifetime}

    def refuses(self, handler: Handler) -> bool:
        if (handler.headers.get("Authorization") or "").removeprefix("Bearer ") in self.good:
            return False
        name = handler.path.removeprefix("/v2/").partition("/manifests/")[0].partition("/blobs/")[0]
        scope = f',scope="repository:{name}:pull"' if name else ""
        challenge = f'Bearer realm="{self.url}/token",service="registry.test"{scope}'
        handler.give(401, b"{}", {"WWW-Authenticate": challenge})
        return True


def named(data: bytes) -> str:
    return digest_of(data)
