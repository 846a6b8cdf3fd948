"""What a browser is given of ECR Public."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr_public.catalog import LOGOS, find_logo


def gallery_pages(runtime: Runtime) -> list[Blueprint]:
    """Everybody may read them, as everybody may pull."""
    logos = Blueprint("logos", __name__, url_prefix=LOGOS)

    @logos.get("/<registry>/<logo_id>.png")
    def show_logo(registry: str, logo_id: str) -> Response:
        """Another logo has another URL, so that this one never changes."""
        with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
            image = find_logo(call, logo_id)
        if image is None:
            raise NotFound("There is no such logo, or no longer.")
        answer = Response(image, mimetype="image/png")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    return [logos]
