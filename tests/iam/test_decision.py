"""Decisions by what is attached to the principal: identity-based policies, boundary, session policy; and root."""

from __future__ import annotations

import pytest

from ecrsim.iam.decision import Reason, decide
from tests.iam.decisions import (
    ALLOWING,
    ANY_REPOSITORY,
    APP,
    LIBRARY,
    OTHER,
    OWN,
    PUBLIC,
    REGION,
    ROLE,
    ROLE_ARN,
    ROOT,
    USER,
    Row,
    allow,
    deny,
    forbid,
    grant,
    row,
)

YES, DENIED, NO = Reason.ALLOWED, Reason.EXPLICIT_DENY, Reason.NO_IDENTITY
TOKEN = "ecr:GetAuthorizationToken"
PUSH = [f"ecr:{name}" for name in (
    "BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage",
    "BatchGetImage",
)]  # fmt: skip

ACTIONS = [
    row("nothing attached allows nothing", "D", NO),
    row("an action by its name", "D", YES, identity=allow("ecr:PutImage")),
    row("another action is not meant", "D", NO, identity=allow("ecr:PutImage"), action="ecr:BatchDeleteImage"),
    row("one of several actions", "D", YES, identity=allow(["ecr:BatchGetImage", "ecr:PutImage"])),
    row("a star for the rest of the name", "D", YES, identity=allow("ecr:Put*")),
    row("a star for all of the service", "D", YES, identity=allow("ecr:*")),
    row("a star for everything", "D", YES, identity=allow("*")),
    row("a star on both sides of the colon", "I", YES, identity=allow("*:*")),
    row("a star within the name", "D", YES, identity=allow("ecr:*Image")),
    row("a star that does not fit", "D", NO, identity=allow("ecr:Get*")),
    row("a question mark for one character", "D", YES, identity=allow("ecr:Put?mage")),
    row("a question mark is not two characters", "D", NO, identity=allow("ecr:Put?age")),
    row("a question mark is not no character", "D", NO, identity=allow("ecr:PutImage?")),
    row("case does not matter in actions", "D", YES, identity=allow("ECR:putimage")),
    row("case does not matter beside a star", "D", YES, identity=allow("ECR:PUT*")),
    row("another service's action of the same name", "D", NO, identity=allow("ecr-public:PutImage")),
    row("the private service's star does not cover the public one", "D", NO, identity=allow("ecr:*"),
        action="ecr-public:PutImage", on=PUBLIC),
    row("NotAction means all others", "D", YES, identity=allow(None, NotAction="ecr:Delete*")),
    row("NotAction spares what it names", "D", NO, identity=allow(None, NotAction=["ecr:Put*", "ecr:Delete*"])),
    row("NotAction spares in any case", "D", NO, identity=allow(None, NotAction="ECR:PUTIMAGE")),
    row("a deny of NotAction denies all others", "D", DENIED,
        identity=[allow("*"), deny(None, NotAction="ecr:BatchGetImage")]),
    row("a deny of NotAction spares what it names", "D", YES,
        identity=[allow("*"), deny(None, NotAction="ecr:PutImage")]),
]  # fmt: skip

