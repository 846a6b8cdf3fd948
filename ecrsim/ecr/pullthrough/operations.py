"""Create-, Update-, Delete-, Describe- and ValidatePullThroughCacheRule(s)."""

from __future__ import annotations

from typing import Any

import orjson

from ecrsim.contract.models import service as model
from ecrsim.contract.operations import operation
from ecrsim.contract.shape import shape
from ecrsim.core import paging
from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.core.upstream.failures import UpstreamError
from ecrsim.ecr.pullthrough import connection, credentials, rules, service
from ecrsim.ecr.registries.service import registry_of
from ecrsim.records.trail import record_call


def _registry(call: Call, registry_id: str | None) -> Registry:
    """ValidationException in a region without caches."""
    found = registry_of(call, registry_id)
    rules.check_offered(found.region)
    return found


def _prefix(text: str) -> str:
    """Kept without the slash that it may be sent with (inferred; recorded of templates)."""
    return text.removesuffix("/")


@operation("CreatePullThroughCacheRule", transaction="own", runs="long")
def create_pull_through_cache_rule(
    call: Call,
    ecr_repository_prefix: str,
    upstream_registry_url: str,
    registry_id: str | None = None,
    upstream_registry: str | None = None,
    credential_arn: str | None = None,
    custom_role_arn: str | None = None,
    upstream_repository_prefix: str | None = None,
) -> dict[str, Any]:
    """The secret is looked up where there is somewhere to look; the upstream itself is not asked."""
    registry = _registry(call, registry_id)
    rule = rules.Rule(
        _prefix(ecr_repository_prefix),
        upstream_registry_url,
        rules.kind_of(upstream_registry_url) or "",
        _prefix(upstream_repository_prefix or rules.ROOT),
        credential_arn,
        custom_role_arn,
        call.now,
        call.now,
    )
    rules.check(rule, upstream_registry, registry.account)
    call.release()
    credentials.check(call.runtime, registry, rule)
    with call.writing():
        service.add_rule(call, registry, rule)
        answer = _described(registry.account, rule, "updatedAt")
        _on_trail(call, registry, "CreatePullThroughCacheRule", rule, answer)
        return answer


@operation("UpdatePullThroughCacheRule", transaction="own", runs="long")
def update_pull_through_cache_rule(
    call: Call,
    ecr_repository_prefix: str,
    registry_id: str | None = None,
    credential_arn: str | None = None,
    custom_role_arn: str | None = None,
) -> dict[str, Any]:
    """Of a rule only what it logs in with can change."""
    registry = _registry(call, registry_id)
    if credential_arn is None and custom_role_arn is None:
        raise InvalidParameterException(
            "Invalid input: Please set either credential arn or role arn to update the credentials"  # R
        )
    prefix = _prefix(ecr_repository_prefix)

    def updated() -> rules.Rule:
        found = service.get_rule(call, registry, prefix)
        return found._replace(
            credential_arn=credential_arn or found.credential_arn,
            custom_role_arn=custom_role_arn or found.custom_role_arn,
            updated_at=call.now,
        )

    rule = updated()
    call.release()
    credentials.check(call.runtime, registry, rule)
    with call.writing():
        rule = updated()
        service.replace_rule(call, registry, rule)
        answer = _described(registry.account, rule, "upstreamRegistryUrl", "upstreamRegistry", "createdAt")
        _on_trail(call, registry, "UpdatePullThroughCacheRule", rule, answer)
        return answer


@operation("DeletePullThroughCacheRule", transaction="write")
def delete_pull_through_cache_rule(
    call: Call, ecr_repository_prefix: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Answers with the rule that is no more."""
    registry = _registry(call, registry_id)
    rule = service.delete_rule(call, registry, _prefix(ecr_repository_prefix))
    return _described(registry.account, rule, "upstreamRegistry", "updatedAt")


@operation("DescribePullThroughCacheRules", transaction="read")
def describe_pull_through_cache_rules(
    call: Call,
    registry_id: str | None = None,
    ecr_repository_prefixes: list[str] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """By prefix, a page at a time. One that is asked for and is not there fails the call."""
    registry = _registry(call, registry_id)
    named = sorted({_prefix(prefix) for prefix in ecr_repository_prefixes or ()})
    for prefix in named:
        service.get_rule(call, registry, prefix)
    request = ("DescribePullThroughCacheRules", *registry, *named)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [""])
    found = service.page_of_rules(call, registry, after, limit + 1, named)
    shown, token = paging.page_of(request, found, limit, lambda rule: [rule.ecr_repository_prefix])
    return {"pullThroughCacheRules": [_described(registry.account, rule) for rule in shown], "nextToken": token}


@operation("ValidatePullThroughCacheRule", transaction="own", runs="long")
def validate_pull_through_cache_rule(
    call: Call, ecr_repository_prefix: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Log in to the upstream. That this fails is an answer, not an error."""
    registry = _registry(call, registry_id)
    rule = service.get_rule(call, registry, _prefix(ecr_repository_prefix))
    call.release()
    failure = None
    try:
        connection.connect(call.runtime, registry, rule).check()
    except UpstreamError as error:
        failure = str(error)
    answer = _described(registry.account, rule, "upstreamRegistry", "createdAt", "updatedAt")
    return answer | {"isValid": failure is None, "failure": failure}


def _on_trail(call: Call, registry: Registry, name: str, rule: rules.Rule, answer: dict[str, Any]) -> None:
    """As the endpoint does it for operations that write throughout: these look up secrets with nothing open."""
    modelled = model("ecr").operations[name]
    sent = {member: answer[member] for member in modelled.input.members if answer.get(member) is not None}
    record_call(call, name, registry, None, orjson.dumps(sent), shape(modelled, answer), None)


def _described(account: str, rule: rules.Rule, *left_out: str) -> dict[str, Any]:
    """The rule, without what this answer does not have."""
    answer = {
        "ecrRepositoryPrefix": rule.ecr_repository_prefix,
        "upstreamRegistryUrl": rule.upstream_registry_url,
        "upstreamRegistry": rule.upstream_registry,
        "upstreamRepositoryPrefix": rule.upstream_repository_prefix,
        "registryId": account,
        "credentialArn": rule.credential_arn,
        "customRoleArn": rule.custom_role_arn,
        "createdAt": rule.created_at,
        "updatedAt": rule.updated_at,
    }
    return {name: value for name, value in answer.items() if name not in left_out}
