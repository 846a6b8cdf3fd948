"""May this caller do that, and why: the one way to ask, for both planes.

What does not change between two requests is remembered: documents that were read, identities, decisions that depend on
no condition. One text in the database, new after each change of principals, keys or policies, says when to forget it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from ecrsim.core.belonging import of_registry
from ecrsim.core.clock import iso
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import AccessDeniedException
from ecrsim.core.query import Query
from ecrsim.core.registry import Registry, root_arn
from ecrsim.core.runtime import Call, Caller
from ecrsim.ecr.access import directory
from ecrsim.ecr.access.tables import registry_policies, repository_policies
from ecrsim.ecr.registries.service import account_setting
from ecrsim.ecr.repositories.tables import NAMED, repositories, repository_tags
from ecrsim.iam.decision import (
    AccessRequest,
    Decision,
    Policies,
    Principal,
    decide,
    denial,
    locks_out,
)
from ecrsim.iam.explanation import explain
from ecrsim.iam.grammar import PolicyDocument, PolicyKind, parse, read
from ecrsim.iam.managed import service_role_of
from ecrsim.records import audit


class _ResourceTag(NamedTuple):
    key: str
    value: str


_REPOSITORY_POLICY = Query(
    select(repository_policies.c.policy_text)
    .join(repositories, repositories.c.id == repository_policies.c.repository_id)
    .where(NAMED),
    str,
)
_REGISTRY_POLICY = Query(select(registry_policies.c.policy_text).where(of_registry(registry_policies)), str)
_RESOURCE_TAGS = Query(
    select(repository_tags.c.key, repository_tags.c.value)
    .join(repositories, repositories.c.id == repository_tags.c.repository_id)
    .where(NAMED),
    _ResourceTag,
)

#: In the scope V1 the policy of a registry is about these alone; in V2, the default, about all (documented).
_SCOPE_V1 = {"ecr:createrepository", "ecr:replicateimage", "ecr:batchimportupstreamimage"}
#: What a principal may do when nobody knows it any more: nothing.
_NOTHING: tuple[PolicyDocument, ...] = ()
#: Decisions and identities, each of some hundred bytes, and documents, of up to a megabyte once they are read.
_MAX_REMEMBERED, _MAX_DOCUMENTS = 10_000, 500


class CallerIdentity(NamedTuple):
    """A caller as policies see it. `documents` is None for root."""

    principal: Principal
    documents: tuple[PolicyDocument, ...] | None
    boundary: PolicyDocument | None
    session: PolicyDocument | None
    tags: Mapping[str, str]
    name: str


class Memory:
    """The memory of one runtime for one generation of principals and policies."""

    __slots__ = ("decisions", "documents", "generation", "has_keys", "identities", "version")

    def __init__(self, generation: str | None, *, has_keys: bool) -> None:
        self.generation = generation
        #: Of the database in which the generation was seen last, if it was looked at.
        self.version: int | None = None
        self.has_keys = has_keys
        self.identities: dict[tuple[str, str], CallerIdentity] = {}
        self.documents: dict[tuple[PolicyKind, str], PolicyDocument] = {}
        self.decisions: dict[tuple[Any, ...], Decision] = {}


def memory(call: Call) -> Memory:
    """The memory of the present generation; one call sees one generation."""
    known: Memory | None = call.lookups.get("access")
    if known is not None:
        return known
    # Before the database is read: what a call sees that has begun to read may be older than this.
    version = None if call.has_connection else call.runtime.database.version()
    found = call.runtime.memory.get("access")
    if not isinstance(found, Memory) or version is None or found.version != version:
        current = directory.generation(call.connection)
        if not isinstance(found, Memory) or found.generation != current:
            found = call.runtime.memory["access"] = Memory(current, has_keys=directory.has_keys(call.connection))
        if version is not None:
            found.version = version
    call.lookups["access"] = found
    return found


def authorize(
    call: Call,
    action: str,
    registry: Registry,
    repository_name: str | None = None,
    context: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """AccessDeniedException with AWS's sentence when the caller may not; either way the decision is on record."""
    request, decision = decision_of(
        call, call.caller, registry.action(action), registry, repository_name, context or {}
    )
    audit.record(call, request.action, request.resource, registry, is_allowed=decision.allowed, reason=decision.because)
    if not decision.allowed:
        raise AccessDeniedException(denial(request, decision))


