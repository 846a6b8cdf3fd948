"""Verbs on templates, and `create_repository_for`: the only way in which ecrsim makes a repository by itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import delete, func, insert, select, update

from ecrsim.contract.models import service as model
from ecrsim.contract.shape import shape
from ecrsim.core.belonging import rows_of, values_of
from ecrsim.core.entries import is_among
from ecrsim.core.errors import (
    InvalidParameterException,
    InvalidTagParameterException,
    LimitExceededException,
    RepositoryNotFoundException,
    TemplateAlreadyExistsException,
    TemplateNotFoundException,
)
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.service import check_repository_policy, put_repository_policy
from ecrsim.ecr.lifecycle import policy as lifecycle_policies
from ecrsim.ecr.lifecycle.service import put_policy
from ecrsim.ecr.repositories.protection import check_configuration
from ecrsim.ecr.repositories.rules import check_mutability, check_resource_tags
from ecrsim.ecr.repositories.service import create_repository, describe, find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.rules import CREATE_ON_PUSH, DEFAULTS, ROOT, Template, matching, prefixes_of
from ecrsim.ecr.templates.tables import creation_templates
from ecrsim.records.trail import record_call

log = logging.getLogger("ecrsim.templates")

#: What the setting `create_on_push` stands for, in every registry.
_SETTING = DEFAULTS._replace(prefix=ROOT, applied_for=[CREATE_ON_PUSH])
_COLUMNS = [creation_templates.c[name] for name in Template._fields]


def _of(registry: Registry) -> Any:
    return rows_of(creation_templates, registry)


# --- templates --------------------------------------------------------------------------------------------------------


def find_template(call: Call, registry: Registry, prefix: str) -> Template | None:
    query = select(*_COLUMNS).where(_of(registry), creation_templates.c.prefix == prefix)
    row = call.connection.execute(query).first()
    return Template._make(row) if row else None


def get_template(call: Call, registry: Registry, prefix: str) -> Template:
    found = find_template(call, registry, prefix)
    if found is None:
        raise TemplateNotFoundException(prefix=prefix, registry_id=registry.account)
    return found


def add_template(call: Call, registry: Registry, template: Template) -> None:
    """TemplateAlreadyExistsException, LimitExceededException; InvalidParameterException of what it would set."""
    _check(call, registry, template)
    if find_template(call, registry, template.prefix) is not None:
        raise TemplateAlreadyExistsException(prefix=template.prefix, registry_id=registry.account)
    count = select(func.count()).select_from(creation_templates).where(_of(registry))
    if call.connection.execute(count).scalar_one() >= call.runtime.config.quota_templates:
        raise LimitExceededException(
            "The maximum number of repository creation templates "
            f"in the registry with id '{registry.account}' has been reached"  # I
        )
    call.connection.execute(insert(creation_templates).values({**values_of(registry), **template._asdict()}))


def replace_template(call: Call, registry: Registry, template: Template) -> None:
    """Put it in the place of the one with its prefix."""
    _check(call, registry, template)
    place = _of(registry) & (creation_templates.c.prefix == template.prefix)
    call.connection.execute(update(creation_templates).where(place).values(template._asdict()))


def delete_template(call: Call, registry: Registry, prefix: str) -> Template:
    """What was deleted. Repositories that were made by it stay as they are."""
    found = get_template(call, registry, prefix)
    place = _of(registry) & (creation_templates.c.prefix == prefix)
    call.connection.execute(delete(creation_templates).where(place))
    return found


def page_of_templates(
    call: Call, registry: Registry, after: str, limit: int, prefixes: Sequence[str] | None
) -> list[Template]:
    """In the order of their prefixes, after the prefix `after`; of `prefixes` alone, if there are any."""
    query = select(*_COLUMNS).where(_of(registry), creation_templates.c.prefix > after)
    if prefixes:
        query = query.where(is_among(creation_templates.c.prefix, prefixes))
    rows = call.connection.execute(query.order_by(creation_templates.c.prefix).limit(limit))
    return [Template._make(row) for row in rows]


def _check(call: Call, registry: Registry, template: Template) -> None:
    """All that could keep the template from being applied, the missing role excepted, as ECR does (documented)."""
    check_mutability(template.image_tag_mutability, template.image_tag_mutability_exclusion_filters)
    check_configuration(registry, _encryption(template))
    tags = template.resource_tags or ()
    try:
        check_resource_tags(tags)
    except InvalidTagParameterException as error:
        # No error of these operations: the same sentence as a constraint (inferred).
        raise InvalidParameterException(member="resourceTags", constraint=error.message) from None
    limit = call.runtime.config.quota_resource_tags
    if len(tags) > limit:
        raise InvalidParameterException(
            member="resourceTags",
            constraint=f"The maximum number of tags that can be applied to a repository is {limit}",  # I
        )
    if template.repository_policy is not None:
        check_repository_policy(template.repository_policy)
    if template.lifecycle_policy is not None:
        lifecycle_policies.read(template.lifecycle_policy)


def _encryption(template: Template) -> dict[str, str]:
    """As CreateRepository takes it: an empty key is none."""
    return {name: value for name, value in template.encryption_configuration.items() if value}


# --- repositories -----------------------------------------------------------------------------------------------------


def template_for(call: Call, registry: Registry, repository_name: str, reason: str) -> Template | None:
    """The template that a repository of this name would be made by, for `reason` (see `rules`). ECR Public has none."""
    if registry.kind != "private":
        return None
    prefixes = prefixes_of(repository_name)
    query = select(*_COLUMNS).where(_of(registry), creation_templates.c.prefix.in_(prefixes))
    templates = [Template._make(row) for row in call.connection.execute(query)]
    found = matching(templates, repository_name, reason)
    if found is None and call.runtime.config.create_on_push:
        found = matching([_SETTING], repository_name, reason)
    return found


def repository_to_push(call: Call, registry: Registry, repository_name: str) -> Repository:
    """The repository, made on the spot where a template says CREATE_ON_PUSH. RepositoryNotFoundException."""
    found = find_repository(call, registry, repository_name)
    return found or create_repository_for(call, registry, repository_name, CREATE_ON_PUSH)


def create_repository_for(call: Call, registry: Registry, repository_name: str, reason: str) -> Repository:
    """The repository of this name, made by ECR itself with all that the matching template says.

    `reason`: REPLICATION, PULL_THROUGH_CACHE or CREATE_ON_PUSH. RepositoryNotFoundException where it is not made: a
    push without a template, and a template that needs a role and has none. Whoever asks has to be allowed to already;
    one that is there already is left as it is. All of it happens in one transaction, that of the call if it has one.
    """
    with call.writing():
        found = find_repository(call, registry, repository_name)
        if found is not None:
            return found
        template = template_for(call, registry, repository_name, reason)
        if template is None and reason == CREATE_ON_PUSH:
            raise RepositoryNotFoundException(repository_name=repository_name, registry_id=registry.account)
        if template is not None and template.needs_role and not template.custom_role_arn:
            # A client of ECR sees no other sentence either (reported by users).
            log.warning(
                "repository %s of %s was not made: the template %s sets resource tags or KMS and has no customRoleArn",
                repository_name,
                registry.account,
                template.prefix,
            )
            raise RepositoryNotFoundException(repository_name=repository_name, registry_id=registry.account)
        with call.connection.begin_nested():
            return _create(call, registry, repository_name, template or DEFAULTS)


def _create(call: Call, registry: Registry, repository_name: str, template: Template) -> Repository:
    repository = create_repository(
        call,
        registry,
        repository_name,
        image_tag_mutability=template.image_tag_mutability,
        filters=template.image_tag_mutability_exclusion_filters,
        encryption=_encryption(template),
        tags=template.resource_tags or (),
        is_asked_for=False,
    )
    if template.repository_policy is not None:
        put_repository_policy(call, repository, template.repository_policy)
    if template.lifecycle_policy is not None:
        put_policy(call, repository, template.lifecycle_policy)
    _on_trail(call, registry, repository, template)
    return repository


def _on_trail(call: Call, registry: Registry, repository: Repository, template: Template) -> None:
    """ECR makes the call itself, on behalf of whoever pushed, pulled or replicated (inferred)."""
    request = {
        "repositoryName": repository.repository_name,
        "imageTagMutability": template.image_tag_mutability,
        "imageTagMutabilityExclusionFilters": template.image_tag_mutability_exclusion_filters,
        "encryptionConfiguration": _encryption(template),
        "tags": template.resource_tags,
    }
    sent = orjson.dumps({name: value for name, value in request.items() if value is not None})
    answer = shape(model("ecr").operations["CreateRepository"], {"repository": describe(call, repository)})
    place = registry, repository.repository_name
    record_call(call, "CreateRepository", *place, sent, answer, None, plane="registry")
