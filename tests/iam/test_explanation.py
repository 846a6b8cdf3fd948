"""What would allow a request that is denied, and the least that was needed for what was done."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.ecr.access.canonical import pretty
from ecrsim.iam.decision import AccessRequest, Policies, Reason, decide
from ecrsim.iam.explanation import PolicyChange, apply_changes, explain, minimal_policy
from ecrsim.iam.grammar import PolicyKind, read
from tests.iam.decisions import (
    ANY_REPOSITORY,
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
    ROLE,
    ROLE_ARN,
    ROOT,
    USER,
    WORKFLOW,
    Row,
    allow,
    deny,
    forbid,
    grant,
    row,
)
from tests.iam.test_decision_properties import ROWS, attached, requests

NO, DENIED, UNSHARED = Reason.NO_IDENTITY, Reason.EXPLICIT_DENY, Reason.NO_RESOURCE
TOKEN = "ecr:GetAuthorizationToken"
ALLOW = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": APP}
TOKEN_STATEMENT = {"Effect": "Allow", "Action": TOKEN, "Resource": "*"}
WEB = "sts:AssumeRoleWithWebIdentity"


def shared(name: str, kind: str = "AWS") -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {kind: name}, "Action": "ecr:PutImage"}


IDENTITY, BOUNDARY = (
    PolicyChange(PolicyKind.IDENTITY, None, ALLOW),
    PolicyChange(PolicyKind.BOUNDARY, "permissions boundary", ALLOW),
)

#: (what is denied, the changes that are proposed).
PROPOSALS: list[tuple[Row, list[PolicyChange]]] = [
    (row("an identity without policies", "I", NO), [IDENTITY]),
    (row("a role without policies", "I", NO, who=ROLE), [IDENTITY]),
    (row("the token", "I", NO, action=TOKEN, on="*"), [PolicyChange(PolicyKind.IDENTITY, None, TOKEN_STATEMENT)]),
    (row("a boundary alone", "I", Reason.NO_BOUNDARY, identity=allow("*"), boundary=allow("s3:*")), [BOUNDARY]),
    (row("a session policy alone", "I", Reason.NO_SESSION, who=ROLE, identity=allow("*"), session=allow("s3:*")),
     [PolicyChange(PolicyKind.SESSION, "session policy", ALLOW)]),
    (row("identity and boundary: the repository's policy is the shorter way", "I", NO, boundary=allow("s3:*")),
     [PolicyChange(PolicyKind.REPOSITORY, None, shared(USER.arn))]),
    (row("a session's limits: the repository's policy names the session", "I", NO, who=ROLE, boundary=allow("s3:*"),
         session=allow("s3:*")), [PolicyChange(PolicyKind.REPOSITORY, None, shared(ROLE.arn))]),
    (row("a role that is named and limited", "I", Reason.NO_BOUNDARY, who=ROLE, boundary=allow("s3:*"),
         repository=grant("ecr:*", ROLE_ARN)), [BOUNDARY]),
    (row("another account's user", "I", UNSHARED, who=OTHER_USER, identity=allow("*")),
     [PolicyChange(PolicyKind.REPOSITORY, None, shared(OTHER_USER.arn))]),
    (row("another account's role is named, not its session", "I", UNSHARED, who=OTHER_ROLE, identity=allow("*"),
         repository=grant("ecr:Get*", OTHER)), [PolicyChange(PolicyKind.REPOSITORY, "repository policy",
          shared(OTHER_ROLE_ARN))]),
    (row("another account's root", "I", UNSHARED, who=OTHER_ROOT),
     [PolicyChange(PolicyKind.REPOSITORY, None, shared(OTHER_ROOT.arn))]),
    (row("another account, where its own side is lacking", "I", NO, who=OTHER_USER, repository=grant("ecr:*", OTHER)),
     [IDENTITY]),
    (row("another account, where both sides are lacking", "I", NO, who=OTHER_USER),
     [IDENTITY, PolicyChange(PolicyKind.REPOSITORY, None, shared(OTHER_USER.arn))]),
    (row("another account, where all is lacking", "I", NO, who=OTHER_USER, boundary=allow("s3:*")),
     [IDENTITY, BOUNDARY, PolicyChange(PolicyKind.REPOSITORY, None, shared(OTHER_USER.arn))]),
    (row("what is not there yet is the registry's matter", "I", UNSHARED, who=OTHER_USER, identity=allow("*"),
         action="ecr:CreateRepository"),
     [PolicyChange(PolicyKind.REGISTRY, None, shared(OTHER_USER.arn) | {"Action": "ecr:CreateRepository",
      "Resource": APP})]),
    (row("a service", "I", UNSHARED, who=CODEBUILD), [PolicyChange(PolicyKind.REPOSITORY, None, shared(CODEBUILD.arn,
     "Service"))]),
    (row("a deny", "I", DENIED, identity=[allow("*"), deny("ecr:Put*", Sid="NoPush")]),
     [PolicyChange(PolicyKind.IDENTITY, "Policy0", deny("ecr:Put*", Sid="NoPush"), 2)]),
    (row("two denies", "I", DENIED, identity=(allow("*"), deny("ecr:*")), repository=forbid("ecr:*", "*")),
     [PolicyChange(PolicyKind.IDENTITY, "Policy1", deny("ecr:*"), 1),
      PolicyChange(PolicyKind.REPOSITORY, "repository policy", forbid("ecr:*", "*"), 1)]),
    (row("a deny, and nothing that allows", "I", DENIED, identity=deny("ecr:*")),
     [PolicyChange(PolicyKind.IDENTITY, "Policy0", deny("ecr:*"), 1), IDENTITY]),
    (row("a deny for root", "I", DENIED, who=ROOT, repository=forbid("ecr:*", "*")),
     [PolicyChange(PolicyKind.REPOSITORY, "repository policy", forbid("ecr:*", "*"), 1)]),
    (row("a role that does not trust", "I", Reason.NO_TRUST, action="sts:AssumeRole", on=ROLE_ARN,
         trust=grant("sts:AssumeRole", OTHER)),
     [PolicyChange(PolicyKind.TRUST, "role trust policy", grant("sts:AssumeRole", USER.arn))]),
    (row("a role that trusts the account", "I", NO, action="sts:AssumeRole", on=ROLE_ARN,
         trust=grant("sts:AssumeRole", OWN)),
     [PolicyChange(PolicyKind.IDENTITY, None, {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE_ARN})]),
    (row("a web identity", "I", Reason.NO_TRUST, who=WORKFLOW, action=WEB, on=ROLE_ARN, trust=grant(WEB, OWN)),
     [PolicyChange(PolicyKind.TRUST, "role trust policy", grant(WEB, {"Federated": PROVIDER}))]),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), PROPOSALS, ids=[asked.sentence for asked, _ in PROPOSALS])
def test_the_smallest_set_of_statements(asked: Row, expected: list[PolicyChange]):
    explanation = explain(asked.request, asked.policies)
    assert explanation.decision.reason is asked.expected
    assert explanation.changes == tuple(expected)


def test_what_is_allowed_needs_nothing():
    asked = row("", "I", Reason.ALLOWED, identity=allow("ecr:*", Sid="All"))
    explanation = explain(asked.request, asked.policies)
    assert explanation.changes == ()
    assert explanation.as_json() == {
        "allowed": True,
        "reason": "statement 1 (All) of Policy0 allows it",
        "message": None,
        "policyType": "identity-based policy",
        "policy": "Policy0",
        "statement": allow("ecr:*", Sid="All"),
        "changes": [],
    }


def test_what_no_policy_can_allow_is_said_to_be_so():
    asked = row("", "I", NO, who=CODEBUILD, action=TOKEN, on="*")
    explanation = explain(asked.request, asked.policies)
    assert explanation.changes is None
    assert explanation.as_json()["changes"] is None


def test_an_explanation_as_json():
    asked = row("", "I", DENIED, identity=deny("ecr:*", Sid="Stop"))
    answer = explain(asked.request, asked.policies).as_json()
    assert (
        json.loads(json.dumps(answer))
        == answer
        == {
            "allowed": False,
            "reason": "statement 1 (Stop) of Policy0 denies it",
            "message": f"User: {USER.arn} is not authorized to perform: ecr:PutImage on resource: {APP} "
            "with an explicit deny in an identity-based policy",
            "policyType": "identity-based policy",
            "policy": "Policy0",
            "statement": deny("ecr:*", Sid="Stop"),
            "changes": [
                {
                    "change": "remove",
                    "policyType": "identity-based policy",
                    "policy": "Policy0",
                    "statement": deny("ecr:*", Sid="Stop"),
                    "description": "remove statement 1 (Stop) from Policy0, which denies it",
                },
                {
                    "change": "add",
                    "policyType": "identity-based policy",
                    "policy": None,
                    "statement": ALLOW,
                    "description": "add a statement to an identity-based policy",
                },
            ],
        }
    )


def test_each_denial_of_the_tables_can_be_lifted_by_what_is_proposed():
    explained = [explain(row.request, row.policies) for row in ROWS if not decide(row.request, row.policies).allowed]
    assert len(explained) > 100
    stuck = [each for each in explained if each.changes is None]
    assert [(each.request.principal, each.request.action) for each in stuck] == [(CODEBUILD, TOKEN)]
    for each in explained:
        assert each.changes != ()


@pytest.mark.slow
@settings(derandomize=True, max_examples=200, deadline=None)
@given(requests, attached)
def test_a_proposal_allows_and_no_part_of_it_is_idle(request_: AccessRequest, policies: Policies):
    changes = explain(request_, policies).changes
    if changes is None:
        # Only the token of somebody without an account, which nothing can allow.
        assert (request_.principal, request_.action) == (CODEBUILD, TOKEN)
        return
    assert decide(request_, apply_changes(policies, changes, request_)).allowed
    for some in itertools.combinations(changes, max(0, len(changes) - 1)):
        assert changes == () or not decide(request_, apply_changes(policies, some, request_)).allowed


PUSHED = [
    ("ecr:PutImage", APP),
    ("ecr:InitiateLayerUpload", APP),
    ("ecr:PutImage", APP),
    ("ecr:BatchGetImage", LIBRARY),
    (TOKEN, "*"),
    ("ecr:DescribeRegistry", "*"),
    ("ecr:InitiateLayerUpload", f"{APP}2"),
    ("ecr:PutImage", f"{APP}2"),
    ("ecr:DescribeRepositories", ANY_REPOSITORY),
]


def test_the_least_privilege_policy_is_ordered_and_grouped():
    assert minimal_policy(PUSHED) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": [TOKEN, "ecr:DescribeRegistry"], "Resource": "*"},
            {"Effect": "Allow", "Action": "ecr:DescribeRepositories", "Resource": ANY_REPOSITORY},
            {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": LIBRARY},
            {"Effect": "Allow", "Action": ["ecr:InitiateLayerUpload", "ecr:PutImage"], "Resource": [APP, f"{APP}2"]},
        ],
    }


def test_it_is_ready_to_be_pasted():
    text = pretty(minimal_policy(PUSHED))
    assert len(read(text, PolicyKind.IDENTITY, "minimal").statements) == 4


def test_an_account_level_action_keeps_its_star_to_itself():
    policy = minimal_policy([("ecr:DescribeImages", "*"), ("ecr:DescribeImages", APP)])
    assert [statement["Resource"] for statement in policy["Statement"]] == ["*", APP]


def test_nothing_was_done():
    assert minimal_policy([]) == {"Version": "2012-10-17", "Statement": []}


actions = st.sampled_from([TOKEN, "ecr:PutImage", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr-public:PutImage"])
resources = st.sampled_from(["*", APP, LIBRARY, f"{APP}2", f"{APP}/x", OTHER_ROLE_ARN])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(actions, resources), min_size=1, max_size=12))
def test_it_allows_what_was_done_and_nothing_else(records: list[tuple[str, str]]):
    document = read(minimal_policy(records), PolicyKind.IDENTITY, "minimal")
    done = set(records)
    account_level = {action for action, resource in done if resource == "*"}
    for action in ("ecr:PutImage", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr-public:PutImage", TOKEN):
        for resource in ("*", APP, LIBRARY, f"{APP}2", f"{APP}/x", f"{APP}3", OTHER_ROLE_ARN):
            asked = AccessRequest(USER, action, resource, OWN, {})
            # What is allowed on `*` is so on everything: for an action that has no resource there is no other way.
            expected = (action, resource) in done or action in account_level
            assert decide(asked, Policies((document,))).allowed is expected


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.tuples(actions, resources), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(records: list[tuple[str, str]], random: Any):
    mixed = list(records)
    random.shuffle(mixed)
    assert minimal_policy(mixed) == minimal_policy(records)
