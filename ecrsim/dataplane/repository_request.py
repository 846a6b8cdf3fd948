"""A request to /v2/<name>/…: its call, its registry, its repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from ecrsim.core.digest import is_oci_digest
from ecrsim.core.errors import RepositoryNotFoundException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.core.web import Request
from ecrsim.dataplane import public
from ecrsim.dataplane.errors import RegistryError, digest_invalid
from ecrsim.dataplane.profile import Profile
from ecrsim.ecr.access.authorization import authorize
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.service import repository_to_push
from ecrsim.ecr_public import limits
from ecrsim.records import audit

#: Anchored and without nested repetition that could match one text in two ways.
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")


#: Among a call's lookups: the body has begun to come, and comes once.
BODY = "body"

#: Actions that a policy cannot deny in a public registry (documented).
_PULLS = frozenset({"BatchGetImage", "GetDownloadUrlForLayer", "ListImages"})


class RepositoryRequest(NamedTuple):
    """`path_name` is the name as the client wrote it, with a scope prefix perhaps; URLs in answers keep it."""

    call: Call
    request: Request
    profile: Profile
    registry: Registry
    path_name: str
    repository_name: str
    #: The rest of the path: a digest, a tag, an upload id; empty where the route has none.
    reference: str
    #: The parameter `ns` where it decided on the registry; empty where something else did.
    namespace: str = ""
    #: By which a public registry was named.
    alias: str = ""

    def url(self, tail: str, query: Mapping[str, object] | None = None) -> str:
        """A path-only URL under this repository: immune to proxies that change the host."""
        return self.with_query(f"/v2/{self.path_name}/{tail}", query)

    def with_query(self, path: str, query: Mapping[str, object] | None = None) -> str:
        """`path`, which leads to the same registry: a client need not add `ns` to a URL that it was given."""
        given = {**(query or {}), **({"ns": self.namespace} if self.namespace else {})}
        return f"{path}?{urlencode(given, quote_via=quote, safe='')}" if given else path

    def allow(self, action: str) -> None:
        """AccessDeniedException, and RegistryError for who has no credentials. Everybody may pull what is public."""
        registry, name = self.registry, self.repository_name or "*"
        if registry.kind != "public":
            authorize(self.call, action, registry, name)
            return
        limits.check_rate(self.call, action)
        if action in _PULLS:
            resource = registry.resource(name)
            audit.record(
                self.call, registry.action(action), resource, registry, is_allowed=True, reason=audit.NEEDS_NOTHING
            )
        elif not self.call.caller.account:
            raise public.not_authorized(self.request)
        else:
            authorize(self.call, action, registry, name)

    @property
    def scope(self) -> str:
        """What its write transactions concern."""
        return self.registry.scope(self.repository_name)

    @property
    def registry_name(self) -> str:
        """As sentences name the registry: the alias as it was typed stands for the id (recorded)."""
        return self.alias or self.registry.account

    def repository(self) -> Repository:
        found = find_repository(self.call, self.registry, self.repository_name)
        if found is None:
            raise RepositoryNotFoundException(repository_name=self.repository_name, registry_id=self.registry_name)
        return found

    def repository_to_push(self) -> Repository:
        """The repository, made on the spot where a creation template says CREATE_ON_PUSH.

        To be asked inside the transaction of what is pushed, so that a push that is refused leaves no repository.
        """
        if self.registry.kind == "public":
            return self.repository()
        return repository_to_push(self.call, self.registry, self.repository_name)

    def digest(self) -> str:
        """The reference, which must be a digest."""
        if not is_oci_digest(self.reference):
            raise digest_invalid(self.reference)
        return self.reference


def check_name(repository_name: str) -> None:
    if not 2 <= len(repository_name) <= 256 or not _NAME.fullmatch(repository_name):
        raise RegistryError(400, "NAME_INVALID", f"'{repository_name[:300]}' is not a repository name")