def decision_of(
    call: Call,
    caller: Caller,
    action: str,
    registry: Registry,
    repository_name: str | None,
    context: Mapping[str, Sequence[str]],
) -> tuple[AccessRequest, Decision]:
    """The request as policies see it, and what they say."""
    known = memory(call)
    identity = identity_of(call, known, caller)
    resource = registry.resource(repository_name)
    key = (caller.principal, caller.access_key, action, registry, repository_name)
    request = AccessRequest(identity.principal, action, resource, registry.account, {})
    decision = known.decisions.get(key)
    if decision is not None:
        return request, decision
    policies = policies_of(call, known, identity, registry, repository_name, action)
    depends = any(statement.needs_context for document in policies.all() for statement in document.statements)
    if depends:
        request = request._replace(context=_context(call, caller, identity, registry, repository_name, context))
    decision = decide(request, policies)
    if not depends:
        if len(known.decisions) >= _MAX_REMEMBERED:
            known.decisions.clear()
        known.decisions[key] = decision
    return request, decision


def decision_about(
    call: Call,
    caller: Caller,
    action: str,
    resource: str,
    owner: Registry,
    policy: PolicyDocument | None = None,
    context: Mapping[str, Sequence[str]] | None = None,
) -> tuple[AccessRequest, Decision]:
    """As `decision_of`, of what another service has: `action` is named whole, `resource` is an ARN of that service.

    `owner`: the account and region that it is in. `policy`: its own, where it has one.
    """
    identity = identity_of(call, memory(call), caller)
    policies = Policies(identity.documents, identity.boundary, identity.session, policy)
    values = _context(call, caller, identity, owner, None, context or {})
    request = AccessRequest(identity.principal, action, resource, owner.account, values)
    return request, decide(request, policies)


def is_in_scope_v1(document: PolicyDocument) -> bool:
    """Whether a policy of a registry names nothing but the actions that it governs in the scope V1 (documented)."""
    return all(
        statement.actions is not None and {action.lower() for action in statement.actions} <= _SCOPE_V1
        for statement in document.statements
    )


def policies_of(
    call: Call, known: Memory, identity: CallerIdentity, registry: Registry, repository_name: str | None, action: str
) -> Policies:
    place = registry._asdict()
    registry_policy = _REGISTRY_POLICY.first(call.connection, **place)
    if registry_policy is not None and action.lower() not in _SCOPE_V1:
        scope = account_setting(call, registry, "REGISTRY_POLICY_SCOPE")
        registry_policy = None if scope == "V1" else registry_policy
    repository_policy = None
    if repository_name is not None:
        repository_policy = _REPOSITORY_POLICY.first(call.connection, repository_name=repository_name, **place)
    return Policies(
        identity.documents,
        identity.boundary,
        identity.session,
        _document(known, PolicyKind.REPOSITORY, repository_policy, registry.service),
        _document(known, PolicyKind.REGISTRY, registry_policy, registry.service),
    )


def _document(known: Memory, kind: PolicyKind, text: str | None, service: str) -> PolicyDocument | None:
    if text is None:
        return None
    found = known.documents.get((kind, text))
    if found is None:
        if len(known.documents) >= _MAX_DOCUMENTS:
            known.documents.clear()
        # As an object, whose white space does not count: ECR rewrites a policy to more than one may send.
        found = known.documents[kind, text] = read(parse(text), kind, kind.value, service=service)
    return found


# --- who --------------------------------------------------------------------------------------------------------------


def identity_of(call: Call, known: Memory, caller: Caller) -> CallerIdentity:
    """The caller's rights as they are now. A principal that is not known any more has none."""
    key = (caller.principal, caller.access_key)
    found = known.identities.get(key)
    if found is None:
        if len(known.identities) >= _MAX_REMEMBERED:
            known.identities.clear()
        found = known.identities[key] = _identity(call, caller)
    return found


