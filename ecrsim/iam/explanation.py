"""Why a request is denied, and what would allow it; and the least that somebody needs for what they did. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ecrsim.iam.decision import (
    IDENTITY_ONLY,
    AccessRequest,
    Decision,
    Policies,
    Principal,
    decide,
    denial,
    explicit_denies,
    lacking,
)
from ecrsim.iam.grammar import MalformedPolicy, PolicyDocument, PolicyKind, Statement, read

#: Actions on a repository that need not be there yet: only the policy of the registry can grant them to others.
_REGISTRY_ACTIONS = frozenset({"ecr:createrepository", "ecr:replicateimage"})
_VERSION = "2012-10-17"


class PolicyChange(NamedTuple):
    """One statement that is to be added to a document, or taken out of it.

    `document` is its name; None when any document of the kind will do. `number` is that of a statement to be taken out.
    """

    kind: PolicyKind
    document: str | None
    statement: Mapping[str, Any]
    number: int | None = None

    @property
    def removes(self) -> bool:
        return self.number is not None

    @property
    def sentence(self) -> str:
        where = self.document if self.document is not None else _a(self.kind)
        if not self.removes:
            return f"add a statement to {where}"
        sid = self.statement.get("Sid")
        return f"remove statement {self.number}{f' ({sid})' if sid else ''} from {where}, which denies it"


class Explanation(NamedTuple):
    """A decision and, when it denies, the fewest changes that would make it allow; None when none would."""

    request: AccessRequest
    decision: Decision
    changes: tuple[PolicyChange, ...] | None

    def as_json(self) -> dict[str, Any]:
        """The answer of the admin surface. `message` is AWS's sentence for a denial."""
        decision = self.decision
        return {
            "allowed": decision.allowed,
            "reason": decision.because,
            "message": None if decision.allowed else denial(self.request, decision),
            "policyType": decision.document and decision.document.kind.value,
            "policy": decision.document and decision.document.name,
            "statement": decision.statement and decision.statement.source,
            "changes": None
            if self.changes is None
            else [
                {
                    "change": "remove" if change.removes else "add",
                    "policyType": change.kind.value,
                    "policy": change.document,
                    "statement": change.statement,
                    "description": change.sentence,
                }
                for change in self.changes
            ],
        }


def explain(request: AccessRequest, policies: Policies) -> Explanation:
    """The decision, and the fewest statements that would have to come or go for it to allow.

    Of two ways with as many statements the identity's is taken, as AWS's own sentence asks for that.
    """
    decision = decide(request, policies)
    if decision.allowed:
        return Explanation(request, decision, ())
    denies = tuple(
        PolicyChange(document.kind, document.name, statement.source, statement.number)
        for document, statement in explicit_denies(request, policies)
    )
    ways = [
        (*denies, *additions)
        for additions in _additions(request, apply_changes(policies, denies, request))
        if _allows(request, policies, (*denies, *additions))
    ]
    return Explanation(request, decision, min(ways, key=len) if ways else None)


def apply_changes(policies: Policies, changes: Iterable[PolicyChange], request: AccessRequest) -> Policies:
    """The policies as they would be. MalformedPolicy when a policy cannot hold what is to be added."""
    for change in changes:
        policies = _without(policies, change) if change.removes else _with(policies, change, request)
    return policies


def _allows(request: AccessRequest, policies: Policies, changes: Sequence[PolicyChange]) -> bool:
    try:
        return decide(request, apply_changes(policies, changes, request)).allowed
    except MalformedPolicy:
        return False


def _additions(request: AccessRequest, policies: Policies) -> Iterator[tuple[PolicyChange, ...]]:
    """The ways in which statements could be added, whether they lead to an Allow or not."""
    yield ()
    own = tuple(_own(request, policies, kind) for kind in lacking(request, policies))
    yield own
    # Where the policy of the resource names the role, the identity's need not; they limit it all the same.
    yield tuple(change for change in own if change.kind is not PolicyKind.IDENTITY)
    if request.action.lower() not in IDENTITY_ONLY:
        granted = _granted(request, policies, is_foreign=request.principal.account != request.account)
        yield (granted,)
        yield (*own, granted)


