"""Facts about runs and previews of lifecycle policies, and the rows that the outbox keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ecrsim.core.event import NewEvent
from ecrsim.ecr.lifecycle.policy import Policy
from ecrsim.ecr.repositories.tables import Repository

#: An event tells of fewer than ten images (documented).
IMAGES_PER_EVENT = 9


class PolicyExecuted(NamedTuple):
    """A batch of a run was carried out: actions are `{image, rule_priority}`, failures have code and reason besides."""

    repository: Repository
    policy: dict[str, Any]
    actions: Sequence[dict[str, Any]]
    failures: Sequence[dict[str, Any]]

    def rows(self) -> Iterable[NewEvent]:
        return _rows(self.repository, "LifecyclePolicyExecuted", self.policy, self.actions, self.failures)


class PolicyPreviewed(NamedTuple):
    """Some results of a preview are known."""

    repository: Repository
    policy: dict[str, Any]
    actions: Sequence[dict[str, Any]]

    def rows(self) -> Iterable[NewEvent]:
        return _rows(self.repository, "LifecyclePolicyPreviewed", self.policy, self.actions, ())


def image_of(image_digest: str, tags: Sequence[str], pushed_at: int) -> dict[str, Any]:
    """An image in the facts above; `pushed_at` in epoch milliseconds."""
    return {"digest": image_digest, "tags": list(tags), "pushed_at": pushed_at}


def policy_of(policy: Policy, policy_id: str, policy_version: int, last_evaluated_at: int | None) -> dict[str, Any]:
    """A policy in the facts above."""
    return {
        "rules": [rule._asdict() for rule in policy.rules],
        "policy_id": policy_id,
        "policy_version": policy_version,
        "last_evaluated_at": last_evaluated_at or 0,
    }


def _rows(
    repository: Repository,
    type: str,
    policy: dict[str, Any],
    actions: Sequence[dict[str, Any]],
    failures: Sequence[dict[str, Any]],
) -> Iterator[NewEvent]:
    size = IMAGES_PER_EVENT
    for begin in range(0, max(len(actions), len(failures)), size):
        facts = {
            "policy": policy,
            "image_actions": list(actions[begin : begin + size]),
            "failures": list(failures[begin : begin + size]),
        }
        yield NewEvent(repository.registry, repository.repository_name, type, facts)
