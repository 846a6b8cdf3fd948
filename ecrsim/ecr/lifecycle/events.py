"""What a lifecycle policy did, or would do, as the outbox keeps it: in events of fewer than ten images (documented)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecrsim.core.events import emit
from ecrsim.core.runtime import Call
from ecrsim.ecr.lifecycle.policy import Policy
from ecrsim.ecr.repositories.tables import Repository

IMAGES_PER_EVENT = 9


def image_of(image_digest: str, tags: Sequence[str], pushed_at: int) -> dict[str, Any]:
    return {"digest": image_digest, "tags": list(tags), "pushed_at": pushed_at}


def policy_of(policy: Policy, policy_id: str, policy_version: int, last_evaluated_at: int | None) -> dict[str, Any]:
    return {
        "rules": [rule._asdict() for rule in policy.rules],
        "policy_id": policy_id,
        "policy_version": policy_version,
        "last_evaluated_at": last_evaluated_at or 0,
    }


def policy_executed(
    call: Call,
    repository: Repository,
    policy: dict[str, Any],
    actions: Sequence[dict[str, Any]],
    failures: Sequence[dict[str, Any]],
) -> None:
    """Actions are `{image, rule_priority}`, failures have `failure_code` and `failure_reason` besides."""
    _emit(call, repository, "LifecyclePolicyExecuted", policy, actions, failures)


def policy_previewed(
    call: Call, repository: Repository, policy: dict[str, Any], actions: Sequence[dict[str, Any]]
) -> None:
    _emit(call, repository, "LifecyclePolicyPreviewed", policy, actions, ())


def _emit(
    call: Call,
    repository: Repository,
    type: str,
    policy: dict[str, Any],
    actions: Sequence[dict[str, Any]],
    failures: Sequence[dict[str, Any]],
) -> None:
    size = IMAGES_PER_EVENT
    for begin in range(0, max(len(actions), len(failures)), size):
        facts = {
            "policy": policy,
            "image_actions": list(actions[begin : begin + size]),
            "failures": list(failures[begin : begin + size]),
        }
        emit(call, repository.registry, repository.repository_name, type, facts)