RESOURCES = [
    row("the repository by its ARN", "D", YES, identity=allow("ecr:*", APP)),
    row("another repository", "D", NO, identity=allow("ecr:*", LIBRARY)),
    row("one of several repositories", "D", YES, identity=allow("ecr:*", [LIBRARY, APP])),
    row("a star for all repositories of the registry", "D", YES, identity=allow("ecr:*", ANY_REPOSITORY)),
    row("a star after a prefix", "D", YES, identity=allow("ecr:*", f"{REGION}:repository/team/*")),
    row("a star reaches over slashes", "D", YES, identity=allow("ecr:*", f"{REGION}:repository/*app")),
    row("a prefix without a star is one name", "D", NO, identity=allow("ecr:*", f"{REGION}:repository/team/")),
    row("a star for the region", "D", YES, identity=allow("ecr:*", f"arn:aws:ecr:*:{OWN}:repository/team/app")),
    row("a star for region and account", "D", YES, identity=allow("ecr:*", "arn:aws:ecr:*:*:repository/team/app")),
    row("a star for the partition", "D", YES, identity=allow("ecr:*", f"arn:*:ecr:us-east-1:{OWN}:repository/*")),
    row("another region", "D", NO, identity=allow("ecr:*", f"arn:aws:ecr:eu-west-1:{OWN}:repository/team/app")),
    row("another account in the ARN", "D", NO, identity=allow("ecr:*", f"arn:aws:ecr:us-east-1:{OTHER}:repository/*")),
    row("a star within the region", "D", YES, identity=allow("ecr:*", f"arn:aws:ecr:us-*-1:{OWN}:repository/*")),
    row("a star in one part does not reach into the next", "D", NO,
        identity=allow("ecr:*", f"arn:aws:ecr:us-*:{OTHER}:repository/*")),
    row("an ARN that ends early, in a star", "D", YES, identity=allow("ecr:*", "arn:aws:ecr:us-east-1:*")),
    row("case matters in resources", "D", NO, identity=allow("ecr:*", f"{REGION}:repository/TEAM/app")),
    row("a question mark in a resource", "D", YES, identity=allow("ecr:*", f"{REGION}:repository/team/a?p")),
    row("NotResource means all others", "D", YES, identity=allow("ecr:*", None, NotResource=LIBRARY)),
    row("NotResource spares what it names", "D", NO, identity=allow("ecr:*", None, NotResource=[LIBRARY, APP])),
    row("a deny of NotResource denies all others", "D", DENIED,
        identity=[allow("*"), deny("ecr:*", None, NotResource=LIBRARY)]),
    row("an account-level action on a star", "D", YES, action=TOKEN, on="*", identity=allow(TOKEN, "*")),
    row("an account-level action cannot be given on a repository", "R", NO, action=TOKEN, on="*",
        identity=allow("ecr:*", APP)),
    row("an account-level action cannot be given on all repositories either", "D", NO, action=TOKEN, on="*",
        identity=allow("ecr:*", ANY_REPOSITORY)),
    row("an account-level action on all but one repository", "I", YES, action="ecr:DescribeRegistry", on="*",
        identity=allow("ecr:*", None, NotResource=APP)),
    row("listing all repositories needs all of them", "R", YES, action="ecr:DescribeRepositories", on=ANY_REPOSITORY,
        identity=allow("ecr:DescribeRepositories", ANY_REPOSITORY)),
    row("listing all repositories is more than one of them", "R", NO, action="ecr:DescribeRepositories",
        on=ANY_REPOSITORY, identity=allow("ecr:DescribeRepositories", APP)),
    row("a repository of another partition", "D", YES, who=USER, on=f"arn:aws-cn:ecr:cn-north-1:{OWN}:repository/app",
        identity=allow("ecr:*", f"arn:aws-cn:ecr:cn-north-1:{OWN}:repository/*")),
    row("a public repository has no region", "D", YES, action="ecr-public:PutImage", on=PUBLIC,
        identity=allow("ecr-public:PutImage", PUBLIC)),
]  # fmt: skip

COMBINED = [
    row("an explicit deny wins over an allow", "D", DENIED, identity=[allow("ecr:*"), deny("ecr:PutImage")]),
    row("it wins when it stands first", "D", DENIED, identity=[deny("ecr:PutImage"), allow("ecr:*")]),
    row("it wins from another document", "D", DENIED, identity=(allow("*"), deny("ecr:*", APP))),
    row("a deny of something else does not matter", "D", YES, identity=[allow("ecr:*"), deny("ecr:*", LIBRARY)]),
    row("a deny alone denies explicitly", "D", DENIED, identity=deny("ecr:PutImage")),
    row("the second document allows", "D", YES, identity=(allow("s3:*"), allow("ecr:PutImage"))),
    row("action and resource must stand in one statement", "D", NO,
        identity=[allow("ecr:PutImage", LIBRARY), allow("ecr:BatchGetImage", APP)]),
]  # fmt: skip

