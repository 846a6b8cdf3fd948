"""The entrance of ECR Public: region, rate, aliases and tags of a request are looked at before its rights are."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.models import Operation
from ecrsim.core.errors import InvalidTagParameterException, RepositoryNotFoundException
from ecrsim.core.public_errors import RegistryNotFoundException, UnsupportedCommandException
from ecrsim.core.registry import PUBLIC_REGION
from ecrsim.core.runtime import Call
from ecrsim.ecr.registries.aliases import registry_by_alias
from ecrsim.ecr_public.limits import check_rate
from ecrsim.values import is_account


def enter(call: Call, operation: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with an account for an alias, and with whole tags.

    UnsupportedCommandException in another region (recorded); RegistryNotFoundException for an alias that is nobody's,
    where the operation has that error.
    """
    if call.caller.region != PUBLIC_REGION:
        raise UnsupportedCommandException(operation=operation.name)
    check_rate(call, operation.name)
    registry_id = arguments.get("registry_id")
    if registry_id is not None and not is_account(registry_id):
        arguments = {**arguments, "registry_id": _account(call, operation, arguments)}
    if "tags" in arguments:
        arguments = {**arguments, "tags": [_whole(tag) for tag in arguments["tags"]]}
    return arguments


def _account(call: Call, operation: Operation, arguments: dict[str, Any]) -> str:
    alias = arguments["registry_id"]
    registry = registry_by_alias(call.connection, alias)
    if registry is not None:
        return registry.account
    if "RegistryNotFoundException" in operation.errors:
        raise RegistryNotFoundException(registry_id=alias)
    raise RepositoryNotFoundException(repository_name=arguments["repository_name"], registry_id=alias)  # I


def _whole(tag: dict[str, str]) -> dict[str, str]:
    """The tag with Key and Value, which the model does not require. Inferred: no Key is refused, no Value is ""."""
    if "Key" not in tag:
        raise InvalidTagParameterException("Invalid tag parameter: a tag must have a key")
    return {"Value": "", **tag}
