"""Create-, Update-, Delete- and DescribeRepositoryCreationTemplates. None takes a registryId: they are the caller's."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core import paging
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.templates import rules, service


@operation("CreateRepositoryCreationTemplate", transaction="write")
def create_repository_creation_template(
    call: Call,
    prefix: str,
    applied_for: list[str],
    description: str | None = None,
    encryption_configuration: dict[str, str] | None = None,
    resource_tags: list[dict[str, str]] | None = None,
    image_tag_mutability: str | None = None,
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None = None,
    repository_policy: str | None = None,
    lifecycle_policy: str | None = None,
    custom_role_arn: str | None = None,
) -> dict[str, Any]:
    """What it would set on a repository is checked now; repositories that are there already stay as they are."""
    given = {name: value for name, value in locals().items() if name not in ("call", "prefix")}
    registry = registry_of(call)
    blank = rules.DEFAULTS._replace(prefix=rules.normalised(prefix), created_at=call.now)
    template = rules.updated(blank, given, call.now)
    service.add_template(call, registry, template)
    return _answer(registry, template)


@operation("UpdateRepositoryCreationTemplate", transaction="write")
def update_repository_creation_template(
    call: Call,
    prefix: str,
    description: str | None = None,
    encryption_configuration: dict[str, str] | None = None,
    resource_tags: list[dict[str, str]] | None = None,
    image_tag_mutability: str | None = None,
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None = None,
    repository_policy: str | None = None,
    lifecycle_policy: str | None = None,
    applied_for: list[str] | None = None,
    custom_role_arn: str | None = None,
) -> dict[str, Any]:
    """Members that are not given stay; an empty one is taken away (inferred)."""
    given = {name: value for name, value in locals().items() if name not in ("call", "prefix")}
    registry = registry_of(call)
    template = service.get_template(call, registry, rules.normalised(prefix))
    template = rules.updated(template, given, call.now)
    service.replace_template(call, registry, template)
    return _answer(registry, template)


@operation("DeleteRepositoryCreationTemplate", transaction="write")
def delete_repository_creation_template(call: Call, prefix: str) -> dict[str, Any]:
    """Answers with the template that is no more."""
    registry = registry_of(call)
    return _answer(registry, service.delete_template(call, registry, rules.normalised(prefix)))


@operation("DescribeRepositoryCreationTemplates", transaction="read")
def describe_repository_creation_templates(
    call: Call, prefixes: list[str] | None = None, next_token: str | None = None, max_results: int | None = None
) -> dict[str, Any]:
    """By prefix, a page at a time. A prefix that is asked for and has no template is simply not in the list."""
    registry = registry_of(call)
    named = sorted({rules.normalised(prefix) for prefix in prefixes or ()})
    request = ("DescribeRepositoryCreationTemplates", *registry, *named)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [""])
    found = service.page_of_templates(call, registry, after, limit + 1, named)
    shown, token = paging.page_of(request, found, limit, lambda template: [template.prefix])
    return {"registryId": registry.account, "repositoryCreationTemplates": shown, "nextToken": token}


def _answer(registry: Registry, template: rules.Template) -> dict[str, Any]:
    return {"registryId": registry.account, "repositoryCreationTemplate": template}
