"""Other sites: registries that the setting `region_endpoint` names for a region.

Another ecrsim, and ECR, gives a token to the key of the source's account, so that it decides by its own policies what
that account may push; repositories that are missing there are made by its API, as its template for REPLICATION says.
Any other registry is asked with the credentials that the file of secrets has under the region's name, or without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.core.upstream.addresses import Addresses, parse_entry
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamNotFound
from ecrsim.core.upstream.pushing import Pusher
from ecrsim.ecr.pullthrough import credentials
from ecrsim.ecr.templates.rules import DEFAULTS, REPLICATION, Template, matching

#: Seconds for which a login is used again; ECR's are good for 12 hours.
_LOGIN = 600
_MEMORY = "replication:sites"

T = TypeVar("T")


class Site(NamedTuple):
    """Another site: what pushes to it, and the API that makes repositories there, of those that have one."""

    pusher: Pusher
    api: Access | None


def endpoint_of(runtime: Runtime, destination: Registry) -> str | None:
    """The URL of the site that has the region; None where this ecrsim has it itself."""
    entries = dict(entry for entry in map(parse_entry, runtime.config.region_endpoint) if entry)
    return entries.get(destination.region)


def lane_of(runtime: Runtime, destination: Registry) -> str:
    """Of jobs that bring something there: one for each site, so that nobody waits for another one's bytes."""
    return f"site-{destination.region}" if endpoint_of(runtime, destination) is not None else ""


def at_site(runtime: Runtime, source: Registry, destination: Registry, act: Callable[[Site], T]) -> T:
    """Do it at the site of the destination, logged in. It is done again where a login is no good any more."""
    kept = cast("dict[Any, tuple[Site, float]]", runtime.memory.setdefault(_MEMORY, {}))
    key = (endpoint_of(runtime, destination), source.account, destination)
    site, end = kept.get(key, (None, 0.0))
    if site is not None and end > time.monotonic():
        try:
            return act(site)
        except UpstreamDenied:
            kept.pop(key, None)
    site = _open(runtime, source, destination)
    kept[key] = site, time.monotonic() + _LOGIN
    return act(site)


def _open(runtime: Runtime, source: Registry, destination: Registry) -> Site:
    base = endpoint_of(runtime, destination) or ""
    addresses = Addresses({destination.region: base})
    known = credentials.of_region(runtime, destination.region)
    plain = runtime.upstreams.registry(destination.region, addresses, known)
    try:
        plain.check()
        return Site(Pusher(plain), None)
    except UpstreamDenied:
        if known is not None:
            raise
    given = credentials.of_ecr(source, base, destination.region, destination.host)
    there = runtime.upstreams.registry(destination.region, addresses, given, destination.host)
    is_aws = base == f"https://{destination.host}"
    access = Access(destination.region) if is_aws else Access(destination.region, base, source.account, "ecrsim")
    return Site(Pusher(there), access)


# --- repositories that are missing there ------------------------------------------------------------------------------


def make_repository(site: Site, source: Registry, destination: Registry, repository_name: str) -> bool:
    """Whether the repository is there now. UpstreamDenied when it may not be made, UpstreamNotFound by its template.

    Templates are an account's own to read: a repository of another account is made with defaults.
    """
    if site.api is None:
        return False
    neighbour = Neighbour("ecr", site.api)
    try:
        is_own = source.account == destination.account
        template = _template(neighbour, repository_name) if is_own else DEFAULTS
        if template.needs_role and not template.custom_role_arn:
            raise UpstreamNotFound(f"the template {template.prefix} of {destination.region} has no customRoleArn")
        _create(neighbour, destination, repository_name, template)
    except NeighbourError as error:
        raise UpstreamDenied(f"the repository {repository_name} cannot be made there: {error}") from error
    finally:
        neighbour.close()
    return True


def _template(neighbour: Neighbour, repository_name: str) -> Template:
    """That of the site's registry which a copy's repository is made by."""
    found: list[Template] = []
    more: dict[str, str] = {}
    while True:
        answer = neighbour.call("describe_repository_creation_templates", **more)
        found += map(_read, answer["repositoryCreationTemplates"])
        if not answer.get("nextToken"):
            return matching(found, repository_name, REPLICATION) or DEFAULTS
        more = {"nextToken": answer["nextToken"]}


def _read(answer: Mapping[str, Any]) -> Template:
    return DEFAULTS._replace(
        prefix=answer["prefix"],
        applied_for=answer["appliedFor"],
        encryption_configuration=answer.get("encryptionConfiguration") or DEFAULTS.encryption_configuration,
        resource_tags=answer.get("resourceTags"),
        image_tag_mutability=answer.get("imageTagMutability") or DEFAULTS.image_tag_mutability,
        image_tag_mutability_exclusion_filters=answer.get("imageTagMutabilityExclusionFilters"),
        repository_policy=answer.get("repositoryPolicy"),
        lifecycle_policy=answer.get("lifecyclePolicy"),
        custom_role_arn=answer.get("customRoleArn"),
    )


def _create(neighbour: Neighbour, destination: Registry, repository_name: str, template: Template) -> None:
    """With all that the template says, or not at all. Where it is there by now, it is left as it is."""
    place = {"registryId": destination.account, "repositoryName": repository_name}
    members = {
        "imageTagMutability": template.image_tag_mutability,
        "imageTagMutabilityExclusionFilters": template.image_tag_mutability_exclusion_filters,
        "encryptionConfiguration": {name: each for name, each in template.encryption_configuration.items() if each},
        "tags": template.resource_tags,
    }
    try:
        neighbour.call("create_repository", **place, **{name: each for name, each in members.items() if each})
    except NeighbourError as error:
        if error.code == "RepositoryAlreadyExistsException":
            return
        raise
    try:
        if template.repository_policy:
            neighbour.call("set_repository_policy", **place, policyText=template.repository_policy)
        if template.lifecycle_policy:
            neighbour.call("put_lifecycle_policy", **place, lifecyclePolicyText=template.lifecycle_policy)
    except NeighbourError:
        neighbour.call("delete_repository", **place)
        raise
