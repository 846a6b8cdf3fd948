"""Decisions by what is attached to the resource: to repository, registry and role, in one account and across two."""

from __future__ import annotations

import pytest

from ecrsim.iam.decision import Principal, Reason, decide
from tests.iam.decisions import (
    ALLOWING,
    APP,
    CODEBUILD,
    LIBRARY,
    OTHER,
    OTHER_ROLE,
    OTHER_ROLE_ARN,
    OTHER_ROOT,
    OTHER_USER,
    OWN,
    PROVIDER,
    PUBLIC,
    REGION,
    ROLE,
    ROLE_ARN,
    ROOT,
    THIRD,
    USER,
    WORKFLOW,
    Row,
    allow,
    deny,
    forbid,
    forbid_but,
    grant,
    row,
)

YES, DENIED, NO = Reason.ALLOWED, Reason.EXPLICIT_DENY, Reason.NO_IDENTITY
UNSHARED, UNTRUSTED = Reason.NO_RESOURCE, Reason.NO_TRUST
TOKEN = "ecr:GetAuthorizationToken"
OWN_ROOT, OTHERS_ROOT = f"arn:aws:iam::{OWN}:root", f"arn:aws:iam::{OTHER}:root"
TWO_SESSIONS = Principal(f"arn:aws:sts::{OWN}:assumed-role/pusher/run-8", OWN, ROLE_ARN)
EVERYTHING = allow("*")

SAME_ACCOUNT = [
    row("the repository's policy names the user", "D", YES, repository=grant("ecr:PutImage", USER.arn)),
    row("the repository's policy names another user", "D", NO, repository=grant("ecr:*", f"{USER.arn}e")),
    row("case matters in the user's name", "D", NO, repository=grant("ecr:*", USER.arn.replace("ann", "Ann"))),
    row("the repository's policy names one of several", "D", YES, repository=grant("ecr:*", [OTHERS_ROOT, USER.arn])),
    row("the repository's policy names everyone", "D", YES, repository=grant("ecr:*", "*")),
    row("everyone under AWS", "D", YES, repository=grant("ecr:*", {"AWS": "*"})),
    row("the repository's policy allows another action", "D", NO, repository=grant("ecr:BatchGetImage", USER.arn)),
    row("NotAction in the repository's policy", "D", YES,
        repository=grant(None, USER.arn, NotAction="ecr:BatchDeleteImage")),
    row("either side is enough: the identity's", "D", YES, identity=EVERYTHING, repository=grant("ecr:*", OTHER)),
    row("a deny of the repository's policy beats the identity's allow", "D", DENIED, identity=EVERYTHING,
        repository=forbid("ecr:PutImage", USER.arn)),
    row("a deny of the identity's beats the repository's allow", "D", DENIED, identity=deny("ecr:*"),
        repository=grant("ecr:*", USER.arn)),
    row("a deny for the account is one for everyone in it", "D", DENIED, identity=EVERYTHING,
        repository=forbid("ecr:*", OWN_ROOT)),
    row("a deny for the account by its number", "D", DENIED, identity=EVERYTHING, repository=forbid("ecr:*", OWN)),
    row("a deny for another account", "D", YES, identity=EVERYTHING, repository=forbid("ecr:*", OTHER)),
    row("the own account's ARN leaves it to the identity's policies", "R", NO, repository=grant("ecr:*", OWN_ROOT)),
    row("the own account's number does as well", "R", NO, repository=grant("ecr:*", OWN)),
    row("the own account, and the identity's policies allow", "D", YES, identity=allow("ecr:PutImage"),
        repository=grant("ecr:*", OWN)),
    row("a policy that names its resource with a star", "D", YES,
        repository=grant("ecr:*", USER.arn, Resource="*")),
    row("a policy that names its repository", "D", YES, repository=grant("ecr:*", USER.arn, Resource=APP)),
    row("a policy that names another repository", "I", NO, repository=grant("ecr:*", USER.arn, Resource=LIBRARY)),
    row("the old version of the language", "D", YES, version="2008-10-17", repository=grant("ecr:*", USER.arn)),
    row("a policy of the repository gives no token", "D", NO, action=TOKEN, on="*", repository=grant("ecr:*", "*")),
    row("a policy of the registry gives no token", "D", NO, action=TOKEN, on="*",
        registry=grant("ecr:*", "*", Resource="*")),
    row("the public repository's policy names the user", "D", YES, action="ecr-public:PutImage", on=PUBLIC,
        repository=grant("ecr-public:*", USER.arn)),
]  # fmt: skip

