"""Pages for a browser: the first steps, and what there is: repositories, their images, and the facts of each.

They only show. Who may list repositories at the API without being asked for rights sees them here as well; where rights
are checked, or a token closes the admin surface, a browser that has neither is shown the first steps alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import Forbidden, NotFound

from ecrsim import __version__
from ecrsim.admin import listing
from ecrsim.admin.arguments import number
from ecrsim.config import Config
from ecrsim.contract.models import SERVICES, service
from ecrsim.contract.operations import missing
from ecrsim.core.clock import iso
from ecrsim.core.numbers import whole
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.repositories.service import proxy_endpoint, repository_uri

#: Rows of a page; more are behind a link.
_ROWS = 100
_NOTHING = "There is no such page, or no longer."
_UNITS = ("B", "KB", "MB", "GB", "TB")


def pages_for_a_browser(runtime: Runtime, closed: Callable[[], str | None]) -> Blueprint:
    """`closed` says why this request may not see what the admin surface shows, or None."""
    routes = Blueprint("page", __name__, template_folder="templates")
    routes.add_app_template_filter(_bytes, "bytes")
    routes.add_app_template_filter(_time, "time")

    def why_closed() -> str | None:
        return closed() or _rights(runtime.config)

    def check_open() -> None:
        reason = why_closed()
        if reason is not None:
            raise Forbidden(reason)

    @routes.get("/")
    def front() -> str:
        reason, after = why_closed(), number("after", 0)
        found = [] if reason else listing.repositories_after(runtime, after, _ROWS + 1)
        shown = [
            {**each, "link": f"/repositories/{each['id']}", "name": each["repository_name"]} for each in found[:_ROWS]
        ]
        more = f"/?after={shown[-1]['id']}" if len(found) > _ROWS else None
        return render_template(
            "front.html",
            closed=reason,
            repositories=shown,
            more=more,
            **_first_steps(runtime, request.host_url.rstrip("/"), request.host),
        )

    @routes.get("/repositories/<text>")
    def show_repository(text: str) -> str:
        check_open()
        repository_id = _row(text)
        found = _or_404(listing.repository(runtime, repository_id))
        before = number("before", 0)
        images = listing.images_before(runtime, repository_id, before, _ROWS + 1)
        shown = [{**each, "link": f"/images/{each['id']}"} for each in images[:_ROWS]]
        more = f"/repositories/{repository_id}?before={shown[-1]['id']}" if len(images) > _ROWS else None
        return render_template("repository.html", images=shown, more=more, is_later=before > 0, **found)

    @routes.get("/images/<text>")
    def show_image(text: str) -> str:
        check_open()
        found = _or_404(listing.image(runtime, _row(text)))
        document = json.dumps(json.loads(found.pop("manifest")), indent=2, ensure_ascii=False)
        return render_template("image.html", manifest=document, back=f"/repositories/{found['repository_id']}", **found)

    @routes.after_request
    def restrict(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return routes


def _rights(config: Config) -> str | None:
    if config.auth == "strict":
        return "Repositories are not shown here, since rights are checked (--auth strict)."
    return None


def _row(text: str) -> int:
    """The number of a row. NotFound for what is none."""
    found = whole(text)
    if found is None:
        raise NotFound(_NOTHING)
    return found


def _or_404(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        raise NotFound(_NOTHING)
    return found


def _first_steps(runtime: Runtime, origin: str, host: str) -> dict[str, Any]:
    """`origin` and `host` as the browser wrote them. The registry's name is theirs where it is not a setting."""
    config = runtime.config
    registry = Registry(config.account, config.region)
    uri, login = repository_uri(runtime, registry, "app"), proxy_endpoint(runtime, registry)
    if config.registry_host == "localhost":
        # The port may be another one outside of a container; what the browser reached, docker reaches as well.
        uri, login = f"{host}/app", host
    models = [service(name) for name in SERVICES]
    return {
        "version": __version__,
        "account": config.account,
        "region": config.region,
        "origin": origin,
        "uri": uri,
        "login": login.partition("://")[2] or login,
        "built": sum(len(model.operations) - len(missing(model.name)) for model in models),
        "known": sum(len(model.operations) for model in models),
    }


def _bytes(size: int | None) -> str:
    """`12.3 MB`, as ECR's console counts: by thousands."""
    value, unit = (size or 0) / 1, 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{value:.0f} {_UNITS[0]}"


def _time(moment: int | None) -> str:
    return "" if moment is None else iso(moment)[:19].replace("T", " ")
