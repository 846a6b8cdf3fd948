"""Create, describe and delete repositories; tag mutability; resource tags."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import delete, update

from ecrsim.contract.operations import operation
from ecrsim.contract.questions import Arguments, Question, ask_of_each_repository, tag_context
from ecrsim.contract.shape import Entries
from ecrsim.core import paging
from ecrsim.core.errors import InvalidParameterException, RepositoryNotEmptyException
from ecrsim.core.registry import Registry, parse_arn
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import has_images
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories import rules, service
from ecrsim.ecr.repositories.tables import Repository, repositories, repository_tags


def _ask_to_tag_as_well(plain: Question, arguments: Arguments) -> list[Question]:
    """Tags on create need the right to tag as well (documented)."""
    asked = _ask_with_tags(plain, arguments)
    return [*asked, asked[0]._replace(action="TagResource")] if arguments.get("tags") else asked


def _ask_with_tags(plain: Question, arguments: Arguments) -> list[Question]:
    return [plain._replace(context=tag_context(arguments.get("tags"), arguments.get("tag_keys")))]


@operation("CreateRepository", transaction="write", asks=_ask_to_tag_as_well)
def create_repository(
    call: Call,
    repository_name: str,
    registry_id: str | None = None,
    tags: list[dict[str, str]] | None = None,
    image_tag_mutability: str | None = None,
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None = None,
    image_scanning_configuration: dict[str, bool] | None = None,
    encryption_configuration: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Not idempotent; atomic with its tags. Resource tags are never part of the answer."""
    repository = service.create_repository(
        call,
        registry_of(call, registry_id),
        repository_name,
        image_tag_mutability=image_tag_mutability or "MUTABLE",
        filters=image_tag_mutability_exclusion_filters,
        scan_on_push=(image_scanning_configuration or {}).get("scanOnPush", False),
        encryption=encryption_configuration,
        tags=tags or (),
    )
    return {"repository": service.describe(call, repository)}


@operation("DescribeRepositories", transaction="read", asks=ask_of_each_repository)
def describe_repositories(
    call: Call,
    registry_id: str | None = None,
    repository_names: list[str] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """All by name, a page at a time; or those that are named, in the order of the request, all of them or none."""
    registry = registry_of(call, registry_id)
    if repository_names is not None:
        paging.refuse_with("repositoryNames", next_token, max_results)
        rows = [service.get_repository(call, registry, name) for name in dict.fromkeys(repository_names)]
        return {"repositories": [service.describe(call, row) for row in rows]}
    request = ("DescribeRepositories", *registry)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [""])
    found = service.page_of_repositories(call, registry, after, limit + 1)
    shown, token = paging.page_of(request, found, limit, lambda row: [row.repository_name])
    return {"repositories": _describe_page(call, registry, shown), "nextToken": token}


def _describe_page(call: Call, registry: Registry, rows: list[service.Listed]) -> Entries:
    arn, uri = registry.arn(""), service.uri_prefix(call, registry)

    def describe(row: Any) -> dict[str, Any]:
        filters = row.image_tag_mutability_exclusion_filters
        return {
            "repositoryArn": arn + row.repository_name,
            "registryId": row.registry_id,
            "repositoryName": row.repository_name,
            "repositoryUri": uri + row.repository_name,
            "createdAt": row.created_at,
            "imageTagMutability": row.image_tag_mutability,
            "imageTagMutabilityExclusionFilters": orjson.loads(filters) if filters else None,
            "imageScanningConfiguration": {"scanOnPush": row.scan_on_push},
            "encryptionConfiguration": {"encryptionType": row.encryption_type, "kmsKey": row.kms_key},
        }

    return Entries(rows, describe, ("DescribeRepositories", arn, uri))


@operation("DeleteRepository", transaction="write")
def delete_repository(
    call: Call, repository_name: str, registry_id: str | None = None, force: bool | None = None
) -> dict[str, Any]:
    """Any manifest makes it "not empty", untagged and archived ones too (inferred)."""
    registry = registry_of(call, registry_id)
    repository = service.get_repository(call, registry, repository_name)
    if not force and has_images(call, repository):
        raise RepositoryNotEmptyException(repository_name=repository_name, registry_id=registry.account)
    answer = {"repository": service.describe(call, repository)}
    service.delete_repository(call, repository)
    return answer


@operation("PutImageTagMutability", transaction="write")
def put_image_tag_mutability(
    call: Call,
    repository_name: str,
    image_tag_mutability: str,
    registry_id: str | None = None,
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Replaces mode and filters as a whole; concerns later pushes only."""
    registry = registry_of(call, registry_id)
    repository = service.get_repository(call, registry, repository_name)
    rules.check_mutability(image_tag_mutability, image_tag_mutability_exclusion_filters)
    call.connection.execute(
        update(repositories)
        .where(repositories.c.id == repository.id)
        .values(
            image_tag_mutability=image_tag_mutability,
            image_tag_mutability_exclusion_filters=image_tag_mutability_exclusion_filters,
        )
    )
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "imageTagMutability": image_tag_mutability,
        "imageTagMutabilityExclusionFilters": image_tag_mutability_exclusion_filters,
    }


def _repository_of_arn(call: Call, resource_arn: str) -> Repository:
    parsed = parse_arn(resource_arn)
    if parsed is None or parsed[0] != registry_of(call, parsed[0].account):
        raise InvalidParameterException(member="resourceArn", constraint="Invalid ARN")
    return service.get_repository(call, *parsed)


@operation("TagResource", transaction="write", asks=_ask_with_tags)
def tag_resource(call: Call, resource_arn: str, tags: list[dict[str, str]]) -> dict[str, Any]:
    """Adds or overwrites by key; other tags stay."""
    service.tag_repository(call, _repository_of_arn(call, resource_arn), tags)
    return {}


@operation("UntagResource", transaction="write", asks=_ask_with_tags)
def untag_resource(call: Call, resource_arn: str, tag_keys: list[str]) -> dict[str, Any]:
    """Keys that are not there are ignored (inferred)."""
    repository = _repository_of_arn(call, resource_arn)
    call.connection.execute(
        delete(repository_tags).where(
            repository_tags.c.repository_id == repository.id, repository_tags.c.key.in_(tag_keys)
        )
    )
    return {}


@operation("ListTagsForResource", transaction="read")
def list_tags_for_resource(call: Call, resource_arn: str) -> dict[str, Any]:
    """All of them; the operation has no pages."""
    return {"tags": service.resource_tags(call, _repository_of_arn(call, resource_arn))}
