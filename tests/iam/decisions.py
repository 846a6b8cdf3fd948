"""How a row of the tables of decisions is written: a sentence, where it is known from, what is asked, what is attached.

Provenance: R recorded from AWS, D documented by AWS, I inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ecrsim.iam.decision import AccessRequest, Policies, Principal, Reason
from ecrsim.iam.grammar import PolicyDocument, PolicyKind, read
from ecrsim.iam.managed import managed_policy

OWN, OTHER, THIRD = "111122223333", "444455556666", "777788889999"
REGION = f"arn:aws:ecr:us-east-1:{OWN}"
APP, LIBRARY = f"{REGION}:repository/team/app", f"{REGION}:repository/library"
ANY_REPOSITORY = f"{REGION}:repository/*"
PUBLIC = f"arn:aws:ecr-public::{OWN}:repository/tool"
ROLE_ARN = f"arn:aws:iam::{OWN}:role/ci/pusher"
OTHER_ROLE_ARN = f"arn:aws:iam::{OTHER}:role/puller"
PROVIDER = f"arn:aws:iam::{OWN}:oidc-provider/token.example.com"

USER = Principal(f"arn:aws:iam::{OWN}:user/ann", OWN)
ROLE = Principal(f"arn:aws:sts::{OWN}:assumed-role/pusher/run-7", OWN, ROLE_ARN)
ROOT = Principal(f"arn:aws:iam::{OWN}:root", OWN)
OTHER_USER = Principal(f"arn:aws:iam::{OTHER}:user/ben", OTHER)
OTHER_ROLE = Principal(f"arn:aws:sts::{OTHER}:assumed-role/puller/pod", OTHER, OTHER_ROLE_ARN)
OTHER_ROOT = Principal(f"arn:aws:iam::{OTHER}:root", OTHER)
CODEBUILD = Principal("codebuild.amazonaws.com", "", service="codebuild.amazonaws.com")
WORKFLOW = Principal("repo:team/app", "", federated=PROVIDER)

ALLOWING = (Reason.ALLOWED, Reason.ROOT)


class Row(NamedTuple):
    """One decision."""

    sentence: str
    provenance: str
    expected: Reason
    request: AccessRequest
    policies: Policies


def statement(effect: str, action: str | Sequence[str] | None, **elements: Any) -> dict[str, Any]:
    named = {} if action is None else {"Action": action}
    return {"Effect": effect, **named, **{name: value for name, value in elements.items() if value is not None}}


def allow(action: str | Sequence[str] | None, on: str | list[str] | None = "*", **elements: Any) -> dict[str, Any]:
    """For a policy of the principal's own side."""
    return statement("Allow", action, Resource=on, **elements)


def deny(action: str | Sequence[str] | None, on: str | list[str] | None = "*", **elements: Any) -> dict[str, Any]:
    return statement("Deny", action, Resource=on, **elements)


def grant(action: str | Sequence[str] | None, to: Any, **elements: Any) -> dict[str, Any]:
    """For a policy of the resource. `to`: `*`, ARNs and account numbers, or a principal as it is written."""
    return statement("Allow", action, Principal=principal(to), **elements)


def forbid(action: str | Sequence[str] | None, to: Any, **elements: Any) -> dict[str, Any]:
    return statement("Deny", action, Principal=principal(to), **elements)


def forbid_but(action: str, *named: str) -> dict[str, Any]:
    return statement("Deny", action, NotPrincipal={"AWS": list(named)})


def principal(to: Any) -> Any:
    return to if to is None or to == "*" or isinstance(to, dict) else {"AWS": to}


def document(
    kind: PolicyKind, statements: Any, name: str, service: str = "ecr", version: str = "2012-10-17"
) -> PolicyDocument:
    if isinstance(statements, str):
        found = managed_policy(statements, kind)
        assert found is not None
        return found
    listed = statements if isinstance(statements, list) else [statements]
    return read({"Version": version, "Statement": listed}, kind, name, service=service)


def row(
    sentence: str,
    provenance: str,
    expected: Reason,
    *,
    who: Principal = USER,
    action: str = "ecr:PutImage",
    on: str = APP,
    identity: Any = (),
    boundary: Any = None,
    session: Any = None,
    repository: Any = None,
    registry: Any = None,
    trust: Any = None,
    version: str = "2012-10-17",
    context: dict[str, Any] | None = None,
) -> Row:
    """`identity`: a tuple of documents; a document is a list of statements, one statement, or a managed policy's name.

    `context`: a key's value, or the list of its values.
    """
    service = action.partition(":")[0]
    limits = (boundary, session, repository, registry, trust)
    kinds = (PolicyKind.BOUNDARY, PolicyKind.SESSION, PolicyKind.REPOSITORY, PolicyKind.REGISTRY, PolicyKind.TRUST)
    own = identity if isinstance(identity, tuple) else (identity,)
    policies = Policies(
        None
        if who.is_root or not who.account
        else tuple(
            document(PolicyKind.IDENTITY, each, f"Policy{number}", version=version) for number, each in enumerate(own)
        ),
        *(
            None if each is None else document(kind, each, kind.value, service, version)
            for kind, each in zip(kinds, limits, strict=True)
        ),
    )
    values = {key.lower(): value if isinstance(value, list) else [value] for key, value in (context or {}).items()}
    owner = who.account if on == "*" else on.split(":")[4]
    return Row(sentence, provenance, expected, AccessRequest(who, action, on, owner, values), policies)
