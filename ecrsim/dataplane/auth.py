"""The caller of a request to /v2/, and the registry that it means.

Basic credentials only, as ECR: user AWS, password from GetAuthorizationToken; ECR Public (`public.py`) takes tokens.
The registry is that of the host name,
else of the path's prefix `<account>/<region>/`, else of the parameter `ns`, in which containerd and BuildKit tell a
mirror whose name it stands for, else the one the token was given for.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ecrsim.core.durations import SECOND
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Caller, Runtime
from ecrsim.core.web import Request
from ecrsim.dataplane import public
from ecrsim.dataplane.errors import RegistryError
from ecrsim.ecr.access.service import check_token
from ecrsim.ecr.access.tokens import Token, TokenRefusal

_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9][a-z0-9-]*)\.[^/]+", re.IGNORECASE | re.ASCII
)
_PREFIX = re.compile(r"(?P<account>\d{12})/(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+)/(?P<name>.+)", re.ASCII | re.DOTALL)

#: Tokens that were checked, by header: the seal of one is checked once, its expiry each time.
_CHECKED_LIMIT = 4096
#: Characters of a header that is remembered: one token can be written at any length.
_LONGEST_REMEMBERED = 2048


class Unauthorized(Exception):
    """401: no credentials that could be looked at."""


class Tokens:
    """Checks the tokens of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._checked: dict[str, Token] = {}
        # Apart, since some of these are nobody's.
        self._public: dict[str, Token] = {}

    def check(self, request: Request) -> Token:
        """The token of a request to a private registry. Unauthorized, or RegistryError with ECR's text."""
        header = given = request.header("authorization")
        now = self._runtime.clock.now()
        if header and header[:7].lower() == "bearer ":
            if not public.serves_both(self._runtime, request):
                raise Unauthorized
            # The challenge has led clients to /token/.
            given = f"Basic {header[7:]}"
        token = self._checked.get(header) if header else None
        if token is not None and now // SECOND < token.expiration:
            return token
        found = check_token(self._runtime, given, now)
        if isinstance(found, Token) and not found.is_anonymous:
            self._remember(header, found)
            return found
        if found is TokenRefusal.EXPIRED:
            raise RegistryError(
                403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
            )  # R
        if found is TokenRefusal.MALFORMED:
            raise RegistryError(400, "UNKNOWN", "Bad Request")  # R status, seen by docker login
        raise Unauthorized

    def check_public(self, request: Request) -> Token:
        """The token of a request to ECR Public, perhaps an anonymous one. Unauthorized, RegistryError."""
        header, now = request.header("authorization"), self._runtime.clock.now()
        token = self._public.get(header) if header else None
        if token is None or now // SECOND >= token.expiration:
            token = public.check(self._runtime, header, now)
            if token is None:
                raise Unauthorized
            self._remember(header, token, self._public)
        return token

    def _remember(self, header: str | None, token: Token, where: dict[str, Token] | None = None) -> None:
        known = self._checked if where is None else where
        if header and len(header) <= _LONGEST_REMEMBERED:
            if len(known) >= _CHECKED_LIMIT:
                known.clear()
            known[header] = token


class Scope(NamedTuple):
    """`namespace`: the parameter `ns` where it names the registry, which URLs in answers have to repeat; else empty.

    `alias`: by which a public registry was named.
    """

    registry: Registry
    repository_name: str
    namespace: str = ""
    alias: str = ""


def scope_of(request: Request, token: Token, path_name: str) -> Scope:
    """The registry and the repository's name in it, for a name as it stands in the path."""
    host = _HOST.match(request.host)
    if host is not None:
        return Scope(Registry(host["account"], host["region"].lower()), path_name)
    prefix = _PREFIX.fullmatch(path_name)
    if prefix is not None:
        return Scope(Registry(prefix["account"], prefix["region"]), prefix["name"])
    namespace = request.parameter("ns") or ""
    mirrored = _HOST.fullmatch(namespace)
    if mirrored is not None:
        return Scope(Registry(mirrored["account"], mirrored["region"].lower()), path_name, namespace)
    return Scope(Registry(token.account, token.region), path_name)


def caller_of(request: Request, token: Token, registry: Registry) -> Caller:
    """A token is good in every region; the call is made in the registry's."""
    return Caller(
        token.account,
        registry.region,
        token.principal or "anonymous",
        token.access_key,
        request.source_ip,
        request.is_secure,
        "registry",
        registry.service,
    )