LIMITS = [
    row("a boundary that allows as well", "D", YES, identity=allow("ecr:*"), boundary=allow("ecr:*")),
    row("a boundary that does not allow", "D", Reason.NO_BOUNDARY, identity=allow("ecr:*"),
        boundary=allow("ecr:BatchGetImage")),
    row("a boundary gives nothing by itself", "D", NO, boundary=allow("*")),
    row("a boundary that denies", "D", DENIED, identity=allow("*"), boundary=[allow("*"), deny("ecr:PutImage")]),
    row("a boundary is a matter of resources, too", "D", Reason.NO_BOUNDARY, identity=allow("*"),
        boundary=allow("ecr:*", LIBRARY)),
    row("a managed policy as boundary", "D", Reason.NO_BOUNDARY, identity=allow("*"),
        boundary="AmazonEC2ContainerRegistryReadOnly"),
    row("a boundary limits the token, too", "D", Reason.NO_BOUNDARY, action=TOKEN, on="*", identity=allow("*"),
        boundary=allow("ecr:PutImage")),
    row("a session policy that allows as well", "D", YES, who=ROLE, identity=allow("ecr:*"), session=allow("ecr:Put*")),
    row("a session policy that does not allow", "D", Reason.NO_SESSION, who=ROLE, identity=allow("ecr:*"),
        session=allow("ecr:Get*")),
    row("a session policy gives nothing by itself", "D", NO, who=ROLE, session=allow("*")),
    row("a session policy that denies", "D", DENIED, who=ROLE, identity=allow("*"),
        session=[allow("*"), deny("ecr:*")]),
    row("identity, boundary and session policy all allow", "D", YES, who=ROLE, identity=allow("*"),
        boundary=allow("ecr:*"), session=allow("ecr:PutImage", APP)),
    row("the boundary is named before the session policy", "I", Reason.NO_BOUNDARY, who=ROLE, identity=allow("*"),
        boundary=allow("s3:*"), session=allow("s3:*")),
    row("the identity is named before the boundary", "I", NO, who=ROLE, boundary=allow("s3:*")),
]  # fmt: skip

ROOTS = [
    row("root may do everything in its own account", "D", Reason.ROOT, who=ROOT),
    row("root may have a token", "D", Reason.ROOT, who=ROOT, action=TOKEN, on="*"),
    row("root may delete", "D", Reason.ROOT, who=ROOT, action="ecr:DeleteRepository"),
    row("a deny in the repository's policy binds root", "D", DENIED, who=ROOT, repository=forbid("ecr:*", "*")),
    row("a deny for the account binds its root", "D", DENIED, who=ROOT, repository=forbid("ecr:*", OWN)),
    row("a deny for somebody else does not bind root", "D", Reason.ROOT, who=ROOT,
        repository=forbid("ecr:*", USER.arn)),
    row("a deny in the registry's policy binds root", "D", DENIED, who=ROOT,
        registry=forbid("ecr:PutImage", "*", Resource=APP)),
    row("root needs no grant of the repository", "D", Reason.ROOT, who=ROOT, repository=grant("ecr:*", ROLE_ARN)),
]  # fmt: skip

FULL, POWER, READ, PULL = (
    f"AmazonEC2ContainerRegistry{name}" for name in ("FullAccess", "PowerUser", "ReadOnly", "PullOnly")
)
PUBLIC_FULL, PUBLIC_POWER, PUBLIC_READ = (
    f"AmazonElasticContainerRegistryPublic{name}" for name in ("FullAccess", "PowerUser", "ReadOnly")
)
SERVICE_ROLE = {"action": "iam:CreateServiceLinkedRole", "on": f"arn:aws:iam::{OWN}:role/aws-service-role/x"}