REGISTRY = [
    row("the registry's policy names the user", "D", YES, registry=grant("ecr:PutImage", USER.arn, Resource=APP)),
    row("the registry's policy is about other repositories", "D", NO,
        registry=grant("ecr:*", USER.arn, Resource=LIBRARY)),
    row("the registry's policy is about a prefix", "D", YES,
        registry=grant("ecr:*", USER.arn, Resource=f"{REGION}:repository/team/*")),
    row("the registry's policy is about all", "D", YES, registry=grant("ecr:*", USER.arn, Resource="*")),
    row("NotResource in the registry's policy", "D", NO, registry=grant("ecr:*", USER.arn, NotResource=APP)),
    row("a deny of the registry's policy beats the repository's allow", "D", DENIED,
        repository=grant("ecr:*", USER.arn), registry=forbid("ecr:*", "*", Resource=APP)),
    row("a deny of the registry's policy for other repositories", "D", YES, identity=EVERYTHING,
        registry=forbid("ecr:*", "*", Resource=LIBRARY)),
    row("a deny of the repository's policy beats the registry's allow", "D", DENIED,
        repository=forbid("ecr:*", "*"), registry=grant("ecr:*", USER.arn, Resource="*")),
    row("an account-level action by the registry's policy", "I", YES, action="ecr:DescribeRegistry", on="*",
        registry=grant("ecr:DescribeRegistry", USER.arn, Resource="*")),
]  # fmt: skip

