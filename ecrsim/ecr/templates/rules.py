"""Which template a new repository gets, and what becomes of a template that is updated. Pure.

Documented: a `/` is implied after a prefix, the longest prefix wins, ROOT is for what no other template matches, and a
template counts only for the reasons that it is applied for. Inferred: the last comes first, so that a longer prefix
without the reason does not hide a shorter one that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

#: The prefix of the template for repositories that no other one matches.
ROOT = "ROOT"

#: Why ecrsim makes a repository by itself: the values of `appliedFor`.
REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH = "REPLICATION", "PULL_THROUGH_CACHE", "CREATE_ON_PUSH"


class Template(NamedTuple):
    """A template. None: nothing of the kind is to be set on the repository. Times are epoch milliseconds."""

    prefix: str
    applied_for: list[str]
    description: str | None
    encryption_configuration: dict[str, str]
    resource_tags: list[dict[str, str]] | None
    image_tag_mutability: str
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None
    repository_policy: str | None
    lifecycle_policy: str | None
    custom_role_arn: str | None
    created_at: int
    updated_at: int

    @property
    def needs_role(self) -> bool:
        """Resource tags and KMS want a role that ECR takes on (documented)."""
        return bool(self.resource_tags) or self.encryption_configuration["encryptionType"] != "AES256"


#: A template that sets nothing: what a repository gets where no template matches.
DEFAULTS = Template(ROOT, [], None, {"encryptionType": "AES256"}, None, "MUTABLE", None, None, None, None, 0, 0)

#: Members of a request that are kept as they are sent; empty ones set nothing.
_PLAIN = ("description", "resource_tags", "repository_policy", "lifecycle_policy", "custom_role_arn")


def normalised(prefix: str) -> str:
    """A prefix is kept without the slash that it may be sent with (recorded)."""
    return prefix.removesuffix("/")


def prefixes_of(repository_name: str) -> list[str]:
    """All that match the name, the longest first, ROOT last: `a/b/c` gives `a/b`, `a`, `ROOT`."""
    parts = repository_name.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)] + [ROOT]


def matching(templates: Iterable[Template], repository_name: str, reason: str) -> Template | None:
    """The template for a repository that is made for this reason; None where there is none."""
    applied = {template.prefix: template for template in templates if reason in template.applied_for}
    return next((applied[prefix] for prefix in prefixes_of(repository_name) if prefix in applied), None)


def updated(template: Template, given: Mapping[str, Any], now: int) -> Template:
    """The template with the members that are given; the others stay (inferred).

    Exclusion filters belong to their mutability: another one without filters drops them.
    """
    changes: dict[str, Any] = {name: given[name] or None for name in _PLAIN if given.get(name) is not None}
    if given.get("applied_for") is not None:
        changes["applied_for"] = list(dict.fromkeys(given["applied_for"]))
    if given.get("encryption_configuration") is not None:
        changes["encryption_configuration"] = given["encryption_configuration"]
    mutability = given.get("image_tag_mutability")
    filters = given.get("image_tag_mutability_exclusion_filters")
    if mutability is not None:
        changes["image_tag_mutability"] = mutability
    if filters is not None or mutability not in (None, template.image_tag_mutability):
        changes["image_tag_mutability_exclusion_filters"] = filters
    return template._replace(**changes, updated_at=now)
