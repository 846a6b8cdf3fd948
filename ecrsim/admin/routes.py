"""The admin surface and the page for a browser, in Flask. `guard.py` says who reaches them."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import HTTPException

from ecrsim import __version__
from ecrsim.admin.access import access_routes
from ecrsim.admin.advisories import advisory_routes
from ecrsim.admin.bills import bill_routes
from ecrsim.admin.costs import cost_routes
from ecrsim.admin.delivery import delivery_routes
from ecrsim.admin.events import event_routes
from ecrsim.admin.guard import HEALTH, READY, guard, hidden, refusal
from ecrsim.admin.keys import keys_routes
from ecrsim.admin.lifecycle import lifecycle_routes
from ecrsim.admin.page import pages_for_a_browser
from ecrsim.admin.public import public_routes
from ecrsim.admin.scanning import scanning_routes
from ecrsim.admin.signing import signing_routes
from ecrsim.admin.time import time_routes
from ecrsim.admin.upstreams import upstream_routes
from ecrsim.contract.operations import missing
from ecrsim.core.errors import ServiceError
from ecrsim.core.household import reset
from ecrsim.core.nodes import known, obstacle
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.images.scrub import report


def admin_pages(runtime: Runtime) -> list[Blueprint]:
    """The admin surface and the front page; errors of all pages, and who may ask for one, are seen to here as well."""
    pages = Blueprint("pages", __name__)

    guard(pages, runtime)

    @pages.get(HEALTH)
    def health() -> Response:
        """Answer 200 with version, account and region when ecrsim can work; also where the rest is switched off."""
        from_database: dict[str, Any] = {"layers": None, "nodes": None}
        # It answers without them while the database is not to be had.
        with contextlib.suppress(ServiceError):
            from_database = {"layers": report(runtime), "nodes": known(runtime)}
        return jsonify(
            status="ok",
            **from_database,
            version=__version__,
            account=runtime.config.account,
            region=runtime.config.region,
            notImplemented={service: len(missing(service)) for service in ("ecr", "ecr-public")},
        )

    @pages.get(READY)
    def ready() -> Response:
        """Answer 200 when this node takes requests; 503, with the reason, while it drains or has no database."""
        reason = obstacle(runtime)
        answer = jsonify(status="ready") if reason is None else jsonify(status="not ready", reason=reason)
        answer.status_code = 200 if reason is None else 503
        return answer

    @pages.post("/_ecrsim/reset")
    def forget() -> Response:
        """Forget every repository, image, upload and setting, and turn the clock back; logins stay valid."""
        reset(runtime)
        return jsonify(status="ok")

    @pages.app_errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        # Of the error's own response, which has Allow and Location where they are due.
        answer = Response(headers=error.get_response().headers)
        answer.data, answer.content_type = jsonify(message=error.description).data, "application/json"
        answer.status_code = error.code or 500
        return answer

    @pages.app_errorhandler(UnicodeDecodeError)
    def refuse_bytes(_: UnicodeDecodeError) -> Response:
        # Whatever bytes stand in the request line arrive here; werkzeug decodes the query when it is asked for.
        return refusal(400, "The query is not UTF-8.")

    @pages.app_errorhandler(ServiceError)
    def fail(error: ServiceError) -> Response:
        return refusal(error.status, error.message)

    routes = (
        access_routes,
        advisory_routes,
        bill_routes,
        cost_routes,
        delivery_routes,
        event_routes,
        keys_routes,
        lifecycle_routes,
        public_routes,
        scanning_routes,
        signing_routes,
        time_routes,
        upstream_routes,
    )
    browser = pages_for_a_browser(runtime, lambda: hidden(runtime.config))
    return [pages, *(each(runtime) for each in routes), browser]
