"""The managed policies are AWS's: held against the copy that moto carries, and found by name and by ARN."""

from __future__ import annotations

import json

import pytest

from ecrsim.iam.grammar import PolicyKind
from ecrsim.iam.managed import POLICIES, managed_policy


@pytest.mark.parametrize("name", POLICIES)
def test_a_managed_policy_is_as_aws_publishes_it(name: str):
    published = pytest.importorskip("moto.iam.aws_managed_policies", reason="moto carries AWS's managed policies")
    theirs = json.loads(published.aws_managed_policies_data)[name]["Document"]
    assert POLICIES[name] == theirs


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("prefix", ["", "arn:aws:iam::aws:policy/", "arn:aws-cn:iam::aws:policy/"])
def test_it_is_found_by_name_and_by_arn(name: str, prefix: str):
    found = managed_policy(prefix + name)
    assert found is not None
    assert (found.kind, found.name) == (PolicyKind.IDENTITY, name)
    assert [statement.source for statement in found.statements] == POLICIES[name]["Statement"]


def test_it_can_be_a_boundary():
    found = managed_policy("AmazonEC2ContainerRegistryReadOnly", PolicyKind.BOUNDARY)
    assert found is not None
    assert found.kind is PolicyKind.BOUNDARY


@pytest.mark.parametrize("name", ["", "PushOnly", "arn:aws:iam::111122223333:policy/AdministratorAccess"])
def test_others_are_not_built_in(name: str):
    assert managed_policy(name) is None
