"""DescribeRegistry and the account settings."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.additions import added
from ecrsim.contract.operations import operation
from ecrsim.contract.questions import Arguments, Question
from ecrsim.core.belonging import values_of
from ecrsim.core.query import upsert
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.service import reconsider
from ecrsim.ecr.registries import rules
from ecrsim.ecr.registries.service import account_setting, registry_of
from ecrsim.ecr.registries.tables import account_settings


@operation("DescribeRegistry", transaction="read")
def describe_registry(call: Call) -> dict[str, Any]:
    """The registry and its replication rules, of which there are none until a capability adds some."""
    registry = registry_of(call)
    members = added(call, "DescribeRegistry", registry, [registry]).get(registry, {})
    return {"registryId": registry.account, "replicationConfiguration": {"rules": []}, **members}


def _ask_with_setting(plain: Question, arguments: Arguments) -> list[Question]:
    return [plain._replace(context={"ecr:accountsetting": [arguments["name"]]})]


@operation("GetAccountSetting", transaction="read", asks=_ask_with_setting)
def get_account_setting(call: Call, name: str) -> dict[str, Any]:
    """The value in force; the default when none was ever put."""
    rules.check_name(name)
    return {"name": name, "value": account_setting(call, registry_of(call), name)}


@operation("PutAccountSetting", transaction="write", asks=_ask_with_setting)
def put_account_setting(call: Call, name: str, value: str) -> dict[str, Any]:
    """Settings are per account and region."""
    rules.check_value(name, value)
    registry = registry_of(call)
    upsert(call.connection, account_settings, values_of(registry) | {"name": name}, {"value": value})
    if name == "REGISTRY_POLICY_SCOPE":
        reconsider(call)
    return {"name": name, "value": value}
