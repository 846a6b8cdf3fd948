"""ECR as the upstream of ECR, where both are this ecrsim: another region, or another account.

Nothing is sent: manifests are read, and layers are shared, since bytes are kept once for all repositories. Where they
are encrypted with different keys, layers are encrypted anew (`layers/service.py: share_layers`).
"""

from __future__ import annotations

from typing import Any

from ecrsim.core.misses import Fetched, persistently
from ecrsim.core.registry import PUBLIC_REGION, Registry, root_arn
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamNotFound
from ecrsim.core.upstream.registry import UpstreamManifest
from ecrsim.ecr.access.authorization import decision_of
from ecrsim.ecr.access.directory import find_principal
from ecrsim.ecr.images import listing, lookup
from ecrsim.ecr.layers import service as layers
from ecrsim.ecr.pullthrough.rules import Rule
from ecrsim.ecr.registries.aliases import registry_by_alias
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.records import tally

#: What the owner of the upstream has to allow (documented).
_ACTIONS = ("BatchGetImage", "GetDownloadUrlForLayer", "BatchImportUpstreamImage", "GetImageCopyStatus")
_MOST = 100


class InsideEcr:
    """What `UpstreamRegistry` is for others: the same verbs, and the same failures."""

    def __init__(self, runtime: Runtime, registry: Registry, rule: Rule, upstream: Registry) -> None:
        self._runtime, self._registry, self._rule, self._upstream = runtime, registry, rule, upstream

    def check(self) -> None:
        """There is always a registry, and who may read what is decided by its repositories."""

    def current_digest(self, repository: str, tag: str) -> str | None:
        return self._pulled(repository, tag).image.image_digest

    def manifest(self, repository: str, reference: str) -> UpstreamManifest:
        image, content, _ = self._pulled(repository, reference)
        return UpstreamManifest(content, image.image_manifest_media_type, image.image_digest)

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        with self._call() as call:
            found = self._repository(call, repository)
            rows, _ = listing.page_of_referrers(call, found, digest, None, "ACTIVE", 0, _MOST)
            return [{"digest": row.image_digest} for row in rows]

    def share(self, call: Call, into: Repository, repository: str, digest: str) -> None:
        """The upstream's layer becomes one of `into`, in the open write transaction. Miss, KmsException."""
        source = self._repository(call, repository)
        size = layers.layer_size(call, source, digest)
        if size is None:
            raise UpstreamNotFound(f"the upstream has no layer {digest}")
        layers.share_layers(call, source, into, {digest: size})
        tally.record(call, self._upstream, repository, tally.PULL, destination=into.region, size=size)

    def _pulled(self, repository: str, reference: str) -> lookup.Pulled:
        """KmsException. It waits where a key is to be asked for."""

        def attempt(fetched: Fetched) -> lookup.Pulled:
            with self._call() as call:
                call.lookups["fetched"] = fetched
                return self._pull(call, repository, reference)

        return persistently(None, attempt)

    def _pull(self, call: Call, repository: str, reference: str) -> lookup.Pulled:
        place = self._repository(call, repository)
        found = lookup.pull(call, place.registry, place.repository_name, reference)
        if found is None or found.image.image_status != "ACTIVE":
            raise UpstreamNotFound(f"the upstream has no image {reference}")
        return found

    def _repository(self, call: Call, repository: str) -> Repository:
        if self._upstream.account != self._registry.account:
            self._check_access(call, repository)
        found = find_repository(call, self._upstream, repository)
        if found is None:
            raise UpstreamNotFound(f"the upstream has no repository {repository}")
        return found

    def _check_access(self, call: Call, repository: str) -> None:
        """As the rule's role or, where ecrsim does not know it, as the root user of its account."""
        role, account = self._rule.custom_role_arn or "", self._registry.account
        is_known = bool(role) and find_principal(call.connection, role) is not None
        principal = role if is_known else root_arn(account, self._registry.region)
        caller = Caller(account, self._upstream.region, principal)
        for action in _ACTIONS:
            _, decision = decision_of(call, caller, f"ecr:{action}", self._upstream, repository, {})
            if not decision.allowed:
                raise UpstreamDenied(
                    f"{principal} may not {action} in the repository {repository} of {self._upstream.account}"
                )

    def _call(self) -> Any:
        return self._runtime.call(Caller(self._registry.account, self._upstream.region, "", plane="registry"))


class InsideEcrPublic(InsideEcr):
    """ECR Public as the upstream: repositories are named `<alias>/<name>`, and everybody may read them."""

    def __init__(self, runtime: Runtime, registry: Registry, rule: Rule) -> None:
        super().__init__(runtime, registry, rule, Registry(registry.account, PUBLIC_REGION, "public"))

    def _repository(self, call: Call, repository: str) -> Repository:
        alias, _, name = repository.partition("/")
        upstream = registry_by_alias(call.connection, alias)
        found = find_repository(call, upstream, name) if upstream else None
        if found is None:
            raise UpstreamNotFound(f"the upstream has no repository {repository}")
        return found
