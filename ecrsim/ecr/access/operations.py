"""GetAuthorizationToken, and the policies of repositories and registries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select

from ecrsim.contract.operations import operation
from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.errors import (
    InvalidParameterException,
    RegistryPolicyNotFoundException,
    RepositoryPolicyNotFoundException,
)
from ecrsim.core.query import upsert
from ecrsim.core.registry import Registry, partition
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.authorization import is_in_scope_v1, would_lock_out
from ecrsim.ecr.access.canonical import canonical, pretty
from ecrsim.ecr.access.directory import forget_decisions
from ecrsim.ecr.access.service import check_repository_policy, issue_token, put_repository_policy
from ecrsim.ecr.access.tables import registry_policies, repository_policies
from ecrsim.ecr.registries.service import account_setting, registry_of
from ecrsim.ecr.repositories.service import get_repository, proxy_endpoint
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.iam.grammar import MalformedPolicy, PolicyKind, parse, read


@operation("GetAuthorizationToken", transaction="read")
def get_authorization_token(call: Call, registry_ids: list[str] | None = None) -> dict[str, Any]:
    """A token for `docker login`, good for 12 hours; one entry for each registry that was named (deprecated, works)."""
    token, expires_at = issue_token(call)
    return {
        "authorizationData": [
            {
                "authorizationToken": token,
                "expiresAt": expires_at,
                "proxyEndpoint": proxy_endpoint(call.runtime, Registry(account, call.caller.region)),
            }
            for account in registry_ids or [call.caller.account]
        ]
    }


@operation("SetRepositoryPolicy", transaction="write")
def set_repository_policy(
    call: Call, repository_name: str, policy_text: str, registry_id: str | None = None, force: bool | None = None
) -> dict[str, Any]:
    """Refused when it would keep the caller from setting it again, unless forced. Answered as it is kept: rewritten."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    document = check_repository_policy(policy_text, registry.service)
    if not force and would_lock_out(call, document, registry, repository_name):
        raise InvalidParameterException(member="PolicyText", constraint="Invalid repository policy provided")  # I
    text = put_repository_policy(call, repository, policy_text)
    return {"registryId": registry.account, "repositoryName": repository_name, "policyText": text}


@operation("GetRepositoryPolicy", transaction="read")
def get_repository_policy(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """The text as ECR rewrites it."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    return _repository_policy(call, registry, repository)


@operation("DeleteRepositoryPolicy", transaction="write")
def delete_repository_policy(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """Answers with the text that is no more."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    answer = _repository_policy(call, registry, repository)
    call.connection.execute(delete(repository_policies).where(repository_policies.c.repository_id == repository.id))
    forget_decisions(call)
    return answer


def _repository_policy(call: Call, registry: Registry, repository: Repository) -> dict[str, Any]:
    query = select(repository_policies.c.policy_text).where(repository_policies.c.repository_id == repository.id)
    text = call.connection.execute(query).scalar()
    name = repository.repository_name
    if text is None:
        raise RepositoryPolicyNotFoundException(repository_name=name, registry_id=registry.account)
    return {"registryId": registry.account, "repositoryName": name, "policyText": text}


@operation("PutRegistryPolicy", transaction="write")
def put_registry_policy(call: Call, policy_text: str) -> dict[str, Any]:
    """One policy for a registry, evaluated on every request to it; in the scope V1 on three actions alone."""
    registry = registry_of(call)
    _check_registry_policy(policy_text, account_setting(call, registry, "REGISTRY_POLICY_SCOPE"))
    text = pretty(canonical(parse(policy_text), partition(registry.region)))
    upsert(call.connection, registry_policies, values_of(registry), {"policy_text": text})
    forget_decisions(call)
    return {"registryId": registry.account, "policyText": text}


@operation("GetRegistryPolicy", transaction="read")
def get_registry_policy(call: Call) -> dict[str, Any]:
    """The text as ECR rewrites it."""
    return _registry_policy(call, registry_of(call))


@operation("DeleteRegistryPolicy", transaction="write")
def delete_registry_policy(call: Call) -> dict[str, Any]:
    """Answers with the text that is no more."""
    registry = registry_of(call)
    answer = _registry_policy(call, registry)
    call.connection.execute(delete(registry_policies).where(of_registry(registry_policies)), registry._asdict())
    forget_decisions(call)
    return answer


def _registry_policy(call: Call, registry: Registry) -> dict[str, Any]:
    query = select(registry_policies.c.policy_text).where(of_registry(registry_policies))
    text = call.connection.execute(query, registry._asdict()).scalar()
    if text is None:
        raise RegistryPolicyNotFoundException(registry_id=registry.account)
    return {"registryId": registry.account, "policyText": text}


def _check_registry_policy(policy_text: str, scope: str) -> None:
    try:
        fits = is_in_scope_v1(read(policy_text, PolicyKind.REGISTRY, PolicyKind.REGISTRY.value)) or scope != "V1"
    except MalformedPolicy:
        fits = False
    if not fits:
        raise InvalidParameterException(member="PolicyText", constraint="Invalid registry policy provided")  # R
