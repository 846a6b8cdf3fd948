"""Which upstream stands behind a name, what a rule may be, and when an upstream is asked again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.core.durations import DAY, HOUR, MINUTE
from ecrsim.core.errors import UnsupportedUpstreamRegistryException, ValidationException
from ecrsim.core.partitions import partition_of

ROOT = "ROOT"

#: Milliseconds after which a tag is looked up again, and the referrers of a digest (documented).
TAG_IS_FRESH, REFERRERS_ARE_FRESH = DAY, 6 * HOUR
#: After an upstream has failed, it is left alone for so long (inferred): who pulls gets what is cached at once.
REST = MINUTE

_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", re.ASCII)
_AZURE = re.compile(r"[a-z0-9][a-z0-9-]*\.azurecr\.io")
#: URL → kind (documented; that of Chainguard is inferred).
_HOSTS = {
    "public.ecr.aws": "ecr-public",
    "registry.k8s.io": "k8s",
    "quay.io": "quay",
    "registry-1.docker.io": "docker-hub",
    "ghcr.io": "github-container-registry",
    "registry.gitlab.com": "gitlab-container-registry",
    "cgr.dev": "chainguard",
}
#: Kinds that nobody can use without credentials (documented).
_NEED_CREDENTIALS = frozenset(
    {"docker-hub", "github-container-registry", "gitlab-container-registry", "azure-container-registry", "chainguard"}
)
#: Partitions in which there are no caches (documented): China and GovCloud.
_WITHOUT = frozenset({"aws-cn", "aws-us-gov"})


class Rule(NamedTuple):
    """A rule. Prefixes are kept without a slash at their end; ROOT stands for none. Times are epoch milliseconds."""

    ecr_repository_prefix: str
    upstream_registry_url: str
    upstream_registry: str
    upstream_repository_prefix: str
    credential_arn: str | None
    custom_role_arn: str | None
    created_at: int
    updated_at: int

    def upstream_name(self, repository_name: str) -> str:
        """The repository of the upstream that a repository of the cache stands for (documented)."""
        rest = repository_name
        if self.ecr_repository_prefix != ROOT:
            rest = repository_name.removeprefix(f"{self.ecr_repository_prefix}/")
        return rest if self.upstream_repository_prefix == ROOT else f"{self.upstream_repository_prefix}/{rest}"


def kind_of(url: str) -> str | None:
    """The kind of upstream that a URL names; None when ECR knows none there."""
    if _ECR.fullmatch(url):
        return "ecr"
    return "azure-container-registry" if _AZURE.fullmatch(url) else _HOSTS.get(url)


def ecr_upstream(url: str) -> tuple[str, str] | None:
    """(account, region) of an upstream that is ECR itself."""
    match = _ECR.fullmatch(url)
    return (match[1], match[2]) if match else None


def governing(rules: Iterable[Rule], repository_name: str) -> Rule | None:
    """The rule of a repository: a `/` is implied after a prefix (documented), the longest wins (inferred)."""
    found: Rule | None = None
    for rule in rules:
        prefix = rule.ecr_repository_prefix
        if prefix == ROOT:
            found = found or rule
        elif repository_name.startswith(f"{prefix}/") and (
            found is None or found.ecr_repository_prefix == ROOT or len(prefix) > len(found.ecr_repository_prefix)
        ):
            found = rule
    return found


def check_offered(region: str) -> None:
    """ValidationException where ECR has no caches; that it is this one is inferred."""
    if partition_of(region).name in _WITHOUT:
        raise ValidationException("This feature is disabled")  # R, of other features


def check(rule: Rule, kind: str | None, account: str) -> None:
    """UnsupportedUpstreamRegistryException with ECR's sentences; ValidationException of the prefixes (inferred).

    `kind`: the value of `upstreamRegistry` that was sent, if one was.
    """
    url = rule.upstream_registry_url
    if not rule.upstream_registry or kind not in (None, rule.upstream_registry):
        raise UnsupportedUpstreamRegistryException(
            f"The upstream registry URL {url} is invalid. Specify a valid upstream registry URL and try again"  # R
        )
    if rule.upstream_registry in _NEED_CREDENTIALS and rule.credential_arn is None:
        raise UnsupportedUpstreamRegistryException(
            "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN"  # R
        )
    upstream = ecr_upstream(url)
    if upstream is not None and upstream[0] != account and rule.custom_role_arn is None:
        raise ValidationException(
            "The upstream registry belongs to another account. Specify a custom role ARN and try again"  # I
        )
    if rule.ecr_repository_prefix == ROOT and rule.upstream_repository_prefix != ROOT:
        raise ValidationException(
            "The upstream repository prefix can only be specified when the ECR repository prefix is not ROOT"  # I
        )


def is_due(now: int, checked_at: int | None, fresh: int, *, has_answered: bool = True) -> bool:
    """Whether an upstream is to be asked again. A clock that was set back makes everything due."""
    if checked_at is None or checked_at > now:
        return True
    return now - checked_at >= (fresh if has_answered else REST)
