"""May this principal do that: values in, a decision with its reason out. Pure.

The rules (documented): an explicit deny anywhere decides. Within one account an allow of the identity's policies, or of
the repository's or registry's policy, is enough; across accounts both sides must allow. A permissions boundary and a
session policy limit what the identity's policies allow. Root may do everything in its own account.

Two things surprise. A resource's policy that names the principal's own account gives nothing by itself there: it leaves
the matter to the identity's policies (documented; observed with S3). And one that names a user, or a session, is not
limited by boundary and session policy, while one that names the session's role is (documented).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, IntEnum
from typing import NamedTuple

from ecrsim.iam.conditions import substituted
from ecrsim.iam.grammar import PolicyDocument, PolicyKind, Principals, Statement
from ecrsim.iam.wildcards import matches

#: Account-level: the policy of a repository or registry cannot grant them (documented).
IDENTITY_ONLY = frozenset(
    {"ecr:getauthorizationtoken", "ecr-public:getauthorizationtoken", "sts:getservicebearertoken"}
)


#: What root of a registry's own account may do whatever the registry's policy says: it could never be mended otherwise.
#: AWS documents this of the policies of S3 buckets; for ECR it is inferred.
ROOT_KEEPS = frozenset({"ecr:getregistrypolicy", "ecr:putregistrypolicy", "ecr:deleteregistrypolicy"})


class Principal(NamedTuple):
    """The principal of a request.

    `arn` is a session's for roles; `role_arn` then is the role's own, with its path. A service that asks for itself,
    and a web identity that is about to become a role, have no account (the empty text) and the name that policies use.
    """

    arn: str
    account: str
    role_arn: str | None = None
    service: str | None = None
    federated: str | None = None

    @property
    def is_root(self) -> bool:
        return self.arn.endswith(f":iam::{self.account}:root")


class AccessRequest(NamedTuple):
    """One question of access.

    `action`: `ecr:PutImage`. `resource`: an ARN, or `*` for an action that has none. `account`: whose the resource is.
    `context`: condition keys in lower case → values.
    """

    principal: Principal
    action: str
    resource: str
    account: str
    context: Mapping[str, Sequence[str]]


class Policies(NamedTuple):
    """The policies that may decide: the identity's, those that limit them, and the resource's.

    `identity` is None for root and for principals without an account, who need none. `trust`, the policy of a role that
    is to be assumed, must allow: no identity can take a role that does not trust it (documented).
    """

    identity: tuple[PolicyDocument, ...] | None
    boundary: PolicyDocument | None = None
    session: PolicyDocument | None = None
    repository: PolicyDocument | None = None
    registry: PolicyDocument | None = None
    trust: PolicyDocument | None = None

    def resources(self) -> Iterator[PolicyDocument]:
        return (document for document in (self.repository, self.registry, self.trust) if document is not None)

    def all(self) -> Iterator[PolicyDocument]:
        yield from self.identity or ()
        yield from (document for document in (self.boundary, self.session) if document is not None)
        yield from self.resources()


class Reason(Enum):
    """The reason of a decision."""

    ROOT = "root may do everything in its own account"
    ALLOWED = "a statement allows it"
    EXPLICIT_DENY = "a statement denies it"
    NO_IDENTITY = "no identity-based policy allows it"
    NO_BOUNDARY = "the permissions boundary does not allow it"
    NO_SESSION = "the session policy does not allow it"
    NO_RESOURCE = "no policy of the repository or registry allows it"
    NO_TRUST = "the role trust policy does not allow it"


class Decision(NamedTuple):
    """The answer. `document` and `statement` decided, where one did; of a boundary that allows nothing, `document`."""

    allowed: bool
    reason: Reason
    document: PolicyDocument | None = None
    statement: Statement | None = None

    @property
    def because(self) -> str:
        """For audit and explanations: `statement 2 (Push) of PushOnly allows it`."""
        if self.statement is None or self.document is None:
            return self.reason.value
        return f"{self.statement.label} of {self.document.name} {'allows' if self.allowed else 'denies'} it"


class _Grant(IntEnum):
    """How an Allow statement of a resource's policy names the principal: the higher, the more it gives."""

    NONE = 0
    ACCOUNT = 1  # within the account nothing: the identity's policies decide
    ROLE = 2  # what boundary and session policy leave of it
    DIRECT = 3  # all of it