ACROSS_ACCOUNTS = [
    row("both sides allow", "D", YES, who=OTHER_USER, identity=allow("ecr:PutImage"), repository=grant("ecr:*", OTHER)),
    row("the repository does not share", "R", UNSHARED, who=OTHER_ROLE, identity=EVERYTHING),
    row("the repository shares with somebody else", "D", UNSHARED, who=OTHER_USER, identity=EVERYTHING,
        repository=grant("ecr:*", THIRD)),
    row("the repository shares something else", "D", UNSHARED, who=OTHER_USER, identity=EVERYTHING,
        repository=grant("ecr:BatchGetImage", OTHER)),
    row("the caller's own account does not allow", "D", NO, who=OTHER_USER, repository=grant("ecr:*", OTHER)),
    row("not even when the user is named", "D", NO, who=OTHER_USER, repository=grant("ecr:*", OTHER_USER.arn)),
    row("not even when everyone is", "D", NO, who=OTHER_USER, repository=grant("ecr:*", "*")),
    row("neither side allows", "I", NO, who=OTHER_USER),
    row("the account by its root's ARN", "D", YES, who=OTHER_USER, identity=EVERYTHING,
        repository=grant("ecr:*", OTHERS_ROOT)),
    row("the user by name", "D", YES, who=OTHER_USER, identity=EVERYTHING, repository=grant("ecr:*", OTHER_USER.arn)),
    row("the role by its ARN", "D", YES, who=OTHER_ROLE, identity=EVERYTHING,
        repository=grant("ecr:*", OTHER_ROLE_ARN)),
    row("the session by its ARN", "D", YES, who=OTHER_ROLE, identity=EVERYTHING,
        repository=grant("ecr:*", OTHER_ROLE.arn)),
    row("everyone", "D", YES, who=OTHER_ROLE, identity=EVERYTHING, repository=grant("ecr:*", "*")),
    row("the registry shares", "D", YES, who=OTHER_USER, identity=EVERYTHING,
        registry=grant("ecr:PutImage", OTHER, Resource=APP)),
    row("the registry shares other repositories", "D", UNSHARED, who=OTHER_USER, identity=EVERYTHING,
        registry=grant("ecr:PutImage", OTHER, Resource=LIBRARY)),
    row("the registry lets images be replicated into it", "D", YES, who=OTHER_ROLE, action="ecr:ReplicateImage",
        identity=EVERYTHING, registry=grant(["ecr:ReplicateImage", "ecr:CreateRepository"], OTHER, Resource="*")),
    row("the identity names its own account's repositories only", "D", NO, who=OTHER_USER,
        identity=allow("ecr:*", f"arn:aws:ecr:*:{OTHER}:repository/*"), repository=grant("ecr:*", OTHER)),
    row("a deny of the owner for the account", "D", DENIED, who=OTHER_USER, identity=EVERYTHING,
        repository=[grant("ecr:*", "*"), forbid("ecr:PutImage", OTHER)]),
    row("a deny of the caller's own", "D", DENIED, who=OTHER_USER, identity=[EVERYTHING, deny("ecr:*", APP)],
        repository=grant("ecr:*", OTHER)),
    row("the caller's boundary counts", "D", Reason.NO_BOUNDARY, who=OTHER_USER, identity=EVERYTHING,
        boundary=allow("ecr:Get*"), repository=grant("ecr:*", OTHER_USER.arn)),
    row("the caller's session policy counts, even when the session is named", "D", Reason.NO_SESSION, who=OTHER_ROLE,
        identity=EVERYTHING, session=allow("ecr:Get*"), repository=grant("ecr:*", OTHER_ROLE.arn)),
    row("root of the other account needs the owner", "D", UNSHARED, who=OTHER_ROOT),
    row("root of the other account, with the owner", "D", YES, who=OTHER_ROOT, repository=grant("ecr:*", OTHER)),
    row("a token is asked of one's own account", "D", YES, who=OTHER_USER, action=TOKEN, on="*",
        identity=allow(TOKEN)),
]  # fmt: skip

#: The table of implicit denies in other policies, and whom the resource's policy names.
LIMITED = [
    row("a user who is named is not limited by a boundary", "D", YES, boundary=allow("s3:*"),
        repository=grant("ecr:*", USER.arn)),
    row("everyone who is named is not limited by a boundary", "D", YES, boundary=allow("s3:*"),
        repository=grant("ecr:*", "*")),
    row("an account that is named does not lift a boundary", "D", Reason.NO_BOUNDARY, identity=EVERYTHING,
        boundary=allow("s3:*"), repository=grant("ecr:*", OWN)),
    row("a role that is named needs no policy of its own", "D", YES, who=ROLE, repository=grant("ecr:*", ROLE_ARN)),
    row("a role that is named is limited by a boundary", "D", Reason.NO_BOUNDARY, who=ROLE, boundary=allow("s3:*"),
        repository=grant("ecr:*", ROLE_ARN)),
    row("a role that is named is limited by a session policy", "D", Reason.NO_SESSION, who=ROLE,
        session=allow("s3:*"), repository=grant("ecr:*", ROLE_ARN)),
    row("a role that is named, within its limits", "D", YES, who=ROLE, boundary=allow("ecr:*"),
        session=allow("ecr:Put*"), repository=grant("ecr:*", ROLE_ARN)),
    row("a session that is named is not limited", "D", YES, who=ROLE, boundary=allow("s3:*"), session=allow("s3:*"),
        repository=grant("ecr:*", ROLE.arn)),
    row("another session of the role is not the one that is named", "D", NO, who=TWO_SESSIONS,
        repository=grant("ecr:*", ROLE.arn)),
    row("the statement that gives most counts", "D", YES, who=ROLE, session=allow("s3:*"),
        repository=[grant("ecr:*", ROLE_ARN), grant("ecr:*", OWN), grant("ecr:PutImage", ROLE.arn)]),
    row("a role is named by its path", "D", NO, who=ROLE, repository=grant("ecr:*", f"arn:aws:iam::{OWN}:role/pusher")),
    row("a boundary that denies holds for a user who is named", "D", DENIED, boundary=deny("ecr:*"),
        repository=grant("ecr:*", USER.arn)),
    row("a session policy that denies holds for a session that is named", "D", DENIED, who=ROLE,
        session=deny("ecr:PutImage"), repository=grant("ecr:*", ROLE.arn)),
    row("a deny for the role is one for its sessions", "D", DENIED, who=ROLE, identity=EVERYTHING,
        repository=forbid("ecr:*", ROLE_ARN)),
    row("a deny for another session", "D", YES, who=ROLE, identity=EVERYTHING,
        repository=forbid("ecr:*", TWO_SESSIONS.arn)),
]  # fmt: skip

NOT_PRINCIPAL = [
    row("all but the user and the account: the user", "D", YES, identity=EVERYTHING,
        repository=forbid_but("ecr:*", USER.arn, OWN_ROOT)),
    row("all but the user, without the account", "D", DENIED, identity=EVERYTHING,
        repository=forbid_but("ecr:*", USER.arn)),
    row("all but the account does not spare its users", "D", DENIED, identity=EVERYTHING,
        repository=forbid_but("ecr:*", OWN)),
    row("all but the account spares its root", "D", Reason.ROOT, who=ROOT, repository=forbid_but("ecr:*", OWN)),
    row("all but session, role and account: the session", "D", YES, who=ROLE, identity=EVERYTHING,
        repository=forbid_but("ecr:*", ROLE.arn, ROLE_ARN, OWN)),
    row("all but session, role and account: another session", "D", DENIED, who=TWO_SESSIONS, identity=EVERYTHING,
        repository=forbid_but("ecr:*", ROLE.arn, ROLE_ARN, OWN)),
    row("all but role and account: a session", "I", DENIED, who=ROLE, identity=EVERYTHING,
        repository=forbid_but("ecr:*", ROLE_ARN, OWN)),
    row("who has a boundary is never spared", "D", DENIED, identity=EVERYTHING, boundary=EVERYTHING,
        repository=forbid_but("ecr:*", USER.arn, OWN_ROOT)),
    row("all but somebody of another account", "D", YES, who=OTHER_USER, identity=EVERYTHING,
        repository=[grant("ecr:*", OTHER), forbid_but("ecr:*", OTHER_USER.arn, OTHER)]),
    row("to be spared is not to be allowed", "D", NO, repository=forbid_but("ecr:*", USER.arn, OWN_ROOT)),
    row("another action is not denied", "D", YES, identity=EVERYTHING,
        repository=forbid_but("ecr:BatchDeleteImage", OTHER)),
]  # fmt: skip

SERVICES = [
    row("a service that is named", "D", YES, who=CODEBUILD, action="ecr:BatchGetImage",
        repository=grant("ecr:BatchGetImage", {"Service": "codebuild.amazonaws.com"})),
    row("a service that is not named", "D", UNSHARED, who=CODEBUILD, action="ecr:BatchGetImage",
        repository=grant("ecr:*", {"Service": "lambda.amazonaws.com"})),
    row("a service beside an account", "D", YES, who=CODEBUILD,
        repository=grant("ecr:*", {"AWS": OTHER, "Service": ["lambda.amazonaws.com", "codebuild.amazonaws.com"]})),
    row("a service is one of everyone", "D", YES, who=CODEBUILD, repository=grant("ecr:*", "*")),
    row("a service that is denied", "D", DENIED, who=CODEBUILD,
        repository=[grant("ecr:*", "*"), forbid("ecr:*", {"Service": "codebuild.amazonaws.com"})]),
    row("a service has no token of its own", "I", NO, who=CODEBUILD, action=TOKEN, on="*"),
]  # fmt: skip

ASSUME = {"action": "sts:AssumeRole", "on": ROLE_ARN}
WEB = {"action": "sts:AssumeRoleWithWebIdentity", "on": ROLE_ARN}

