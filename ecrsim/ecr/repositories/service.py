"""Verbs on repositories, for both planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, bindparam, delete, func, insert, select, type_coerce

from ecrsim.core.belonging import values_of
from ecrsim.core.errors import (
    LimitExceededException,
    RepositoryAlreadyExistsException,
    RepositoryNotFoundException,
    TooManyTagsException,
)
from ecrsim.core.facts import record
from ecrsim.core.query import Query, as_text, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime
from ecrsim.ecr.registries.aliases import primary_alias
from ecrsim.ecr.repositories import protection, rules
from ecrsim.ecr.repositories.events import RepositoryCreated, RepositoryDeleted
from ecrsim.ecr.repositories.tables import NAMED, OF_REGISTRY, Repository, repositories, repository_tags

_ONE = Query(select(repositories).where(NAMED), Repository)
_BY_ID = Query(select(repositories).where(repositories.c.id == bindparam("number")), Repository)


def find_repository(call: Call, registry: Registry, repository_name: str) -> Repository | None:
    return _ONE.first(call.connection, repository_name=repository_name, **registry._asdict())


def find_repository_by_id(call: Call, number: int) -> Repository | None:
    """For jobs: by its row, since a repository of the same name may have taken its place."""
    return _BY_ID.first(call.connection, number=number)


def get_repository(call: Call, registry: Registry, repository_name: str) -> Repository:
    repository = find_repository(call, registry, repository_name)
    if repository is None:
        raise RepositoryNotFoundException(repository_name=repository_name, registry_id=registry.account)
    return repository


def create_repository(
    call: Call,
    registry: Registry,
    repository_name: str,
    *,
    image_tag_mutability: str = "MUTABLE",
    filters: Sequence[Mapping[str, str]] | None = None,
    scan_on_push: bool = False,
    encryption: Mapping[str, str] | None = None,
    tags: Sequence[Mapping[str, str]] = (),
    is_asked_for: bool = True,
) -> Repository:
    """A new repository with its tags, or none at all.

    `is_asked_for`: a caller asked for it, and has to have all rights that it takes.
    """
    encryption = encryption or {"encryptionType": "AES256"}
    rules.check_mutability(image_tag_mutability, filters)
    protection.check_configuration(registry, encryption)
    rules.check_resource_tags(tags)
    if find_repository(call, registry, repository_name) is not None:
        raise RepositoryAlreadyExistsException(repository_name=repository_name, registry_id=registry.account)
    # A push makes its own, beside those of others that do.
    call.runtime.database.also(call.connection, registry.scope())
    _check_quota(call, registry)
    call.connection.execute(
        insert(repositories).values(
            **values_of(registry),
            repository_name=repository_name,
            created_at=call.now,
            image_tag_mutability=image_tag_mutability,
            image_tag_mutability_exclusion_filters=filters,
            scan_on_push=scan_on_push,
            encryption_type=encryption["encryptionType"],
            kms_key=encryption.get("kmsKey"),
        )
    )
    repository = get_repository(call, registry, repository_name)
    tag_repository(call, repository, tags)
    record(call, RepositoryCreated(repository, is_asked_for))
    # A reaction may have found the key that was named.
    return repository if repository.encryption_type == "AES256" else get_repository(call, registry, repository_name)


def _check_quota(call: Call, registry: Registry) -> None:
    query = select(func.count()).select_from(repositories).where(OF_REGISTRY)
    count = call.connection.execute(query, registry._asdict()).scalar_one()
    config = call.runtime.config
    if count >= (config.quota_public_repositories if registry.kind == "public" else config.quota_repositories):
        raise LimitExceededException(
            f"The maximum number of repositories in the registry with id '{registry.account}' has been reached"  # I
        )


def delete_repository(call: Call, repository: Repository) -> None:
    """The repository and all that hangs on it; bytes that nothing else uses go with the next gc."""
    record(call, RepositoryDeleted(repository))
    call.connection.execute(delete(repositories).where(repositories.c.id == repository.id))


def resource_tags(call: Call, repository: Repository) -> list[dict[str, str]]:
    """In the order in which they were first attached."""
    query = select(repository_tags.c.key, repository_tags.c.value)
    query = query.where(repository_tags.c.repository_id == repository.id).order_by(repository_tags.c.id)
    return [{"Key": key, "Value": value} for key, value in call.connection.execute(query)]


def tag_repository(call: Call, repository: Repository, tags: Sequence[Mapping[str, str]]) -> None:
    """Add tags, overwriting by key. More than the quota after the change: TooManyTagsException, and no change."""
    rules.check_resource_tags(tags)
    limit = call.runtime.config.quota_resource_tags
    present = {tag["Key"] for tag in resource_tags(call, repository)}
    if len(present | {tag["Key"] for tag in tags}) > limit:
        raise TooManyTagsException(limit=limit)
    for tag in tags:
        place = {"repository_id": repository.id, "key": tag["Key"]}
        upsert(call.connection, repository_tags, place, {"value": tag["Value"]})


def repository_uri(runtime: Runtime, registry: Registry, repository_name: str, alias: str = "") -> str:
    """`alias`: of a public registry, whose repositories are named by it (`registries/aliases.py: primary_alias`)."""
    return f"{registry_uri(runtime, registry, alias)}/{repository_name}"


def registry_uri(runtime: Runtime, registry: Registry, alias: str = "") -> str:
    """The part of a `repositoryUri` before the name: `localhost:5100`, `public.ecr.aws/<alias>`."""
    return f"{registry_authority(runtime, registry)}{_scope_prefix(runtime, registry, alias)}"


def registry_authority(runtime: Runtime, registry: Registry) -> str:
    """host[:port] of the registry, by the setting `registry_host`."""
    style = runtime.config.registry_host
    if style == "localhost":
        return f"localhost:{runtime.port}"
    if style == "domain":
        scope = "public" if registry.kind == "public" else f"{registry.account}.dkr"
        region = "" if registry.kind == "public" else f".{registry.region}"
        return f"{scope}.ecr{region}.localhost:{runtime.port}"
    if style == "aws":
        port = runtime.tls_port if runtime.config.wants_tls else runtime.port
        return registry.host + ("" if port == 443 else f":{port}")
    return style


def _scope_prefix(runtime: Runtime, registry: Registry, alias: str) -> str:
    """A name without account and region needs them in the path, unless they are the default ones."""
    config = runtime.config
    has_name = config.registry_host in ("domain", "aws")
    if registry.kind == "public":
        return f"/{alias}" if has_name else f"/public/{alias}"
    if has_name or registry[:2] == (config.account, config.region):
        return ""
    return f"/{registry.account}/{registry.region}"


def proxy_endpoint(runtime: Runtime, registry: Registry) -> str:
    """Where docker logs in. Plain HTTP for names that clients take for local, HTTPS for those that look like AWS."""
    config = runtime.config
    authority = registry_authority(runtime, registry)
    secure = config.registry_host == "aws" or (config.wants_tls and authority.endswith(f":{runtime.tls_port}"))
    return f"{'https' if secure else 'http'}://{authority}"


def describe(call: Call, repository: Repository) -> dict[str, Any]:
    """The repository as answers show it."""
    registry = repository.registry
    shown = {
        "repositoryArn": registry.arn(repository.repository_name),
        "registryId": repository.registry_id,
        "repositoryName": repository.repository_name,
        "repositoryUri": uri_prefix(call, registry) + repository.repository_name,
        "createdAt": repository.created_at,
    }
    if registry.kind == "public":
        return shown
    return shown | {
        "imageTagMutability": repository.image_tag_mutability,
        "imageTagMutabilityExclusionFilters": repository.image_tag_mutability_exclusion_filters,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": {"encryptionType": repository.encryption_type, "kmsKey": repository.kms_key},
    }


def uri_prefix(call: Call, registry: Registry) -> str:
    """The part before the name in each `repositoryUri` of the registry."""
    alias = primary_alias(call.connection, registry) if registry.kind == "public" else ""
    return repository_uri(call.runtime, registry, "", alias)


class Listed(NamedTuple):
    """A repository in a list: hashable, since its filters are JSON text."""

    registry_id: str
    repository_name: str
    created_at: int
    image_tag_mutability: str
    image_tag_mutability_exclusion_filters: str | None
    #: 0 or 1, as the database has it.
    scan_on_push: int
    encryption_type: str
    kms_key: str | None


#: Columns as the driver gives them: to convert each took a quarter of a page.
_AS_KEPT: Mapping[str, Any] = {
    "image_tag_mutability_exclusion_filters": as_text(repositories.c.image_tag_mutability_exclusion_filters),
    "scan_on_push": type_coerce(repositories.c.scan_on_push, Integer).label("scan_on_push"),
}
_PAGE = Query(
    select(*(_AS_KEPT.get(name, repositories.c[name]) for name in Listed._fields))
    .where(OF_REGISTRY, repositories.c.repository_name > bindparam("after"))
    .order_by(repositories.c.repository_name)
    .limit(bindparam("limit")),
    Listed,
)


def page_of_repositories(call: Call, registry: Registry, after: str, limit: int) -> list[Listed]:
    """In the order of their names, after the name `after`."""
    return _PAGE.all(call.connection, after=after, limit=limit, **registry._asdict())
