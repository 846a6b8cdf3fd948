"""Verbs on the signing configuration of a registry, and on how the signatures of an image stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select, update

from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import SigningConfigurationNotFoundException
from ecrsim.core.jobs import enqueue
from ecrsim.core.query import Addition, Change, Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Caller
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.signing import rules as decisions
from ecrsim.ecr.signing.rules import SigningFailure
from ecrsim.ecr.signing.tables import signing_configurations, signing_statuses

#: The kind of job that makes a signature. Its key is the image and the profile.
SIGN = "sign-image"


class SigningStatus(NamedTuple):
    """How the signature of one profile stands."""

    signing_profile_arn: str
    status: str
    failure_code: str | None
    failure_reason: str | None

    def as_json(self) -> dict[str, Any]:
        """As DescribeImageSigningStatus tells it."""
        return {
            "signingProfileArn": self.signing_profile_arn,
            "status": self.status,
            "failureCode": self.failure_code,
            "failureReason": self.failure_reason,
        }


_RULES = Query(select(signing_configurations.c.rules).where(of_registry(signing_configurations)), list)
_DROP = Change(delete(signing_configurations).where(of_registry(signing_configurations)))
_COLUMNS = [signing_statuses.c[name] for name in SigningStatus._fields]
_OF_IMAGE = Query(
    select(*_COLUMNS).where(signing_statuses.c.image_id == bindparam("image")).order_by(signing_statuses.c.id),
    SigningStatus,
)
_ONE = (signing_statuses.c.image_id == bindparam("image")) & (
    signing_statuses.c.signing_profile_arn == bindparam("arn")
)
_FIND = Query(select(*_COLUMNS).where(_ONE), SigningStatus)
_INSERT = Addition(signing_statuses, "image_id", "signing_profile_arn", "status")
_SET = Change(
    update(signing_statuses)
    .where(_ONE)
    .values(
        status=bindparam("outcome"),
        failure_code=bindparam("code"),
        failure_reason=bindparam("reason"),
    )
)


# --- the configuration ------------------------------------------------------------------------------------------------


def find_rules(call: Call, registry: Registry) -> list[dict[str, Any]] | None:
    """The rules of a registry; None where it has no configuration."""
    return _RULES.first(call.connection, **registry._asdict())


def get_rules(call: Call, registry: Registry) -> list[dict[str, Any]]:
    """SigningConfigurationNotFoundException."""
    found = find_rules(call, registry)
    if found is None:
        raise SigningConfigurationNotFoundException(registry_id=registry.account)
    return found


def put_rules(call: Call, registry: Registry, rules: Sequence[dict[str, Any]]) -> None:
    """In place of those before. What is under way already comes to its end (inferred)."""
    upsert(call.connection, signing_configurations, values_of(registry), {"rules": list(rules)})


def delete_rules(call: Call, registry: Registry) -> list[dict[str, Any]]:
    """The rules that were. Signatures stay (documented). SigningConfigurationNotFoundException."""
    found = get_rules(call, registry)
    _DROP.run(call.connection, **registry._asdict())
    return found


# --- the signatures of an image ---------------------------------------------------------------------------------------


def statuses(call: Call, image_id: int) -> list[SigningStatus]:
    """In the order in which they were first begun."""
    return _OF_IMAGE.all(call.connection, image=image_id)


def begin(call: Call, repository: Repository, image_id: int) -> None:
    """Let the image be signed by all profiles that the rules give it, as the caller who pushed it.

    What is signed already is not signed again; what failed is tried anew (both inferred).
    """
    rules = find_rules(call, repository.registry) or ()
    for arn in decisions.profiles(rules, repository.repository_name):
        known = _FIND.first(call.connection, image=image_id, arn=arn)
        if known is not None and known.status == "COMPLETE":
            continue
        if known is None:
            _INSERT.run(call.connection, image_id=image_id, signing_profile_arn=arn, status="IN_PROGRESS")
        else:
            _SET.run(call.connection, image=image_id, arn=arn, outcome="IN_PROGRESS", code=None, reason=None)
        due = call.now + call.runtime.config.signing_seconds * SECOND
        enqueue_signing(call, repository, image_id, arn, call.caller, due)


def enqueue_signing(
    call: Call, repository: Repository, image_id: int, arn: str, pusher: Caller, due: int, tried: int = 0
) -> None:
    """A job at `due` (epoch milliseconds), which asks what the pusher may do by then."""
    payload = {
        "image_id": image_id,
        "repository_id": repository.id,
        "signing_profile_arn": arn,
        "pusher": pusher._asdict(),
        "tried": tried,
    }
    enqueue(call, SIGN, due, repository.registry, f"{image_id}/{arn}", payload)


def settle(call: Call, image_id: int, arn: str, failure: SigningFailure | None) -> None:
    """COMPLETE, or FAILED for a reason."""
    outcome = "FAILED" if failure else "COMPLETE"
    code, reason = failure or (None, None)
    _SET.run(call.connection, image=image_id, arn=arn, outcome=outcome, code=code, reason=reason)
