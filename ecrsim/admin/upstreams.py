"""Admin routes of upstreams: where other registries are asked."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import json_answer, json_body
from ecrsim.admin.guard import reaches_beyond
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.pullthrough import connection


def upstream_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("upstreams", __name__, url_prefix="/_ecrsim")

    @routes.put("/upstreams")
    @reaches_beyond
    def put_upstreams() -> Response:
        """Replace what was put before; entries of the settings stay, and those that are put go before them."""
        try:
            connection.replace_entries(runtime, json_body())
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return json_answer(connection.entries_of(runtime))

    @routes.get("/upstreams")
    def get_upstreams() -> Response:
        """All entries, `{"registry-1.docker.io": "http://127.0.0.1:5001"}`."""
        return json_answer(connection.entries_of(runtime))

    return routes
