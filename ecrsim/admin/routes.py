"""The admin surface and the page for a browser, in Flask.

A page of another origin never reaches the admin surface. A browser tells the origin of a page only with some requests,
and a page that rebinds its own name to 127.0.0.1 has the same origin as ecrsim: so, besides, a request must come by a
name that nobody but the user can have.
"""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from ecrsim import __version__
from ecrsim.admin.access import access_routes
from ecrsim.admin.delivery import delivery_routes
from ecrsim.admin.events import event_routes
from ecrsim.admin.lifecycle import lifecycle_routes
from ecrsim.admin.page import front_page
from ecrsim.admin.time import time_routes
from ecrsim.config import Config
from ecrsim.contract.operations import missing
from ecrsim.core.errors import ServiceError
from ecrsim.core.runtime import Runtime
from ecrsim.delivery.targets import load_targets
from ecrsim.ecr.access.loading import load_principals

#: It answers whatever is switched off or asked for: doctor, `ecrsim wait` and the image's HEALTHCHECK live by it.
_HEALTH = "/_ecrsim/health"
#: Names below these are never sold: hosts files, docker and compose networks, clusters and office networks use them.
_PRIVATE_DOMAINS = ("localhost", "test", "internal", "local")


def create_pages(runtime: Runtime) -> Flask:
    """The Flask application for everything that is neither API nor registry."""
    pages = Flask("ecrsim.admin", static_folder=None)

    @pages.before_request
    def guard() -> Response | None:
        return _refused(runtime.config) if request.path.startswith("/_ecrsim/") else None

    @pages.get(_HEALTH)
    def health() -> Response:
        return jsonify(
            status="ok",
            version=__version__,
            account=runtime.config.account,
            region=runtime.config.region,
            notImplemented={service: len(missing(service)) for service in ("ecr", "ecr-public")},
        )

    for routes in (access_routes, delivery_routes, event_routes, lifecycle_routes, time_routes):
        pages.register_blueprint(routes(runtime))

    @pages.post("/_ecrsim/reset")
    def reset() -> Response:
        runtime.reset()
        load_principals(runtime)
        load_targets(runtime)
        return jsonify(status="ok")

    @pages.get("/")
    def front() -> Response:
        answer = Response(front_page(runtime, request.host_url.rstrip("/"), request.host), mimetype="text/html")
        answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return answer

    @pages.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        # Of the error's own response, which has Allow and Location where they are due.
        answer = Response(headers=error.get_response().headers)
        answer.data, answer.content_type = jsonify(message=error.description).data, "application/json"
        answer.status_code = error.code or 500
        return answer

    @pages.errorhandler(ServiceError)
    def fail(error: ServiceError) -> Response:
        return _refusal(error.status, error.message)

    return pages


def _refused(config: Config) -> Response | None:
    """Why the request may not reach the admin surface; None when it may."""
    is_health = request.path == _HEALTH
    if not config.admin and not is_health:
        return _refusal(404, "The admin surface is switched off.")
    if _is_of_another_origin():
        return _refusal(403, "The admin surface is closed to pages of other origins.")
    if not _is_own_name(urlsplit(f"//{request.host}").hostname or "", config):
        return _refusal(
            403, f"The admin surface is not reached by the name {request.host}, unless registry_host is set to it."
        )
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if config.admin_token and not is_health and not hmac.compare_digest(given, config.admin_token.encode()):
        answer = _refusal(401, "The admin surface asks for its token: Authorization: Bearer <token>.")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return None


def _refusal(status: int, message: str) -> Response:
    answer = jsonify(message=message)
    answer.status_code = status
    return answer


def _is_of_another_origin() -> bool:
    """Browsers alone send these: Origin with what changes something, Sec-Fetch-Site to hosts that they trust."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None and origin.partition("://")[2] != request.host:
        return True
    return site not in (None, "same-origin", "none")


def _is_own_name(name: str, config: Config) -> bool:
    """Whether no stranger can point this host name here: an address, a name without a dot, one of a private domain."""
    name = name.removesuffix(".")
    if "." not in name or name.rpartition(".")[2] in _PRIVATE_DOMAINS:
        return True
    # What it is told to listen on, or to be called, is the user's own.
    if name in (config.host, urlsplit(f"//{config.registry_host}").hostname):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
