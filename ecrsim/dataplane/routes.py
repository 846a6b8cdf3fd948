"""The routes of /v2/, each with the IAM actions it needs, and the one flow that they all go through.

Repository names contain slashes and may contain the words of the routes: patterns match from the right.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, cast

from ecrsim.core import ids
from ecrsim.core.errors import ServiceError, ServiceUnavailableException
from ecrsim.core.misses import PAUSES, Fetched, Miss, persistently
from ecrsim.core.registry import PUBLIC_REGION, Registry
from ecrsim.core.runtime import Runtime
from ecrsim.core.web import Answer, Request, RequestRefused, Runs, Steps, Work, runs_where
from ecrsim.dataplane import blobs, errors, listings, manifests, public, uploads
from ecrsim.dataplane.auth import Scope, Tokens, Unauthorized, caller_of, scope_of
from ecrsim.dataplane.errors import RegistryError
from ecrsim.dataplane.profile import profile_of
from ecrsim.dataplane.public import PublicName, public_name, registry_and_name
from ecrsim.dataplane.repository_request import BODY, RepositoryRequest, check_name
from ecrsim.ecr.access.tokens import Token
from ecrsim.records import audit

log = logging.getLogger("ecrsim.registry")


class Route(NamedTuple):
    """One method of one path. `actions` are checked before `handle` runs, which checks what depends on the request.

    `runs`: where it is worked on. `takes`: bytes of a body that it reads whole. A handler that takes a body while it
    comes gives the steps to its answer, and runs on the threads for bytes.
    """

    actions: tuple[str, ...]
    handle: Callable[[RepositoryRequest], Answer | Steps]
    runs: Runs = "loop"
    takes: int = 0
    #: It asks the blob store, so that it waits where that is behind a network.
    asks_store: bool = False


class MatchedRoute(NamedTuple):
    """The route of a path and a method, and the token of the request."""

    token: Token
    methods: dict[str, Route]
    route: Route
    path_name: str
    reference: str
    #: How the request names ECR Public, None where it means a private registry.
    public: PublicName | None


def _ping(asked: RepositoryRequest) -> Answer:
    body = asked.profile.ping_body
    return Answer(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)


#: In every answer of ECR's registry, errors too (recorded). Here it is put on, and nowhere else.
_API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")

_UPLOAD = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

#: Pattern (groups: name, reference) → method → route. ecr-registry: data-plane HTTP → action.
ROUTES: tuple[tuple[re.Pattern[str], dict[str, Route]], ...] = (
    (
        re.compile(r"/v2/(.+)/manifests/([^/]+)"),
        {
            "GET": Route(("BatchGetImage",), manifests.get_manifest),
            "HEAD": Route(("BatchGetImage",), manifests.get_manifest),
            "PUT": Route(("PutImage",), manifests.put_manifest, "writer", manifests.MAX_MANIFEST, asks_store=True),
            "DELETE": Route(("BatchDeleteImage",), manifests.delete_manifest, "writer"),
        },
    ),
    (
        re.compile(r"/v2/(.+)/blobs/uploads()/?"),
        {"POST": Route(("InitiateLayerUpload",), uploads.start_upload, "bytes")},
    ),
    (
        re.compile(rf"/v2/(.+)/blobs/uploads/({_UPLOAD})"),
        {
            "GET": Route(("UploadLayerPart",), uploads.upload_status, asks_store=True),
            "PATCH": Route(("UploadLayerPart",), uploads.append_to_upload, "bytes"),
            "PUT": Route(("CompleteLayerUpload",), uploads.finish_upload, "bytes"),
            "DELETE": Route(("UploadLayerPart",), uploads.cancel_upload, "writer", asks_store=True),
        },
    ),
    (
        re.compile(r"/v2/(.+)/blobs/([^/]+)"),
        {
            "GET": Route(("GetDownloadUrlForLayer",), blobs.get_blob, asks_store=True),
            "HEAD": Route(("BatchCheckLayerAvailability",), blobs.head_blob, asks_store=True),
            "DELETE": Route(("BatchDeleteImage",), blobs.delete_blob, "writer"),
        },
    ),
    (re.compile(r"/v2/(.+)/tags/list()"), {"GET": Route(("ListImages",), listings.list_tags)}),
    (re.compile(r"/v2/(.+)/referrers/([^/]+)"), {"GET": Route(("BatchGetImage",), listings.list_referrers)}),
)
#: Paths without a repository.
PING = {"GET": Route((), _ping), "HEAD": Route((), _ping)}
CATALOG = {"GET": Route(("DescribeRepositories",), listings.list_repositories)}


class DataPlane:
    """/v2/ of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tokens = Tokens(runtime)
        self._profile = profile_of(runtime.config)

    def look(self, request: Request) -> Work:
        """Find the route. Every outcome is an answer that registry clients read; to a HEAD, without its body."""
        try:
            found = self._find(request)
        except Exception as error:  # noqa: BLE001 - every one has an answer
            return Work("loop", 0, partial(self._error, request, error))
        runs = found.route.runs
        if found.route.asks_store:
            runs = runs_where(runs, waits=self._runtime.blobs.waits)
        return Work(runs, found.route.takes, partial(self._perform, request, found))

    def refuse(self, request: Request, error: RequestRefused) -> Answer:
        """The answer where the server could not take the request."""
        return self._error(request, RegistryError(error.status, "SIZE_INVALID", error.message))

    def turn_away(self, request: Request, why: str) -> Answer:
        """The answer to a page of another origin, which is not let in."""
        return self._error(request, RegistryError(403, "DENIED", why))

    def _error(self, request: Request, error: Exception) -> Answer:
        if isinstance(error, Unauthorized):
            bearer = public.wants_bearer(self._runtime, request)
            answer = errors.render(public.not_authorized(request)) if bearer else self._challenge(request)
        elif isinstance(error, RegistryError):
            answer = errors.render(error)
        elif isinstance(error, ServiceError):
            answer = errors.render(errors.from_service(error))
        else:
            log.error("%s %s failed", request.method, request.path, exc_info=error)
            answer = errors.render(RegistryError(500, "UNKNOWN", "An internal error has occurred."))
        return _finished(request, answer)

    def _challenge(self, request: Request) -> Answer:
        body = b"Not Authorized\n"
        return Answer(
            401,
            [
                ("WWW-Authenticate", f'Basic realm="{request.origin}/",service="ecr.amazonaws.com"'),
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
            ],
            body,
        )

    def _find(self, request: Request) -> MatchedRoute:
        name = public_name(self._runtime, request)
        token = self._tokens.check(request) if name is None else self._tokens.check_public(request)
        methods, path_name, reference = _match(request.path)
        route = methods.get(request.method)
        if route is None:
            allowed = ", ".join(methods)
            raise RegistryError(405, "UNSUPPORTED", "The operation is unsupported.", [("Allow", allowed)])
        return MatchedRoute(token, methods, route, path_name, reference, name)

    def look_for_token(self, request: Request) -> Work:
        """GET /token/, to which ECR Public's challenge leads."""
        return Work("loop", 0, partial(self._token, request))

    def _token(self, request: Request) -> Answer:
        try:
            return _finished(request, public.token_for(self._runtime, request))
        except Exception as error:  # noqa: BLE001 - every one has an answer
            return self._error(request, error)

    def _perform(self, request: Request, found: MatchedRoute) -> Answer | Steps:
        if found.route.runs == "bytes":
            return self._steps(request, found)
        try:
            answer = persistently(request.fetched, partial(self._attempt, request, found))
        except Exception as error:  # noqa: BLE001 - every one has an answer
            return self._error(request, error)
        return _finished(request, answer)

    def _attempt(self, request: Request, found: MatchedRoute, fetched: Fetched) -> Answer:
        with self._resolve(request, found) as asked:
            asked.call.lookups["fetched"] = fetched
            return cast(Answer, found.route.handle(asked))

    def _steps(self, request: Request, found: MatchedRoute) -> Steps:
        fetched: Fetched = {}
        lookups: dict[str, Any] = {}
        pauses = iter(PAUSES)
        while True:
            try:
                with self._resolve(request, found) as asked:
                    lookups = asked.call.lookups
                    lookups["fetched"] = fetched
                    answer = yield from cast(Steps, found.route.handle(asked))
                return _finished(request, answer)
            except Miss as miss:
                # Never after a body has begun. This thread may wait.
                flight = fetched[miss.wanted] = miss.fetch()
                flight.wait()
            except ServiceUnavailableException as error:
                pause = next(pauses, None) if error.is_undone and BODY not in lookups else None
                if pause is None:
                    return self._error(request, error)
                time.sleep(pause)
            except Exception as error:  # noqa: BLE001 - every one has an answer
                return self._error(request, error)

    @contextlib.contextmanager
    def _resolve(self, request: Request, found: MatchedRoute) -> Iterator[RepositoryRequest]:
        """The request with its registry and repository, in a call whose caller may do what the route needs."""
        token, methods, route, path_name, reference, name_of_public = found
        scope = Scope(Registry(token.account, token.region), "")
        if name_of_public is not None:
            scope = self._public_scope(name_of_public, methods, path_name)
        elif path_name or methods is CATALOG:
            scope = scope_of(request, token, path_name)
        registry, name, namespace, alias = scope
        if path_name:
            check_name(name)
        with self._runtime.call(caller_of(request, token, registry), ids.new_uuid(), request.origin) as call:
            place = registry, path_name, name, reference, namespace, alias
            asked = RepositoryRequest(call, request, self._profile, *place)
            with audit.on_record(call, f"{request.method} {request.path}"):
                for action in route.actions:
                    asked.allow(action)
                yield asked

    def _public_scope(self, name: PublicName, methods: dict[str, Route], path_name: str) -> Scope:
        if methods is PING:
            return Scope(Registry("", PUBLIC_REGION, "public"), "", name.namespace)
        if methods is CATALOG:
            raise RegistryError(404, "NOT_FOUND", "404 page not found")
        registry, repository_name, alias = registry_and_name(self._runtime, name, path_name)
        return Scope(registry, repository_name, name.namespace, alias)


def _finished(request: Request, answer: Answer) -> Answer:
    answer.headers.append(_API_VERSION)
    return Answer(answer.status, answer.headers) if request.method == "HEAD" else answer


def _match(path: str) -> tuple[dict[str, Route], str, str]:
    for pattern, methods in ROUTES:
        match = pattern.fullmatch(path)
        if match is not None:
            return methods, match[1], match[2]
    if path in ("/v2/", "/v2"):
        return PING, "", ""
    if path == "/v2/_catalog":
        return CATALOG, "", ""
    raise RegistryError(404, "NOT_FOUND", "404 page not found")