def _own(request: AccessRequest, policies: Policies, kind: PolicyKind) -> PolicyChange:
    limit = {PolicyKind.BOUNDARY: policies.boundary, PolicyKind.SESSION: policies.session}.get(kind)
    statement = {"Effect": "Allow", "Action": request.action, "Resource": request.resource}
    return PolicyChange(kind, limit and limit.name, statement)


def _granted(request: AccessRequest, policies: Policies, *, is_foreign: bool) -> PolicyChange:
    """A statement of the resource's policy. It names a session only where its role would be limited."""
    principal = request.principal
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": _principal(principal, is_foreign=is_foreign),
        "Action": request.action,
    }
    if policies.trust is not None:
        return PolicyChange(PolicyKind.TRUST, policies.trust.name, statement)
    if request.action.lower() in _REGISTRY_ACTIONS or ":repository/" not in request.resource:
        registry = policies.registry
        return PolicyChange(PolicyKind.REGISTRY, registry and registry.name, statement | {"Resource": request.resource})
    return PolicyChange(PolicyKind.REPOSITORY, policies.repository and policies.repository.name, statement)


def _principal(principal: Principal, *, is_foreign: bool) -> dict[str, str]:
    if principal.service is not None:
        return {"Service": principal.service}
    if principal.federated is not None:
        return {"Federated": principal.federated}
    return {"AWS": (principal.role_arn if is_foreign else None) or principal.arn}


def _with(policies: Policies, change: PolicyChange, request: AccessRequest) -> Policies:
    service = request.action.partition(":")[0]
    added = read(
        {"Version": _VERSION, "Statement": [change.statement]}, change.kind, change.document or "", service=service
    )
    if change.kind is PolicyKind.IDENTITY:
        return policies._replace(identity=(*(policies.identity or ()), added))
    field = change.kind.name.lower()
    present: PolicyDocument | None = getattr(policies, field)
    return _put(
        policies, field, present._replace(statements=present.statements + added.statements) if present else added
    )


def _without(policies: Policies, change: PolicyChange) -> Policies:
    def kept(statement: Statement) -> bool:
        return statement.source is not change.statement  # the very one: two documents may say the same

    def cleared(document: PolicyDocument) -> PolicyDocument:
        if (document.kind, document.name) != (change.kind, change.document):
            return document
        return document._replace(statements=tuple(filter(kept, document.statements)))

    if change.kind is PolicyKind.IDENTITY:
        return policies._replace(identity=tuple(cleared(document) for document in policies.identity or ()))
    field = change.kind.name.lower()
    return _put(policies, field, cleared(getattr(policies, field)))


def _put(policies: Policies, field: str, document: PolicyDocument) -> Policies:
    documents: dict[str, Any] = {field: document}
    return policies._replace(**documents)


def _a(kind: PolicyKind) -> str:
    return f"{'an' if kind is PolicyKind.IDENTITY else 'a'} {kind.value}"


def minimal_policy(records: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The identity policy that allows each (action, resource) and nothing else; without records one that IAM refuses.

    Resources that were used in the same way share a statement; statements are ordered by resource, `*` before all
    others and GetAuthorizationToken at its head, since nothing works without it. Resources are taken word for word: a
    call that concerned `…:repository/*`, as DescribeRepositories without names does, needs just that.
    """
    used: dict[str, set[str]] = {}
    for action, resource in records:
        used.setdefault(resource, set()).add(action)
    # `*` shares with nobody: beside it, an ARN in the same statement would mean nothing.
    statements = [_allow(used.pop("*"), ["*"])] if "*" in used else []
    alike: dict[frozenset[str], list[str]] = {}
    for resource in sorted(used):
        alike.setdefault(frozenset(used[resource]), []).append(resource)
    statements += [_allow(actions, resources) for actions, resources in alike.items()]
    return {"Version": _VERSION, "Statement": statements}


def _allow(actions: Iterable[str], resources: list[str]) -> dict[str, Any]:
    ordered = sorted(actions, key=lambda name: (name.lower() not in IDENTITY_ONLY, name))
    return {"Effect": "Allow", "Action": _one_or_all(ordered), "Resource": _one_or_all(resources)}


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts
