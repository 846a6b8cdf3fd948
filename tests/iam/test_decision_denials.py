"""What a denial says, to the letter; and the guard against locking oneself out."""

from __future__ import annotations

from typing import Any

import pytest

from ecrsim.iam.decision import Principal, Reason, decide, denial, locks_out
from ecrsim.iam.grammar import PolicyKind
from tests.iam.decisions import (
    APP,
    OTHER,
    OTHER_ROLE,
    OTHER_USER,
    OWN,
    PROVIDER,
    ROLE,
    ROLE_ARN,
    ROOT,
    USER,
    WORKFLOW,
    Row,
    allow,
    deny,
    document,
    forbid,
    forbid_but,
    grant,
    row,
)

IMAGE = f"User: {USER.arn} is not authorized to perform: ecr:PutImage on resource: {APP}"
SESSION = f"User: {ROLE.arn} is not authorized to perform: ecr:PutImage on resource: {APP}"
FOREIGN = f"User: {OTHER_ROLE.arn} is not authorized to perform: ecr:PutImage on resource: {APP}"
ASSUMING = f"User: {USER.arn} is not authorized to perform: sts:AssumeRole on resource: {ROLE_ARN}"
LACKING = "because no identity-based policy allows the"
TOKEN = "ecr:GetAuthorizationToken"
DENIED = Reason.EXPLICIT_DENY

#: (row, the sentence). R: recorded from ECR with these words; D: documented for AWS at large.
SENTENCES = [
    (row("no identity-based policy", "R", Reason.NO_IDENTITY),
     f"{IMAGE} because no identity-based policy allows the ecr:PutImage action"),
    (row("a role is named by its session", "R", Reason.NO_IDENTITY, who=ROLE),
     f"{SESSION} because no identity-based policy allows the ecr:PutImage action"),
    (row("an account-level action", "R", Reason.NO_IDENTITY, action="ecr:GetAuthorizationToken", on="*"),
     f"User: {USER.arn} is not authorized to perform: {TOKEN} on resource: * {LACKING} {TOKEN} action"),
    (row("another account", "R", Reason.NO_RESOURCE, who=OTHER_ROLE, identity=allow("*")),
     f"{FOREIGN} because no resource-based policy allows the ecr:PutImage action"),
    (row("a permissions boundary", "D", Reason.NO_BOUNDARY, identity=allow("*"), boundary=allow("s3:*")),
     f"{IMAGE} because no permissions boundary allows the ecr:PutImage action"),
    (row("a session policy", "D", Reason.NO_SESSION, who=ROLE, identity=allow("*"), session=allow("s3:*")),
     f"{SESSION} because no session policy allows the ecr:PutImage action"),
    (row("an identity-based policy denies", "D", DENIED, identity=deny("*")),
     f"{IMAGE} with an explicit deny in an identity-based policy"),
    (row("a permissions boundary denies", "D", DENIED, boundary=deny("*")),
     f"{IMAGE} with an explicit deny in a permissions boundary"),
    (row("a session policy denies", "D", DENIED, who=ROLE, session=deny("*")),
     f"{SESSION} with an explicit deny in a session policy"),
    (row("the policy of a repository denies", "D", DENIED, repository=forbid("ecr:*", "*")),
     f"{IMAGE} with an explicit deny in a resource-based policy"),
    (row("the policy of a registry denies", "D", DENIED, registry=forbid("ecr:*", "*", Resource="*")),
     f"{IMAGE} with an explicit deny in a resource-based policy"),
    (row("STS does not say what is lacking", "R", Reason.NO_TRUST, action="sts:AssumeRole", on=ROLE_ARN,
         identity=allow("*"), trust=grant("sts:AssumeRole", OTHER)),
     ASSUMING),
    (row("a trust policy denies", "D", DENIED, action="sts:AssumeRole", on=ROLE_ARN,
         trust=forbid("sts:AssumeRole", "*")),
     f"{ASSUMING} with an explicit deny in the role trust policy"),
    (row("a web identity has no user", "R", Reason.NO_TRUST, who=WORKFLOW, action="sts:AssumeRoleWithWebIdentity",
         on=ROLE_ARN, trust=grant("sts:AssumeRoleWithWebIdentity", {"Federated": f"{PROVIDER}.org"})),
     "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "sentence"), SENTENCES, ids=[row.sentence for row, _ in SENTENCES])
def test_a_denial_is_awss_sentence(row: Row, sentence: str):
    decision = decide(row.request, row.policies)
    assert decision.reason is row.expected
    assert denial(row.request, decision) == sentence


#: (who, what is attached besides, the new policy of the repository, is the caller locked out).
LOCKOUTS = [
    ("a policy about others", USER, {"identity": allow("ecr:*")}, grant("ecr:Get*", OTHER), False),
    ("a deny of pulls", USER, {"identity": allow("ecr:*")}, forbid("ecr:Get*", "*"), False),
    ("a deny of everything for everyone", USER, {"identity": allow("ecr:*")}, forbid("ecr:*", "*"), True),
    ("a deny of SetRepositoryPolicy", USER, {"identity": allow("ecr:*")}, forbid("ecr:SetRepositoryPolicy", OWN), True),
    ("a deny for the caller", USER, {"identity": allow("ecr:*")}, forbid("ecr:Set*", USER.arn), True),
    ("a deny for another user", ROLE, {"identity": allow("ecr:*")}, forbid("ecr:Set*", USER.arn), False),
    ("a deny for the caller's role", ROLE, {"identity": allow("ecr:*")}, forbid("ecr:Set*", ROLE_ARN), True),
    ("a deny for root", ROOT, {}, forbid("ecr:*", "*"), True),
    ("no deny for root", ROOT, {}, grant("ecr:Get*", "*"), False),
    ("a deny for all but the caller", USER, {"identity": allow("ecr:*")}, forbid_but("ecr:*", USER.arn, OWN), False),
    ("a deny for all but another", USER, {"identity": allow("ecr:*")}, forbid_but("ecr:*", ROLE_ARN, OWN), True),
    ("the grant that let the caller in is gone", USER, {"repository": grant("ecr:*", USER.arn)},
     grant("ecr:*", ROLE_ARN), True),
    ("the grant that let the caller in stays", USER, {"repository": grant("ecr:*", USER.arn)},
     grant("ecr:Set*", USER.arn), False),
    ("another account without its grant", OTHER_USER, {"identity": allow("ecr:*"), "repository": grant("ecr:*", OTHER)},
     grant("ecr:BatchGetImage", OTHER), True),
    ("a deny from elsewhere", USER, {"identity": allow("ecr:*"), "context": {"aws:SourceIp": "10.1.1.1"}},
     forbid("ecr:*", "*", Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), False),
    ("a deny from here", USER, {"identity": allow("ecr:*"), "context": {"aws:SourceIp": "10.1.1.1"}},
     forbid("ecr:*", "*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "attached", "new", "expected"), [case[1:] for case in LOCKOUTS], ids=[c[0] for c in LOCKOUTS]
)
def test_who_would_lock_himself_out_is_stopped(who: Principal, attached: dict[str, Any], new: Any, expected: bool):
    asked = row("", "D", Reason.ALLOWED, who=who, action="ecr:SetRepositoryPolicy", **attached)
    assert decide(asked.request, asked.policies).allowed
    assert (
        locks_out(document(PolicyKind.REPOSITORY, new, "repository policy"), asked.request, asked.policies) is expected
    )
