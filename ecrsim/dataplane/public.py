"""ECR Public on /v2/: by which names it is meant, its challenge, and the tokens of /token/.

    public.ecr.aws/<alias>/<repository>           by host name: of AWS, and `public.ecr.` before any other domain
    localhost:5100/public/<alias>/<repository>    by path, wherever the host name says nothing

A path is ECR Public's when its alias is one that a registry has, or has the form of a default alias; every other
repository below `public/` is a private one. Docker and crane ask `GET /v2/` how to log in before they name a
repository, so a name that serves both registries challenges with Bearer once there is an alias: /token/ takes the
credentials of either and gives a token to who has none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from ecrsim.core.errors import RepositoryNotFoundException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.core.web import Answer, Request
from ecrsim.dataplane.errors import RegistryError
from ecrsim.ecr.access.service import check_token, issue_anonymous_token
from ecrsim.ecr.access.tokens import Token, TokenRefusal
from ecrsim.ecr.registries.aliases import all_aliases, find_alias, registry_by_alias

_HOST = re.compile(r"(?:public\.ecr\.[a-z0-9.-]+|ecr-public\.aws\.com)(?::\d+)?", re.IGNORECASE | re.ASCII)
_BELOW = "public/"
_DEFAULT_ALIAS = re.compile(r"(?:[a-z][0-9]){4}", re.ASCII)
TOKEN_PATHS = ("/token/", "/token")


class PublicName(NamedTuple):
    """Before the alias in a path there may be `public/`. `namespace`: the parameter `ns`, where that decided."""

    prefix: str
    namespace: str = ""


def public_name(runtime: Runtime, request: Request) -> PublicName | None:
    """How a request names ECR Public; None when it means a private registry."""
    host, path = request.host, request.path
    if host[:10].lower() in ("public.ecr", "ecr-public") and _HOST.fullmatch(host):
        return PublicName("")
    if path.startswith(f"/v2/{_BELOW}") and ".dkr" not in host:
        alias, slash, _ = path.removeprefix(f"/v2/{_BELOW}").partition("/")
        if slash and (_DEFAULT_ALIAS.fullmatch(alias) or _is_known(runtime, alias)):
            return PublicName(_BELOW)
    if "ns=" in request.query_text and _HOST.fullmatch(namespace := request.parameter("ns") or ""):
        return PublicName("", namespace)
    return None


def _is_known(runtime: Runtime, alias: str) -> bool:
    with runtime.database.read() as connection:
        return find_alias(connection, alias) is not None


def registry_and_name(runtime: Runtime, name: PublicName, path_name: str) -> tuple[Registry, str, str]:
    """(registry, repository's name, alias) of a name as it stands in the path.

    RepositoryNotFoundException where no registry has the alias, which stands for its id in the sentence (recorded).
    """
    alias, slash, repository_name = path_name.removeprefix(name.prefix).partition("/")
    if not slash:
        raise RegistryError(400, "NAME_INVALID", f"'{path_name[:300]}' is not an alias and a repository name")
    with runtime.database.read() as connection:
        registry = registry_by_alias(connection, alias)
    if registry is None:
        raise RepositoryNotFoundException(repository_name=repository_name, registry_id=alias)
    return registry, repository_name, alias


def check(runtime: Runtime, header: str | None, now: int) -> Token | None:
    """Whose an Authorization header is, by Basic or Bearer; None without one. RegistryError with ECR Public's text."""
    if not header:
        return None
    scheme, _, credentials = header.partition(" ")
    found = check_token(runtime, f"Basic {credentials}" if scheme.lower() == "bearer" else header, now)
    if isinstance(found, Token):
        return found
    if found is TokenRefusal.EXPIRED:
        raise RegistryError(400, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")  # R
    raise RegistryError(400, "DENIED", "Your Authorization Token is invalid.")  # R


def wants_bearer(runtime: Runtime, request: Request) -> bool:
    """Whether a request without credentials is told to get a token."""
    if public_name(runtime, request) is not None:
        return True
    return request.path in ("/v2/", "/v2") and serves_both(runtime, request)


def serves_both(runtime: Runtime, request: Request) -> bool:
    """Whether the host name leads to private registries and to ECR Public, of which there is a registry."""
    if ".dkr" in request.host:
        return False
    with runtime.database.read() as connection:
        return bool(all_aliases(connection))


def challenge(request: Request) -> tuple[str, str]:
    """The header of a 401 (recorded), with the origin by which the client came."""
    return "WWW-Authenticate", f'Bearer realm="{request.origin}/token/",service="public.ecr.aws",scope="aws"'


def not_authorized(request: Request) -> RegistryError:
    """To who has no credentials (recorded: the text, and the status of a push), or a right that nobody has without."""
    return RegistryError(401, "DENIED", "Not Authorized", [challenge(request)])


def token_for(runtime: Runtime, request: Request) -> Answer:
    """GET /token/: of who has credentials, the token that they are; of anybody else, one that may pull."""
    if request.method not in ("GET", "HEAD"):
        raise RegistryError(405, "UNSUPPORTED", "The operation is unsupported.", [("Allow", "GET, HEAD")])
    header = request.header("authorization")
    if check(runtime, header, runtime.clock.now()) is None:
        token = issue_anonymous_token(runtime)
    else:
        token = (header or "").partition(" ")[2].strip()
    body = orjson.dumps({"token": token})
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Content-Length", str(len(body)))]
    return Answer(200, headers, body)