TRUST = [
    row("a role that trusts nobody here", "D", UNTRUSTED, **ASSUME, identity=EVERYTHING,
        trust=grant("sts:AssumeRole", OTHER)),
    row("a role that trusts the user needs nothing else", "D", YES, **ASSUME, trust=grant("sts:AssumeRole", USER.arn)),
    row("a role that trusts the account asks the identity's policies", "D", NO, **ASSUME,
        trust=grant("sts:AssumeRole", OWN)),
    row("a role that trusts the account, and they allow", "D", YES, **ASSUME,
        identity=allow("sts:AssumeRole", ROLE_ARN), trust=grant("sts:AssumeRole", OWN_ROOT)),
    row("another account needs both: it has", "D", YES, **ASSUME, who=OTHER_USER, identity=allow("sts:AssumeRole"),
        trust=grant("sts:AssumeRole", OTHER)),
    row("another account needs both: its own is lacking", "D", NO, **ASSUME, who=OTHER_USER,
        trust=grant("sts:AssumeRole", OTHER_USER.arn)),
    row("another account needs both: the trust is lacking", "D", UNTRUSTED, **ASSUME, who=OTHER_USER,
        identity=EVERYTHING, trust=grant("sts:AssumeRole", OWN)),
    row("a trust policy that denies", "D", DENIED, **ASSUME, identity=EVERYTHING,
        trust=[grant("sts:AssumeRole", OWN), forbid("sts:AssumeRole", USER.arn)]),
    row("trust under the external id that was agreed on", "D", YES, **ASSUME, who=OTHER_USER, identity=EVERYTHING,
        trust=grant("sts:AssumeRole", OTHER, Condition={"StringEquals": {"sts:ExternalId": "7"}}),
        context={"sts:ExternalId": "7"}),
    row("trust under another external id", "D", UNTRUSTED, **ASSUME, who=OTHER_USER, identity=EVERYTHING,
        trust=grant("sts:AssumeRole", OTHER, Condition={"StringEquals": {"sts:ExternalId": "7"}}),
        context={"sts:ExternalId": "8"}),
    row("trust without the external id", "D", UNTRUSTED, **ASSUME, who=OTHER_USER, identity=EVERYTHING,
        trust=grant("sts:AssumeRole", OTHER, Condition={"StringEquals": {"sts:ExternalId": "7"}})),
    row("a web identity that is trusted", "D", YES, **WEB, who=WORKFLOW,
        trust=grant(WEB["action"], {"Federated": PROVIDER},
                    Condition={"StringLike": {"token.example.com:sub": "repo:team/*"}}),
        context={"token.example.com:sub": "repo:team/app:ref:refs/heads/main"}),
    row("a web identity of another subject", "D", UNTRUSTED, **WEB, who=WORKFLOW,
        trust=grant(WEB["action"], {"Federated": PROVIDER},
                    Condition={"StringLike": {"token.example.com:sub": "repo:team/*"}}),
        context={"token.example.com:sub": "repo:steam/app"}),
    row("a web identity of another provider", "D", UNTRUSTED, **WEB, who=WORKFLOW,
        trust=grant(WEB["action"], {"Federated": f"{PROVIDER}.org"})),
]  # fmt: skip

ROWS: list[Row] = [
    *SAME_ACCOUNT, *REGISTRY, *ACROSS_ACCOUNTS, *LIMITED, *NOT_PRINCIPAL, *SERVICES, *TRUST,
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_the_resources_side_decides(row: Row):
    decision = decide(row.request, row.policies)
    assert decision.reason is row.expected
    assert decision.allowed is (row.expected in ALLOWING)


def test_the_decision_names_the_repositorys_statement():
    asked = row("", "D", YES, repository=[grant("ecr:Get*", OTHER), grant("ecr:*", USER.arn, Sid="ann pushes")])
    assert decide(asked.request, asked.policies).because == ("statement 2 (ann pushes) of repository policy allows it")