def _identity(call: Call, caller: Caller) -> CallerIdentity:
    if caller.principal == root_arn(caller.account, caller.region):
        return CallerIdentity(Principal(caller.principal, caller.account), None, None, None, {}, "root")
    service_role = None if caller.access_key else service_role_of(caller.principal)
    if service_role is not None:
        who = Principal(caller.principal, caller.account, service_role.role_arn)
        return CallerIdentity(who, (service_role.document,), None, None, {}, "")
    session = directory.find_key(call.connection, caller.access_key) if caller.access_key else None
    owner = session.owner if session is not None else caller.principal
    if session is not None and owner == root_arn(caller.account, caller.region):
        # Of a role that nobody knows, assumed by root (`open_assume_role`).
        everything = directory.documents_of([{"name": "AdministratorAccess", "document": None}], PolicyKind.IDENTITY)
        limit = directory.session_limit(session.session_policies or [])
        who = Principal(caller.principal, caller.account)
        return CallerIdentity(who, everything, None, limit, session.session_tags or {}, "")
    row = directory.find_principal(call.connection, owner)
    if row is None or (session is not None and (session.session_arn or session.owner) != caller.principal):
        return CallerIdentity(Principal(caller.principal, caller.account), _NOTHING, None, None, {}, "")
    limit = directory.session_limit(session.session_policies or []) if session else None
    boundary = directory.documents_of([row.boundary], PolicyKind.BOUNDARY)[0] if row.boundary else None
    return CallerIdentity(
        Principal(caller.principal, row.account, row.arn if row.kind == "role" else None),
        directory.documents_of(row.policies, PolicyKind.IDENTITY),
        boundary,
        limit,
        {**row.tags, **((session.session_tags if session else None) or {})},
        row.name,
    )


def request_context(call: Call, identity: CallerIdentity) -> dict[str, Sequence[str]]:
    """The condition keys of a request that is about no repository."""
    caller = call.caller
    return dict(_context(call, caller, identity, caller.registry, None, {}))


def _context(
    call: Call,
    caller: Caller,
    identity: CallerIdentity,
    registry: Registry,
    repository_name: str | None,
    more: Mapping[str, Sequence[str]],
) -> Mapping[str, Sequence[str]]:
    """The condition keys of a request, in lower case (documented: AWS's global keys and ECR's own)."""
    values: dict[str, Sequence[str]] = {
        "aws:principalarn": [identity.principal.role_arn or caller.principal],
        "aws:principalaccount": [caller.account],
        "aws:principaltype": [_principal_type(identity)],
        "aws:userid": [identity.name if identity.documents is not None else caller.account],
        "aws:sourceip": [caller.source_ip],
        "aws:securetransport": [str(caller.is_secure).lower()],
        "aws:currenttime": [iso(call.now)],
        "aws:epochtime": [str(call.now // SECOND)],
        "aws:requestedregion": [registry.region],
        "aws:resourceaccount": [registry.account],
        "aws:viaawsservice": ["false"],
    }
    if identity.documents is not None and identity.principal.role_arn is None:
        values["aws:username"] = [identity.name]
    for key, value in identity.tags.items():
        values[f"aws:principaltag/{key.lower()}"] = [value]
    if repository_name is not None:
        tags = _RESOURCE_TAGS.all(call.connection, repository_name=repository_name, **registry._asdict())
        for key, value in tags:
            values[f"aws:resourcetag/{key.lower()}"] = values[f"{registry.service}:resourcetag/{key.lower()}"] = [value]
    return {**values, **more}


def _principal_type(identity: CallerIdentity) -> str:
    if identity.documents is None:
        return "Account"
    return "AssumedRole" if identity.principal.role_arn else "User"


def would_lock_out(call: Call, document: PolicyDocument, registry: Registry, repository_name: str) -> bool:
    """True when the caller could not set the repository's policy again, once `document` is it."""
    known = memory(call)
    identity = identity_of(call, known, call.caller)
    resource, action = registry.arn(repository_name), registry.action("SetRepositoryPolicy")
    policies = policies_of(call, known, identity, registry, repository_name, action)
    context = _context(call, call.caller, identity, registry, repository_name, {})
    request = AccessRequest(identity.principal, action, resource, registry.account, context)
    return locks_out(document, request, policies)


def explanation_of(
    call: Call, action: str, registry: Registry, repository_name: str | None, context: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Why the caller may or may not, as JSON; of a denial the smallest change that would allow it."""
    known = memory(call)
    identity = identity_of(call, known, call.caller)
    policies = policies_of(call, known, identity, registry, repository_name, action)
    values = _context(call, call.caller, identity, registry, repository_name, context)
    resource = registry.resource(repository_name)
    request = AccessRequest(identity.principal, action, resource, registry.account, values)
    asked = {"principal": call.caller.principal, "action": action, "resource": resource}
    return asked | explain(request, policies).as_json()
