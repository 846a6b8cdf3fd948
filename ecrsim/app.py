"""The application: who answers what.

    POST /            → controlplane, the JSON API
    /signing-profiles → controlplane, the part of AWS Signer that signing profiles need
    /v2/… /token/     → dataplane, the registries
    /_download/…      → dataplane, layers by signed URL
    everything else   → Flask: /_ecrsim/ and the page for a browser

All but the last stand in front of Flask, whose request handling costs four fifths of a small answer. `Application.look`
says where a request is worked on and how; a server with a loop (`door/`) goes by it, and WSGI servers simply do it.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

from ecrsim.controlplane import endpoint, signer, sts
from ecrsim.core import cors, origins
from ecrsim.core.errors import ServiceError
from ecrsim.core.jobs import run_due
from ecrsim.core.runtime import Runtime
from ecrsim.core.web import Answer, Feed, Headers, Request, RequestRefused, Steps, Work, follow, runs_where
from ecrsim.dataplane.downloads import download
from ecrsim.dataplane.public import TOKEN_PATHS
from ecrsim.dataplane.routes import DataPlane
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.layers.downloads import PREFIX

load_capabilities()
for declaring in ("ecrsim.delivery.household", "ecrsim.core.nodes"):
    importlib.import_module(declaring)

access_log = logging.getLogger("ecrsim.access")
log = logging.getLogger("ecrsim.jobs")


class Application:
    """All of ecrsim over one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._registry = DataPlane(runtime)
        self._pages: Callable[..., Iterable[bytes]] | None = None
        self._lock = threading.Lock()
        # Made before anybody asks, so that `ecrsim token` finds it once ecrsim is ready.
        _ = runtime.admin_token
        self._log = runtime.config.access_log
        self._settles = runtime.config.jobs == "settle"
        self._cors = cors.origins_of(runtime.config.cors_origins)

    def look(self, request: Request) -> Work:
        """The work of a request: who answers it, and in which thread. Nothing is done yet."""
        runtime, path = self.runtime, request.path
        if (refused := self._refused(request)) is not None:
            work = Work("loop", 0, partial(_same, refused))
        elif path == "/" and request.method == "OPTIONS" and (headers := self._preflight(request)):
            work = Work("loop", 0, partial(_same, Answer(200, headers)))
        elif path == "/" and sts.is_sts(request):
            work = self._shared(request, sts.look(runtime, request))
        elif path == "/" and request.method == "POST":
            work = self._shared(request, endpoint.look(runtime, request))
        elif path.startswith("/v2/") or path == "/v2":
            work = self._registry.look(request)
        elif path in TOKEN_PATHS:
            work = self._registry.look_for_token(request)
        elif path.startswith(PREFIX):
            # Where it is encrypted, a KMS may have to be asked first.
            runs = runs_where("loop", waits=runtime.blobs.waits or runtime.keyed_blobs is not None)
            work = Work(runs, 0, partial(download, runtime, request))
        elif signer.is_signer(request):
            work = signer.look(runtime, request)
        else:
            work = Work("long", runtime.config.max_body, partial(self._page, request))
        if not self._settles:
            return work
        # Jobs that became due since the last answer run first, so that this answer shows their work.
        return Work("writer" if work.runs == "loop" else work.runs, work.takes, partial(self._settled, work.perform))

    def _refused(self, request: Request) -> Answer | None:
        """The refusal of a page of another origin; None for all other requests. Flask's pages ask for themselves."""
        config = self.runtime.config
        origin, site = request.header("origin"), request.header("sec-fetch-site")
        if origin is None and site is None:
            return None
        # The registry and what is not ECR's stay closed to them, whom the setting names or not.
        allowed = self._cors if request.path == "/" else ()
        why = origins.refusal(origin, site, request.host, (config.host, config.registry_host), allowed)
        if why is None:
            return None
        if request.path.startswith("/v2/") or request.path in ("/v2", *TOKEN_PATHS):
            return self._registry.turn_away(request, why)
        if request.path == "/" and sts.is_sts(request):
            return sts.refused(why)
        if request.path == "/" and request.method == "POST":
            return endpoint.refused(why)
        if signer.is_signer(request):
            return signer.refused(why)
        return None if not request.path.startswith(PREFIX) else Answer(403, [("Content-Length", "0")])

    def _preflight(self, request: Request) -> Headers:
        return cors.preflight(request.header("origin"), self._cors)

    def _shared(self, request: Request, work: Work) -> Work:
        """The work, with an answer that a page of an origin which is named may read."""
        headers = cors.headers(request.header("origin"), self._cors) if self._cors else []
        return work._replace(perform=partial(_with_headers, headers, work.perform)) if headers else work

    def refuse(self, request: Request, error: RequestRefused) -> Answer:
        """The answer to a request that the server could not take, in the form of its plane."""
        path = request.path
        if path == "/" and sts.is_sts(request):
            return sts.refuse(error)
        if path == "/" and request.method == "POST":
            return endpoint.refuse(error)
        if signer.is_signer(request):
            return signer.refuse(error)
        if path.startswith("/v2/") or path in ("/v2", *TOKEN_PATHS):
            return self._registry.refuse(request, error)
        text = error.message.encode()
        return Answer(error.status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))], text)

    def answered(self, request: Request, answer: Answer) -> None:
        """Log a request with the answer that it gets."""
        if self._log:
            # An API request says what it asks for in a header alone.
            target = request.header("x-amz-target")
            what = f"{request.path} {target}" if target else request.path
            access_log.info("%s %s %d", request.method, what, answer.status)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """For WSGI servers."""
        request = Request.of_wsgi(environ, trusted_proxies=self.runtime.config.trusted_proxies)
        answer = self.look(request).perform()
        if not isinstance(answer, Answer):
            answer = follow(answer, request.body)
        self.answered(request, answer)
        answer = request.settle(answer)
        start_response(answer.status_line, answer.headers)
        return [answer.body] if isinstance(answer.body, bytes) else answer.body

    def _settled(self, perform: Callable[[], Answer | Steps]) -> Answer | Steps:
        self._settle()
        answer = perform()
        if not isinstance(answer, Answer):
            return self._settled_after(answer)
        self._settle()
        return answer

    def _settled_after(self, steps: Steps) -> Generator[Any, None, Answer]:
        answer = yield from steps
        self._settle()
        return answer

    def _settle(self) -> None:
        try:
            run_due(self.runtime, wait=False)
        except ServiceError as error:
            # What was asked for is done; the jobs stay due.
            log.warning("jobs could not be run: %s", error.message)

    def _page(self, request: Request) -> Answer:
        """Flask's answer, in one piece; a feed stays a feed."""
        content = request.read(self.runtime.config.max_body)
        if content is None:
            limit = self.runtime.config.max_body
            return self.refuse(request, RequestRefused(413, f"The request body is longer than {limit} bytes."))
        started: list[Answer] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            started.append(Answer(int(status.partition(" ")[0]), headers))

        pieces = self._flask()(request.to_wsgi(content), start_response)
        if isinstance(pieces, Feed):
            return started[0]._replace(body=pieces)
        try:
            return started[0]._replace(body=b"".join(pieces))
        finally:
            if close := getattr(pieces, "close", None):
                close()

    def _flask(self) -> Callable[..., Iterable[bytes]]:
        if self._pages is None:
            with self._lock:
                # Imported on first use: 100 ms and 9 MB that API and registry do without.
                from ecrsim.pages import compose

                self._pages = self._pages or compose(self.runtime).wsgi_app
        return self._pages


def _with_headers(headers: Headers, perform: Callable[[], Answer | Steps]) -> Answer | Steps:
    answer = perform()
    if not isinstance(answer, Answer):
        return _with_headers_after(headers, answer)
    answer.headers.extend(headers)
    return answer


def _with_headers_after(headers: Headers, steps: Steps) -> Generator[Any, None, Answer]:
    answer = yield from steps
    answer.headers.extend(headers)
    return answer


def _same(answer: Answer) -> Answer:
    return answer


def create_app(runtime: Runtime) -> Application:
    """The application of an opened runtime."""
    return Application(runtime)
