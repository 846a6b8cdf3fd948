"""What holds for every decision: of the tables, and of documents that nobody wrote."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.iam.decision import AccessRequest, Decision, Policies, Reason, decide
from ecrsim.iam.grammar import PolicyDocument, PolicyKind, read
from tests.iam import test_decision, test_decision_conditions, test_decision_resources
from tests.iam.decisions import (
    APP,
    CODEBUILD,
    LIBRARY,
    OTHER,
    OTHER_ROLE,
    OTHER_ROLE_ARN,
    OTHER_USER,
    OWN,
    ROLE,
    ROLE_ARN,
    ROOT,
    USER,
    Row,
    document,
)

ROWS: list[Row] = [*test_decision.ROWS, *test_decision_resources.ROWS, *test_decision_conditions.ROWS]
BOUNDED = settings(derandomize=True, max_examples=100, deadline=None)
THOROUGH = settings(BOUNDED, max_examples=250)


def test_there_are_at_least_150_decisions_and_each_has_a_sentence_of_its_own():
    sentences = [row.sentence for row in ROWS]
    assert len(sentences) >= 150
    assert len(set(sentences)) == len(sentences)
    assert {row.provenance for row in ROWS} == {"R", "D", "I"}


def test_every_reason_is_reached():
    assert {row.expected for row in ROWS} == set(Reason)


def documents(policies: Policies) -> Iterator[tuple[str, PolicyDocument]]:
    """(the field it stands in, the document)."""
    for each in policies.identity or ():
        yield "identity", each
    for field, each in zip(Policies._fields[1:], policies[1:], strict=True):
        if each is not None:
            yield field, each


def with_document(policies: Policies, field: str, old: PolicyDocument, new: PolicyDocument) -> Policies:
    if field == "identity":
        return policies._replace(identity=tuple(new if each is old else each for each in policies.identity or ()))
    return policies._replace(**{field: new})


def everything(kind: PolicyKind, effect: str, service: str) -> PolicyDocument:
    """One statement about every action, every resource and everybody."""
    statement: dict[str, Any] = {"Effect": effect, "Action": "*"}
    if kind is not PolicyKind.TRUST:
        statement["Resource"] = "*"
    if kind.names_principals:
        statement["Principal"] = "*"
    return document(kind, statement, "everything", service)


def shuffled(policies: Policies, seed: int) -> Policies:
    order = random.Random(seed)  # noqa: S311 - an order to try, no secret
    for field, each in documents(policies):
        statements = list(each.statements)
        order.shuffle(statements)
        policies = with_document(policies, field, each, each._replace(statements=tuple(statements)))
    identity = list(policies.identity or ())
    order.shuffle(identity)
    return policies._replace(identity=None if policies.identity is None else tuple(identity))


def same(decision: Decision, other: Decision) -> bool:
    return (decision.allowed, decision.reason) == (other.allowed, other.reason)


def with_everything(row: Row, effect: str) -> Iterator[Policies]:
    """For each document of the row: the policies when it has a statement about everything as well."""
    service = row.request.action.partition(":")[0]
    for field, each in documents(row.policies):
        total = everything(each.kind, effect, service)
        yield with_document(row.policies, field, each, each._replace(statements=total.statements + each.statements))


def test_a_deny_of_everything_in_any_document_of_the_tables_denies():
    decisions = [(row, decide(row.request, changed)) for row in ROWS for changed in with_everything(row, "Deny")]
    assert len(decisions) > len(ROWS)
    assert [row.sentence for row, decision in decisions if decision.reason is not Reason.EXPLICIT_DENY] == []


def test_an_allow_of_everything_in_any_document_of_the_tables_takes_nothing_away():
    decisions = [(row, decide(row.request, changed)) for row in ROWS for changed in with_everything(row, "Allow")]
    taken = [row for row, decision in decisions if decide(row.request, row.policies).allowed and not decision.allowed]
    assert [row.sentence for row in taken] == []
    assert any(decision.allowed and not decide(row.request, row.policies).allowed for row, decision in decisions)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_statements_and_documents_of_the_tables_does_not_matter(seed: int):
    decisions = ((row, decide(row.request, shuffled(row.policies, seed))) for row in ROWS)
    assert [row.sentence for row, other in decisions if not same(decide(row.request, row.policies), other)] == []


ACTIONS = ["ecr:PutImage", "ecr:BatchGetImage", "ecr:Put*", "ecr:*", "*", "ecr:Get????Policy"]
RESOURCES = ["*", APP, LIBRARY, "arn:aws:ecr:*:*:repository/team/*", "arn:aws:ecr:us-east-1:*"]
NAMES = [OWN, OTHER, USER.arn, ROLE_ARN, ROLE.arn, OTHER_USER.arn, OTHER_ROLE_ARN, "*", f"arn:aws:iam::{OWN}:root"]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"StringEquals": {"aws:ResourceTag/team": "blue"}},
    {"StringNotEquals": {"aws:ResourceTag/team": ["blue", "${aws:PrincipalTag/team}"]}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"ForAllValues:StringLike": {"aws:TagKeys": "t*"}},
    {"Null": {"aws:PrincipalTag/team": "true"}},
]

requests = st.builds(
    lambda who, action, resource, context: AccessRequest(who, action, resource, OWN, context),
    st.sampled_from([USER, ROLE, ROOT, OTHER_USER, OTHER_ROLE, CODEBUILD]),
    st.sampled_from(["ecr:PutImage", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"]),
    st.sampled_from([APP, LIBRARY]),
    st.dictionaries(
        st.sampled_from(["aws:resourcetag/team", "aws:principaltag/team", "aws:sourceip", "aws:tagkeys"]),
        st.sampled_from([["blue"], ["red"], ["10.1.1.1"], ["team", "env"]]),
    ),
)


@st.composite
def statements(draw: st.DrawFn, kind: PolicyKind, effects: tuple[str, ...] = ("Allow", "Deny")) -> dict[str, Any]:
    effect = draw(st.sampled_from(effects))
    several = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2)
    statement: dict[str, Any] = {
        "Effect": effect,
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(several),
        "Condition": draw(st.sampled_from(CONDITIONS)),
    }
    if kind is not PolicyKind.REPOSITORY or draw(st.booleans()):
        element = draw(st.sampled_from(["Resource", "Resource", "NotResource"]))
        statement[element] = draw(st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=2))
    if kind.names_principals:
        element = draw(st.sampled_from(["Principal", "NotPrincipal"])) if effect == "Deny" else "Principal"
        statement[element] = {"AWS": draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))}
    return statement


@st.composite
def documents_of(draw: st.DrawFn, kind: PolicyKind) -> PolicyDocument:
    several = st.lists(statements(kind), min_size=1, max_size=3)
    version = draw(st.sampled_from(["2008-10-17", "2012-10-17"]))
    return read({"Version": version, "Statement": draw(several)}, kind, kind.value)


def maybe(kind: PolicyKind) -> st.SearchStrategy[PolicyDocument | None]:
    return st.none() | documents_of(kind)


attached = st.tuples(
    st.none() | st.lists(documents_of(PolicyKind.IDENTITY), max_size=2).map(tuple),
    maybe(PolicyKind.BOUNDARY),
    maybe(PolicyKind.SESSION),
    maybe(PolicyKind.REPOSITORY),
    maybe(PolicyKind.REGISTRY),
).map(lambda parts: Policies(*parts))


@st.composite
def additions(draw: st.DrawFn, effect: str) -> tuple[AccessRequest, Policies, Policies]:
    """(request, policies, the same with one more statement of that effect in one of the documents)."""
    request, policies = draw(requests), draw(attached)
    present = list(documents(policies))
    if not present:
        policies = policies._replace(identity=(draw(documents_of(PolicyKind.IDENTITY)),))
        present = list(documents(policies))
    field, chosen = draw(st.sampled_from(present))
    one = read({"Version": "2012-10-17", "Statement": draw(statements(chosen.kind, (effect,)))}, chosen.kind, "more")
    more = chosen._replace(statements=(*chosen.statements, *one.statements))
    return request, policies, with_document(policies, field, chosen, more)


@pytest.mark.slow
@THOROUGH
@given(additions("Deny"))
def test_adding_a_deny_never_allows_more(added: tuple[AccessRequest, Policies, Policies]):
    request, before, after = added
    assert decide(request, after).allowed <= decide(request, before).allowed


@pytest.mark.slow
@THOROUGH
@given(additions("Allow"))
def test_adding_an_allow_never_denies_more(added: tuple[AccessRequest, Policies, Policies]):
    request, before, after = added
    assert decide(request, after).allowed >= decide(request, before).allowed


@BOUNDED
@given(requests, attached, st.integers(0, 1000))
def test_order_never_matters(request_: AccessRequest, policies: Policies, seed: int):
    assert same(decide(request_, policies), decide(request_, shuffled(policies, seed)))


@BOUNDED
@given(requests, attached, maybe(PolicyKind.BOUNDARY), maybe(PolicyKind.SESSION))
def test_a_limit_never_allows_more(
    request_: AccessRequest, policies: Policies, boundary: PolicyDocument | None, session: PolicyDocument | None
):
    free = policies._replace(boundary=None, session=None)
    bound = policies._replace(boundary=boundary, session=session)
    assert decide(request_, bound).allowed <= decide(request_, free).allowed


@BOUNDED
@given(requests, attached)
def test_a_decision_names_a_statement_of_its_document(request_: AccessRequest, policies: Policies):
    decision = decide(request_, policies)
    if decision.statement is not None:
        assert decision.document is not None
        assert decision.statement in decision.document.statements
        assert decision.statement.allows is decision.allowed