def decide(request: AccessRequest, policies: Policies) -> Decision:
    """The decision. Its cost is the number of statements times the size of their values."""
    for document, statement in explicit_denies(request, policies):
        return Decision(False, Reason.EXPLICIT_DENY, document, statement)
    identity = _identity(request, policies)
    if request.action.lower() in IDENTITY_ONLY:
        return identity if request.principal.account else Decision(False, Reason.NO_IDENTITY)
    grant, resource = _resource(request, policies)
    if request.principal.account != request.account:
        return (resource or _missing(policies)) if identity.allowed else identity
    if policies.trust is not None and resource is None:
        return _missing(policies)
    if identity.allowed or resource is None or grant is _Grant.ACCOUNT:
        return identity
    return (grant is _Grant.ROLE and _limit(request, policies)) or resource


def explicit_denies(request: AccessRequest, policies: Policies) -> Iterator[tuple[PolicyDocument, Statement]]:
    """Every statement that denies the request."""
    owner = request.principal.is_root and request.principal.account == request.account
    spared = PolicyKind.REGISTRY if owner and request.action.lower() in ROOT_KEEPS else None
    for document in policies.all():
        for statement in () if document.kind is spared else document.statements:
            if not statement.allows and _applies(statement, request, is_bound=policies.boundary is not None):
                yield document, statement


def lacking(request: AccessRequest, policies: Policies) -> list[PolicyKind]:
    """The policies of the principal's own side that would have to allow the request and do not."""
    if policies.identity is None:
        return []
    limits = tuple(limit for limit in (policies.boundary, policies.session) if limit is not None)
    return [
        *([] if _first_allow(policies.identity, request) else [PolicyKind.IDENTITY]),
        *(limit.kind for limit in limits if not _first_allow((limit,), request)),
    ]


def _missing(policies: Policies) -> Decision:
    return Decision(False, Reason.NO_RESOURCE if policies.trust is None else Reason.NO_TRUST)


def _identity(request: AccessRequest, policies: Policies) -> Decision:
    if policies.identity is None:
        return Decision(True, Reason.ROOT)
    allowed = _first_allow(policies.identity, request)
    return (_limit(request, policies) or allowed) if allowed else Decision(False, Reason.NO_IDENTITY)


def _limit(request: AccessRequest, policies: Policies) -> Decision | None:
    """Why boundary or session policy take away what the identity's policies give."""
    if policies.boundary is not None and _first_allow((policies.boundary,), request) is None:
        return Decision(False, Reason.NO_BOUNDARY, policies.boundary)
    if policies.session is not None and _first_allow((policies.session,), request) is None:
        return Decision(False, Reason.NO_SESSION, policies.session)
    return None


def _first_allow(documents: Iterable[PolicyDocument], request: AccessRequest) -> Decision | None:
    for document in documents:
        for statement in document.statements:
            if statement.allows and _applies(statement, request):
                return Decision(True, Reason.ALLOWED, document, statement)
    return None


def _resource(request: AccessRequest, policies: Policies) -> tuple[_Grant, Decision | None]:
    """The most that policies of the resource give, and the statement that gives it."""
    best: tuple[_Grant, Decision | None] = (_Grant.NONE, None)
    for document in policies.resources():
        for statement in document.statements:
            if statement.allows and statement.principals is not None and _applies(statement, request):
                grant = _named(statement.principals, request.principal)
                if grant > best[0]:
                    best = (grant, Decision(True, Reason.ALLOWED, document, statement))
    return best


def _applies(statement: Statement, request: AccessRequest, *, is_bound: bool = False) -> bool:
    """Is the request one that the statement is about? `is_bound`: the principal has a permissions boundary."""
    return (
        _names_action(statement, request.action)
        and _names_principal(statement, request.principal, is_bound=is_bound)
        and _names_resource(statement, request)
        and all(condition.holds(request.context) for condition in statement.conditions)
    )


def _names_action(statement: Statement, action: str) -> bool:
    """Case does not matter in actions (documented)."""
    action = action.lower()
    if statement.actions is not None:
        return any(matches(pattern.lower(), action) for pattern in statement.actions)
    return not any(matches(pattern.lower(), action) for pattern in statement.not_actions or ())


