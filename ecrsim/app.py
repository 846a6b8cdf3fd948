"""The WSGI application: who answers what.

    POST /            → controlplane, the JSON API
    /v2/…             → dataplane, the registry
    /_download/…      → dataplane, layers by signed URL
    everything else   → Flask: /_ecrsim/ and the page for a browser

The first three stand in front of Flask, whose request handling costs four fifths of a small answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ecrsim.controlplane import endpoint, sts
from ecrsim.core import origins
from ecrsim.core.errors import ServiceError
from ecrsim.core.jobs import run_due
from ecrsim.core.runtime import Runtime
from ecrsim.core.web import Answer, Request
from ecrsim.dataplane.downloads import download
from ecrsim.dataplane.errors import RegistryError, render
from ecrsim.dataplane.routes import DataPlane
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.layers.downloads import PREFIX

load_capabilities()

access_log = logging.getLogger("ecrsim.access")
log = logging.getLogger("ecrsim.jobs")


class Application:
    """All of ecrsim over one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._registry = DataPlane(runtime)
        self._pages: Callable[..., Iterable[bytes]] | None = None
        self._lock = threading.Lock()
        self._log = runtime.config.access_log
        self._settles = runtime.config.jobs == "settle"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        runtime = self._runtime
        config = runtime.config
        request = Request(environ, config.trusted_proxies, runtime.tls_port if config.wants_tls else None)
        path = request.path
        if self._settles:
            # What became due since the last answer, so that this one tells of it.
            self._settle()
        if (refused := self._refused(request)) is not None:
            answer = refused
        elif path == "/" and sts.is_sts(request):
            answer = sts.answer(runtime, request)
        elif path == "/" and request.method == "POST":
            answer = endpoint.answer(runtime, request)
        elif path.startswith("/v2/") or path == "/v2":
            answer = self._registry.answer(request)
        elif path.startswith(PREFIX):
            answer = download(runtime, request)
        else:
            pages = self._flask()(environ, start_response)
            if self._settles:
                self._settle()
            return pages
        return self._send(request, answer, start_response)

    def _refused(self, request: Request) -> Answer | None:
        """What a page of another origin is told; None for all others. Flask's pages ask for themselves."""
        config = self._runtime.config
        origin, site = request.header("ORIGIN"), request.header("SEC_FETCH_SITE")
        if origin is None and site is None:
            return None
        why = origins.refusal(origin, site, request.host, (config.host, config.registry_host))
        if why is None:
            return None
        if request.path.startswith("/v2/") or request.path == "/v2":
            return render(RegistryError(403, "DENIED", why))
        if request.path == "/" and sts.is_sts(request):
            return sts.refused(why)
        if request.path == "/" and request.method == "POST":
            return endpoint.refused(why)
        return None if not request.path.startswith(PREFIX) else Answer(403, [("Content-Length", "0")])

    def _send(self, request: Request, answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._log:
            # An API request says what it asks for in a header alone.
            target = request.header("X_AMZ_TARGET")
            what = f"{request.path} {target}" if target else request.path
            access_log.info("%s %s %d", request.method, what, answer.status)
        if self._settles:
            self._settle()
        answer = request.settle(answer)
        start_response(answer.status_line, answer.headers)
        return [answer.body] if isinstance(answer.body, bytes) else answer.body

    def _settle(self) -> None:
        try:
            run_due(self._runtime, wait=False)
        except ServiceError as error:
            # What was asked for is done; the jobs stay due.
            log.warning("jobs could not be run: %s", error.message)

    def _flask(self) -> Callable[..., Iterable[bytes]]:
        if self._pages is None:
            with self._lock:
                # Imported on first use: 100 ms and 9 MB that API and registry do without.
                from ecrsim.admin.routes import create_pages

                self._pages = self._pages or create_pages(self._runtime).wsgi_app
        return self._pages


def create_app(runtime: Runtime) -> Application:
    """The application of an opened runtime."""
    return Application(runtime)
