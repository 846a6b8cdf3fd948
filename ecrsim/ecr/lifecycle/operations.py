"""The lifecycle policy that is not there."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core.errors import LifecyclePolicyNotFoundException
from ecrsim.core.runtime import Call
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.service import get_repository


@operation("GetLifecyclePolicy")
def get_lifecycle_policy(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """No repository has one until lifecycle policies can be put."""
    registry = registry_of(call, registry_id)
    get_repository(call, registry, repository_name)
    raise LifecyclePolicyNotFoundException(repository_name=repository_name, registry_id=registry.account)