def _names_resource(statement: Statement, request: AccessRequest) -> bool:
    named = statement.resources if statement.resources is not None else statement.not_resources
    if named is None:
        return True
    patterns = [substituted(text, request.context) if statement.has_variables else text for text in named]
    # An ARN of ECR has five colons, and so has a whole pattern: no star of it reaches over one. A pattern with fewer
    # ends with a star, which does (documented). The resource `*`, of an action that has none, is named by `*` alone.
    found = any(pattern is not None and matches(pattern, request.resource) for pattern in patterns)
    if statement.resources is not None:
        return found
    # A variable without a value makes the statement invalid (documented); it does not make it wider.
    return not found and None not in patterns


def _names_principal(statement: Statement, principal: Principal, *, is_bound: bool) -> bool:
    if statement.principals is not None:
        return _named(statement.principals, principal) is not _Grant.NONE
    if statement.not_principals is None:
        return True
    # Documented: who has a permissions boundary is denied by every NotPrincipal, whomever that names.
    return is_bound or not _is_excepted(statement.not_principals, principal)


def _named(principals: Principals, principal: Principal) -> _Grant:
    """How the principal is named. An account, by number or root ARN, stands for everyone in it (documented)."""
    if principals.anyone or principal.arn in principals.aws or _is_outsider_named(principals, principal):
        return _Grant.DIRECT
    if principal.role_arn in principals.aws:
        return _Grant.ROLE
    return _Grant.ACCOUNT if _is_account_named(principals, principal) else _Grant.NONE


def _is_account_named(principals: Principals, principal: Principal) -> bool:
    return principal.account != "" and any(
        name == principal.account or name.endswith(f":iam::{principal.account}:root") for name in principals.aws
    )


def _is_outsider_named(principals: Principals, principal: Principal) -> bool:
    return principal.service in principals.services or principal.federated in principals.federated


def _is_excepted(principals: Principals, principal: Principal) -> bool:
    """Is it spared by a NotPrincipal: itself, its role and its account must all be named.

    Documented as what may be needed: a service may look at the account first, then at the role, then at the session.
    """
    if principals.anyone or _is_outsider_named(principals, principal):
        return True
    itself = {principal.arn, principal.role_arn} - {None}
    return _is_account_named(principals, principal) and (principal.is_root or itself <= set(principals.aws))


_WITH_ARTICLE = {
    PolicyKind.IDENTITY: "an identity-based policy",
    PolicyKind.BOUNDARY: "a permissions boundary",
    PolicyKind.SESSION: "a session policy",
    PolicyKind.REPOSITORY: "a resource-based policy",
    PolicyKind.REGISTRY: "a resource-based policy",
    PolicyKind.TRUST: "the role trust policy",
}
_LACKING = {
    Reason.NO_IDENTITY: "identity-based policy",
    Reason.NO_BOUNDARY: "permissions boundary",
    Reason.NO_SESSION: "session policy",
    Reason.NO_RESOURCE: "resource-based policy",
}


def denial(request: AccessRequest, decision: Decision) -> str:
    """AWS's sentence for a decision that denies.

    Recorded from ECR for what identity-based and resource-based policies lack; the endings for explicit denies,
    boundaries and session policies are documented for AWS at large. STS gives no reason for what is lacking (recorded).
    """
    if request.action == "sts:AssumeRoleWithWebIdentity":
        return f"Not authorized to perform {request.action}"  # recorded: there is no user yet to name
    sentence = (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} on resource: {request.resource}"
    )
    if decision.reason is Reason.EXPLICIT_DENY and decision.document is not None:
        return f"{sentence} with an explicit deny in {_WITH_ARTICLE[decision.document.kind]}"
    if request.action.startswith("sts:"):
        return sentence
    return f"{sentence} because no {_LACKING[decision.reason]} allows the {request.action} action"


def locks_out(document: PolicyDocument, request: AccessRequest, policies: Policies) -> bool:
    """True when the caller could no longer set the policy of the repository, once `document` is it.

    `request` is the caller's SetRepositoryPolicy itself, `policies` what allowed it. ECR refuses such a policy unless
    it is forced (documented).
    """
    return not decide(request, policies._replace(repository=document)).allowed
