"""Who reaches the admin surface: not pages of other origins, and where a token is asked for, who has it.

With `--auth strict`, or with a token that was set, everything asks for it but health. In the open mode everyone is root
anyway who reaches the API, and a container is driven from its host without ceremony: clock, reset and events are open.
What reaches beyond ecrsim, its files and addresses and the secrets that it is given, is open to loopback alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Response, current_app, jsonify, request

from ecrsim.config import Config
from ecrsim.core import origins
from ecrsim.core.peer import is_loopback
from ecrsim.core.runtime import Runtime

#: It answers whatever is switched off or asked for: doctor, `ecrsim wait` and the image's HEALTHCHECK live by it.
HEALTH = "/_ecrsim/health"
#: So does this, which balancers live by.
READY = "/_ecrsim/ready"
#: What proxies say of themselves: a request that came through one is not of this machine, whoever the proxy is.
_SIGNS_OF_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")
_SURFACE = "The admin surface"

View = TypeVar("View", bound=Callable[..., Any])


def reaches_beyond(view: View) -> View:
    """Mark a route that lets ecrsim write files, call addresses or learn secrets."""
    view.reaches_beyond = True  # type: ignore[attr-defined]
    return view


def guard(pages: Blueprint, runtime: Runtime) -> None:
    """Let nothing past that may not go, whichever blueprint would answer it."""

    @pages.before_app_request
    def refuse() -> Response | None:
        return _refused(runtime) if request.path.startswith("/_ecrsim/") else _closed(runtime.config, "ecrsim")


def _refused(runtime: Runtime) -> Response | None:
    """Why the request may not reach the admin surface; None when it may."""
    config = runtime.config
    is_open = request.path in (HEALTH, READY)
    if not config.admin and not is_open:
        return refusal(404, f"{_SURFACE} is switched off.")
    if (closed := _closed(config, _SURFACE)) is not None:
        return closed
    names = (config.host, config.registry_host)
    if not origins.is_own_name(request.host, names):
        return refusal(403, origins.wrong_name(request.host, _SURFACE))
    view = current_app.view_functions.get(request.endpoint or "")
    if is_open or not _is_token_wanted(config, beyond=getattr(view, "reaches_beyond", False)):
        return None
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if hmac.compare_digest(given, runtime.admin_token.encode()):
        return None
    answer = refusal(401, f"{_SURFACE} asks for its token, which `ecrsim token` prints: Authorization: Bearer <token>.")
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _is_token_wanted(config: Config, *, beyond: bool) -> bool:
    if config.admin_token or config.auth == "strict":
        return True
    return beyond and not _is_local()


def _is_local() -> bool:
    """Whether the one who asks is on this machine: by the connection; headers can only speak against it."""
    if any(name in request.headers for name in _SIGNS_OF_PROXIES):
        return False
    return is_loopback(request.remote_addr or "127.0.0.1")


def hidden(config: Config) -> str | None:
    """Why a browser is not shown what the admin surface knows: there is none, by this name, or it asks for a token."""
    if not config.admin or config.admin_token:
        return "Repositories are not shown here, since the admin surface is closed."
    if not origins.is_own_name(request.host, (config.host, config.registry_host)):
        return origins.wrong_name(request.host, "The list of repositories")
    return None


def _closed(config: Config, what: str) -> Response | None:
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    why = origins.refusal(origin, site, request.host, (config.host, config.registry_host), what=what)
    return None if why is None else refusal(403, why)


def refusal(status: int, message: str) -> Response:
    answer = jsonify(message=message)
    answer.status_code = status
    return answer