MANAGED = [
    row("PowerUser pushes", "D", YES, identity=POWER),
    row("PowerUser logs in", "D", YES, identity=POWER, action=TOKEN, on="*"),
    row("PowerUser creates no repository", "D", NO, identity=POWER, action="ecr:CreateRepository"),
    row("PowerUser deletes no image", "D", NO, identity=POWER, action="ecr:BatchDeleteImage"),
    row("PowerUser sets no policy", "D", NO, identity=POWER, action="ecr:SetRepositoryPolicy"),
    row("ReadOnly pulls", "D", YES, identity=READ, action="ecr:BatchGetImage"),
    row("ReadOnly reads findings", "D", YES, identity=READ, action="ecr:DescribeImageScanFindings"),
    row("ReadOnly does not push", "D", NO, identity=READ),
    row("PullOnly pulls", "D", YES, identity=PULL, action="ecr:GetDownloadUrlForLayer"),
    row("PullOnly imports from upstream", "D", YES, identity=PULL, action="ecr:BatchImportUpstreamImage"),
    row("PullOnly does not look whether layers are there", "D", NO, identity=PULL,
        action="ecr:BatchCheckLayerAvailability"),
    row("PullOnly lists nothing", "D", NO, identity=PULL, action="ecr:ListImages"),
    row("FullAccess writes the registry's policy", "D", YES, identity=FULL, action="ecr:PutRegistryPolicy", on="*"),
    row("FullAccess makes the role for replication", "D", YES, identity=FULL, **SERVICE_ROLE,
        context={"iam:AWSServiceName": "replication.ecr.amazonaws.com"}),
    row("FullAccess makes no other role", "D", NO, identity=FULL, **SERVICE_ROLE,
        context={"iam:AWSServiceName": "elasticache.amazonaws.com"}),
    row("FullAccess is for the private service", "D", NO, identity=FULL, action="ecr-public:PutImage", on=PUBLIC),
    row("the public FullAccess creates", "D", YES, identity=PUBLIC_FULL, action="ecr-public:CreateRepository",
        on=PUBLIC),
    row("the public PowerUser pushes", "D", YES, identity=PUBLIC_POWER, action="ecr-public:PutImage", on=PUBLIC),
    row("the public PowerUser deletes nothing", "D", NO, identity=PUBLIC_POWER,
        action="ecr-public:DeleteRepository", on=PUBLIC),
    row("the public ReadOnly does not push", "D", NO, identity=PUBLIC_READ, action="ecr-public:PutImage", on=PUBLIC),
    row("the public ReadOnly fetches the bearer token", "D", YES, identity=PUBLIC_READ,
        action="sts:GetServiceBearerToken", on="*"),
    row("AdministratorAccess does", "D", YES, identity="AdministratorAccess", action="ecr:DeleteRegistryPolicy",
        on="*"),
    row("a deny beside a managed policy", "D", DENIED, identity=(POWER, deny("ecr:PutImage", APP))),
]  # fmt: skip

#: The documented push set for one repository: with all of it each step is allowed, without one that step is not.
STEPS = [
    row(f"{verb} {missing}", "D", expected, who=ROLE, action=missing, identity=allow(names, APP))
    for missing in PUSH
    for verb, expected, names in (
        ("the push set allows", YES, PUSH),
        ("the push set without it denies", NO, [name for name in PUSH if name != missing]),
    )
]

ROWS: list[Row] = [*ACTIONS, *RESOURCES, *COMBINED, *LIMITS, *ROOTS, *MANAGED, *STEPS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_the_principals_own_side_decides(row: Row):
    decision = decide(row.request, row.policies)
    assert decision.reason is row.expected
    assert decision.allowed is (row.expected in ALLOWING)


def test_the_decision_names_the_statement_and_its_document():
    asked = row("", "D", YES, identity=(allow("s3:*"), [allow("ecr:Get*"), allow("ecr:PutImage", Sid="Push")]))
    decision = decide(asked.request, asked.policies)
    assert decision.document is asked.policies.identity[1]
    assert decision.statement is decision.document.statements[1]
    assert decision.because == "statement 2 (Push) of Policy1 allows it"


def test_a_decision_without_a_statement_says_what_is_lacking():
    asked = row("", "D", NO)
    assert decide(asked.request, asked.policies).because == "no identity-based policy allows it"


def test_a_deny_names_its_statement():
    asked = row("", "D", DENIED, identity=[allow("*"), deny("ecr:*")])
    assert decide(asked.request, asked.policies).because == "statement 2 of Policy0 denies it"


def test_a_boundary_that_lacks_an_allow_is_named():
    asked = row("", "D", Reason.NO_BOUNDARY, identity=allow("*"), boundary=allow("s3:*"))
    decision = decide(asked.request, asked.policies)
    assert (decision.document, decision.statement) == (asked.policies.boundary, None)
