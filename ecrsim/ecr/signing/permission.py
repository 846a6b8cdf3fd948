"""May the one who pushed an image have it signed: by the one evaluator, as anything else is decided."""

from __future__ import annotations

from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Caller
from ecrsim.ecr.access.authorization import decision_about, decision_of
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.signing.profiles import SigningProfile, policy_of
from ecrsim.ecr.signing.rules import SigningFailure
from ecrsim.iam.decision import AccessRequest, Decision, denial
from ecrsim.records import audit

SIGN_PAYLOAD = "signer:SignPayload"
#: The signature is pushed by the same principal, who needs all of these (documented).
_PUSH = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")


def refusal(call: Call, pusher: Caller, repository: Repository, profile: SigningProfile) -> SigningFailure | None:
    """Why the profile does not sign for the pusher, as of now; None when it does. Each decision is on record."""
    owner = Registry(profile.account, profile.region)
    policy = policy_of(profile.shared_with)
    context = {"signer:profileversion": [profile.profile_version]}
    asked = decision_about(call, pusher, SIGN_PAYLOAD, profile.arn, owner, policy, context)
    found = _denied(call, asked, owner)
    registry, name = repository.registry, repository.repository_name
    for action in _PUSH if found is None else ():
        found = _denied(call, decision_of(call, pusher, registry.action(action), registry, name, {}), registry)
        if found is not None:
            break
    return found


def _denied(call: Call, asked: tuple[AccessRequest, Decision], owner: Registry) -> SigningFailure | None:
    request, decision = asked
    audit.record(call, request.action, request.resource, owner, is_allowed=decision.allowed, reason=decision.because)
    return None if decision.allowed else SigningFailure("ACCESS_DENIED", denial(request, decision))
