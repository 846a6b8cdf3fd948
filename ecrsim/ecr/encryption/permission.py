"""May the one who makes or deletes a repository use its key: by the one evaluator, as anything else is decided."""

from __future__ import annotations

from collections.abc import Sequence

from ecrsim.core.errors import KmsException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.authorization import decision_about
from ecrsim.iam.decision import denial
from ecrsim.iam.grammar import PolicyDocument, PolicyKind, read
from ecrsim.records import audit

#: What the maker of a repository needs on a key that is a customer's (documented).
TO_CREATE = ("kms:DescribeKey", "kms:CreateGrant")
#: And who deletes it, on AWS's own key too (documented).
TO_DELETE = ("kms:RetireGrant",)


def policy_of(shared_with: Sequence[str]) -> PolicyDocument | None:
    """The policy of a key that is shared; None for one that its account's own policies decide about.

    MalformedPolicy for what is no principal.
    """
    if not shared_with:
        return None
    allowed = {"Effect": "Allow", "Principal": {"AWS": list(shared_with)}, "Action": ["kms:*"]}
    document = {"Version": "2012-10-17", "Statement": [allowed]}
    return read(document, PolicyKind.REPOSITORY, "key", service="kms")


def check(call: Call, actions: Sequence[str], arn: str, policy: PolicyDocument | None = None) -> None:
    """KmsException with KMS's AccessDeniedException. Each decision is on record."""
    *_, region, account, _ = arn.split(":")
    owner = Registry(account, region)
    for action in actions:
        request, decision = decision_about(call, call.caller, action, arn, owner, policy)
        place = request.action, request.resource, owner
        audit.record(call, *place, is_allowed=decision.allowed, reason=decision.because)
        if not decision.allowed:
            raise KmsException(denial(request, decision), kmsError="AccessDeniedException")
