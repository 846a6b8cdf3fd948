"""The 23 operations: fifteen that ECR has as well, by the same functions, and eight that are ECR Public's own."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import declared_as, operation, share
from ecrsim.contract.questions import Arguments, Question
from ecrsim.core import paging
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.service import issue_token
from ecrsim.ecr.registries.aliases import aliases_of, give_default_alias
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories import service
from ecrsim.ecr_public import catalog, tags
from ecrsim.ecr_public.entrance import enter

#: The operations of ECR that answer for ECR Public too. Registries differ in their kind, and answers in their members.
SHARED = (
    "BatchCheckLayerAvailability",
    "BatchDeleteImage",
    "CompleteLayerUpload",
    "DeleteRepository",
    "DeleteRepositoryPolicy",
    "DescribeImages",
    "DescribeRepositories",
    "GetRepositoryPolicy",
    "InitiateLayerUpload",
    "ListTagsForResource",
    "PutImage",
    "SetRepositoryPolicy",
    "TagResource",
    "UntagResource",
    "UploadLayerPart",
)
for _name in SHARED:
    share(_name, "ecr-public", enters=enter)


@operation(
    "CreateRepository",
    transaction="write",
    service="ecr-public",
    enters=enter,
    asks=declared_as("ecr", "CreateRepository").asks,
)
def create_repository(
    call: Call,
    repository_name: str,
    catalog_data: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """With tags and catalog data, or not at all. The first one gives the registry its default alias."""
    registry = registry_of(call)
    repository = service.create_repository(call, registry, repository_name, tags=tags or ())
    give_default_alias(call.connection, registry)
    data = catalog.put_catalog(call, repository, catalog_data) if catalog_data else {}
    return {"repository": service.describe(call, repository), "catalogData": data}


def _ask_for_bearer_tokens(plain: Question, _: Arguments) -> list[Question]:
    """Ask for sts:GetServiceBearerToken as well (documented)."""
    return [plain, plain._replace(action="sts:GetServiceBearerToken")]


@operation("GetAuthorizationToken", transaction="read", service="ecr-public", enters=enter, asks=_ask_for_bearer_tokens)
def get_authorization_token(call: Call) -> dict[str, Any]:
    """One token, good for 12 hours in every registry; there is no endpoint to go with it."""
    token, expires_at = issue_token(call)
    return {"authorizationData": {"authorizationToken": token, "expiresAt": expires_at}}


@operation("DescribeRegistries", transaction="read", service="ecr-public", enters=enter)
def describe_registries(call: Call, next_token: str | None = None, max_results: int | None = None) -> dict[str, Any]:
    """The one registry of the caller. Before its first repository it has no alias, and no URI (inferred)."""
    registry = registry_of(call)
    paging.decode(("DescribeRegistries", *registry), next_token, [""])
    aliases = aliases_of(call.connection, registry)
    primary = next((each.name for each in aliases if each.is_primary), None)
    shown = {
        "registryId": registry.account,
        "registryArn": registry.own_arn,
        "registryUri": service.registry_uri(call.runtime, registry, primary) if primary else "",
        "verified": catalog.registry_catalog(call, registry).is_verified,
        "aliases": [
            {
                "name": each.name,
                "status": each.status,
                "primaryRegistryAlias": each.is_primary,
                "defaultRegistryAlias": each.is_default,
            }
            for each in aliases
        ],
    }
    return {"registries": [shown]}


@operation("DescribeImageTags", transaction="read", service="ecr-public", enters=enter)
def describe_image_tags(
    call: Call,
    repository_name: str,
    registry_id: str | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """One entry for each tag, in the order in which they were attached (inferred)."""
    repository = service.get_repository(call, registry_of(call, registry_id), repository_name)
    request = ("DescribeImageTags", repository.id)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [0])
    found = tags.page_of_image_tags(call, repository, after, limit + 1)
    shown, token = paging.page_of(request, found, limit, lambda tag: [tag.id])
    return {
        "imageTagDetails": [
            {"imageTag": tag.image_tag, "createdAt": tag.created_at, "imageDetail": tag} for tag in shown
        ],
        "nextToken": token,
    }


@operation("GetRepositoryCatalogData", transaction="read", service="ecr-public", enters=enter)
def get_repository_catalog_data(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """The catalog data that was put last."""
    repository = service.get_repository(call, registry_of(call, registry_id), repository_name)
    return {"catalogData": catalog.catalog_of(call, repository)}


@operation("PutRepositoryCatalogData", transaction="write", service="ecr-public", enters=enter)
def put_repository_catalog_data(
    call: Call, repository_name: str, catalog_data: dict[str, Any], registry_id: str | None = None
) -> dict[str, Any]:
    """Replace the whole of the catalog data (inferred)."""
    repository = service.get_repository(call, registry_of(call, registry_id), repository_name)
    return {"catalogData": catalog.put_catalog(call, repository, catalog_data)}


@operation("GetRegistryCatalogData", transaction="read", service="ecr-public", enters=enter)
def get_registry_catalog_data(call: Call) -> dict[str, Any]:
    """The display name of the registry, without a member where none was put."""
    found = catalog.registry_catalog(call, registry_of(call))
    return {"registryCatalogData": {"displayName": found.display_name}}


@operation("PutRegistryCatalogData", transaction="write", service="ecr-public", enters=enter)
def put_registry_catalog_data(call: Call, display_name: str | None = None) -> dict[str, Any]:
    """Stored for every account; the gallery shows it of a verified one alone (documented)."""
    registry = registry_of(call)
    found = catalog.registry_catalog(call, registry)
    catalog.put_registry_catalog(call, registry, found._replace(display_name=display_name))
    return {"registryCatalogData": {"displayName": display_name}}
