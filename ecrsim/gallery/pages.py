"""The pages of the gallery: a search, a page for each repository, and the logos. None of them needs a script."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from ecrsim.core.numbers import whole
from ecrsim.core.registry import PUBLIC_REGION
from ecrsim.core.runtime import Caller, Runtime
from ecrsim.ecr_public.catalog import LOGOS, find_logo
from ecrsim.gallery import showing
from ecrsim.gallery.markdown import rendered

#: Rows of a page; more are behind a link.
_ROWS = 50
_NOTHING = "There is no such page, or no longer."
#: Nothing runs, and nothing is loaded from elsewhere.
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


def gallery_pages(runtime: Runtime) -> list[Blueprint]:
    """Everybody may read them, as everybody may pull."""
    return [_pages(runtime), _logos(runtime)]


def _anybody(runtime: Runtime) -> Caller:
    return Caller("", PUBLIC_REGION, "anonymous", service="ecr-public")


def _number(name: str) -> int:
    return whole(request.args.get(name, "0")) or 0


def _pages(runtime: Runtime) -> Blueprint:
    pages = Blueprint("gallery", __name__, url_prefix="/gallery", template_folder="templates")

    @pages.get("/")
    def find() -> str:
        """Repositories by a part of their name or description, by badges, and whose account is verified."""
        wanted = showing.Search(
            request.args.get("q", "").strip()[:200],
            tuple(each for each in showing.ARCHITECTURES if each in request.args.getlist("architecture")),
            tuple(each for each in showing.OPERATING_SYSTEMS if each in request.args.getlist("os")),
            "verified" in request.args.getlist("badge"),
        )
        with runtime.call(_anybody(runtime), origin=request.host_url.rstrip("/")) as call:
            found = showing.search(call, wanted, _number("after"), _ROWS)
        asked = [(name, value) for name, value in request.args.items(multi=True) if name != "after"]
        return render_template(
            "gallery_search.html",
            wanted=wanted,
            found=found[:_ROWS],
            more=[*asked, ("after", str(found[_ROWS - 1]["id"]))] if len(found) > _ROWS else None,
            architectures=showing.ARCHITECTURES,
            operating_systems=showing.OPERATING_SYSTEMS,
        )

    @pages.get("/<alias>/<path:name>")
    def show(alias: str, name: str) -> str:
        """Description, texts, and tags with what to type to pull them."""
        with runtime.call(_anybody(runtime), origin=request.host_url.rstrip("/")) as call:
            found = showing.repository(call, alias, name)
            if found is None:
                raise NotFound(_NOTHING)
            repository, shown = found
            tags = showing.tags(call, repository, _number("after"), _ROWS)
        return render_template(
            "gallery_repository.html",
            shown=shown,
            about=Markup(rendered(shown["about_text"] or "")),  # noqa: S704 - cleaned there
            usage=Markup(rendered(shown["usage_text"] or "")),  # noqa: S704 - cleaned there
            tags=tags[:_ROWS],
            more=tags[_ROWS - 1]["id"] if len(tags) > _ROWS else None,
        )

    @pages.after_request
    def restrict(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return pages


def _logos(runtime: Runtime) -> Blueprint:
    logos = Blueprint("logos", __name__, url_prefix=LOGOS)

    @logos.get("/<registry>/<logo_id>.png")
    def show_logo(registry: str, logo_id: str) -> Response:
        """Another logo has another URL, so that this one never changes."""
        with runtime.call(_anybody(runtime)) as call:
            image = find_logo(call, logo_id)
        if image is None:
            raise NotFound(_NOTHING)
        answer = Response(image, mimetype="image/png")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    return logos
