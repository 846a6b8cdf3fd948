"""The admin surface and the page for a browser, in Flask.

A page of another origin never reaches it (`core/origins.py`). Older browsers do not tell of pages with each request, so
a request to the admin surface must come by a name that no stranger can have, whoever sends it.
"""

from __future__ import annotations

import hmac

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from ecrsim import __version__
from ecrsim.admin.access import access_routes
from ecrsim.admin.delivery import delivery_routes
from ecrsim.admin.events import event_routes
from ecrsim.admin.lifecycle import lifecycle_routes
from ecrsim.admin.page import pages_for_a_browser
from ecrsim.admin.time import time_routes
from ecrsim.config import Config
from ecrsim.contract.operations import missing
from ecrsim.core import origins
from ecrsim.core.errors import ServiceError
from ecrsim.core.runtime import Runtime
from ecrsim.delivery.targets import load_targets
from ecrsim.ecr.access.loading import load_principals

#: It answers whatever is switched off or asked for: doctor, `ecrsim wait` and the image's HEALTHCHECK live by it.
_HEALTH = "/_ecrsim/health"


def create_pages(runtime: Runtime) -> Flask:
    """The Flask application for everything that is neither API nor registry."""
    pages = Flask("ecrsim.admin", static_folder=None)

    @pages.before_request
    def guard() -> Response | None:
        if request.path.startswith("/_ecrsim/"):
            return _refused(runtime.config)
        why = _closed(runtime.config, "ecrsim")
        return None if why is None else _refusal(403, why)

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
    pages.register_blueprint(pages_for_a_browser(runtime, lambda: _hidden(runtime.config)))

    @pages.post("/_ecrsim/reset")
    def reset() -> Response:
        runtime.reset()
        load_principals(runtime)
        load_targets(runtime)
        return jsonify(status="ok")

    @pages.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        # Of the error's own response, which has Allow and Location where they are due.
        answer = Response(headers=error.get_response().headers)
        answer.data, answer.content_type = jsonify(message=error.description).data, "application/json"
        answer.status_code = error.code or 500
        return answer

    @pages.errorhandler(UnicodeDecodeError)
    def refuse_bytes(_: UnicodeDecodeError) -> Response:
        # Whatever bytes stand in the request line arrive here; werkzeug decodes the query when it is asked for.
        return _refusal(400, "The query is not UTF-8.")

    @pages.errorhandler(ServiceError)
    def fail(error: ServiceError) -> Response:
        return _refusal(error.status, error.message)

    return pages


def _refused(config: Config) -> Response | None:
    """Why the request may not reach the admin surface; None when it may."""
    is_health = request.path == _HEALTH
    if not config.admin and not is_health:
        return _refusal(404, "The admin surface is switched off.")
    why = _closed(config, "The admin surface")
    if why is None and not origins.is_own_name(request.host, (config.host, config.registry_host)):
        why = origins.wrong_name(request.host, "The admin surface")
    if why is not None:
        return _refusal(403, why)
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if config.admin_token and not is_health and not hmac.compare_digest(given, config.admin_token.encode()):
        answer = _refusal(401, "The admin surface asks for its token: Authorization: Bearer <token>.")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return None


def _hidden(config: Config) -> str | None:
    """Why a browser is not shown what the admin surface knows: there is none, by this name, or it asks for a token."""
    if not config.admin or config.admin_token:
        return "Repositories are not shown here, since the admin surface is closed."
    if not origins.is_own_name(request.host, (config.host, config.registry_host)):
        return origins.wrong_name(request.host, "The list of repositories")
    return None


def _closed(config: Config, what: str) -> str | None:
    """Why a page may not reach it."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    return origins.refusal(origin, site, request.host, (config.host, config.registry_host), what=what)


def _refusal(status: int, message: str) -> Response:
    answer = jsonify(message=message)
    answer.status_code = status
    return answer
