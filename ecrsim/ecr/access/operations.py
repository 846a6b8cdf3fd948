"""GetAuthorizationToken, and the policies that are not there."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core.arn import Registry
from ecrsim.core.errors import RegistryPolicyNotFoundException, RepositoryPolicyNotFoundException
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.service import issue_token
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.service import get_repository, proxy_endpoint


@operation("GetAuthorizationToken")
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


@operation("GetRepositoryPolicy")
def get_repository_policy(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """No repository has a policy until policies can be set."""
    registry = registry_of(call, registry_id)
    get_repository(call, registry, repository_name)
    raise RepositoryPolicyNotFoundException(repository_name=repository_name, registry_id=registry.account)


@operation("GetRegistryPolicy")
def get_registry_policy(call: Call) -> dict[str, Any]:
    """No registry has a policy until policies can be put."""
    raise RegistryPolicyNotFoundException(registry_id=registry_of(call).account)
