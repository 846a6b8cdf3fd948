"""Verbs on lifecycle policies and their previews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select, update

from ecrsim.core.durations import SECOND
from ecrsim.core.errors import (
    LifecyclePolicyNotFoundException,
    LifecyclePolicyPreviewInProgressException,
    LifecyclePolicyPreviewNotFoundException,
)
from ecrsim.core.ids import new_uuid
from ecrsim.core.jobs import cancel, enqueue, pending
from ecrsim.core.query import Query, upsert
from ecrsim.core.runtime import Call
from ecrsim.ecr.lifecycle import policy as policies
from ecrsim.ecr.lifecycle.tables import (
    lifecycle_policies,
    lifecycle_preview_results,
    lifecycle_previews,
    lifecycle_runs,
)
from ecrsim.ecr.repositories.tables import Repository

#: Kinds of the jobs; their key is the number of the repository.
EVALUATE, COMPLETE_PREVIEW, EXPIRE_PREVIEW = (
    "evaluate-lifecycle-policy",
    "complete-lifecycle-policy-preview",
    "expire-lifecycle-policy-preview",
)


class StoredPolicy(NamedTuple):
    """A row of `lifecycle_policies`."""

    repository_id: int
    lifecycle_policy_text: str
    policy_id: str
    policy_version: int
    last_evaluated_at: int | None


_POLICY = Query(
    select(lifecycle_policies).where(lifecycle_policies.c.repository_id == bindparam("repository_id")), StoredPolicy
)


class Preview(NamedTuple):
    """A row of `lifecycle_previews`."""

    repository_id: int
    lifecycle_policy_text: str
    status: str
    preview_id: str
    policy: dict[str, Any] | None
    expiring_image_total_count: int
    transitioning_image_total_count: int
    last_reported: int


def find_policy(call: Call, repository_id: int) -> StoredPolicy | None:
    return _POLICY.first(call.connection, repository_id=repository_id)


def get_policy(call: Call, repository: Repository) -> StoredPolicy:
    found = find_policy(call, repository.id)
    if found is None:
        raise LifecyclePolicyNotFoundException(
            repository_name=repository.repository_name, registry_id=repository.registry_id
        )
    return found


def put_policy(call: Call, repository: Repository, text: str) -> str:
    """Keep the policy, a new version of the one before if there is one, and answer its text as it is kept.

    A policy that runs already keeps its hour.
    """
    policies.read(text)
    text = policies.canonical(text)
    upsert(
        call.connection,
        lifecycle_policies,
        {"repository_id": repository.id},
        {"lifecycle_policy_text": text, "policy_id": new_uuid(), "policy_version": 1},
        {"lifecycle_policy_text": text, "policy_version": lifecycle_policies.c.policy_version + 1},
    )
    interval = call.runtime.config.lifecycle_interval * SECOND
    due = pending(call, EVALUATE, str(repository.id))
    # Further away than an interval it is only after the clock was set back.
    if due is None or due > call.now + interval:
        enqueue(call, EVALUATE, call.now + interval, repository.registry, *_about(repository))
    return text


def delete_policy(call: Call, repository: Repository) -> StoredPolicy:
    """Delete the policy and return it. A run that is under way ends after its present batch."""
    found = get_policy(call, repository)
    call.connection.execute(delete(lifecycle_policies).where(lifecycle_policies.c.repository_id == repository.id))
    # Its plan goes as well: the versions of the next policy begin with 1 again.
    call.connection.execute(delete(lifecycle_runs).where(lifecycle_runs.c.repository_id == repository.id))
    cancel(call, EVALUATE, str(repository.id))
    return found


def start_preview(call: Call, repository: Repository, text: str | None) -> str:
    """Begin a preview of the policy, by default of the stored one, in place of the one before. Its text."""
    found = find_preview(call, repository.id)
    text = get_policy(call, repository).lifecycle_policy_text if text is None else text
    policies.read(text)
    if found is not None and found.status == "IN_PROGRESS":
        raise LifecyclePolicyPreviewInProgressException(
            repository_name=repository.repository_name, registry_id=repository.registry_id
        )
    begun: dict[str, Any] = {"lifecycle_policy_text": text, "status": "IN_PROGRESS", "preview_id": new_uuid()}
    begun |= {"expiring_image_total_count": 0, "transitioning_image_total_count": 0}
    begun |= {"policy": None, "last_reported": -1}
    # The results of the one before may be many. The job drops them, a few at a time.
    upsert(call.connection, lifecycle_previews, {"repository_id": repository.id}, begun)
    cancel(call, EXPIRE_PREVIEW, str(repository.id))
    due = call.now + call.runtime.config.preview_seconds * SECOND
    enqueue(call, COMPLETE_PREVIEW, due, repository.registry, *_about(repository))
    return text


def _about(repository: Repository) -> tuple[str, dict[str, Any]]:
    """Key and payload of a job about a repository."""
    return str(repository.id), {"repository_name": repository.repository_name}


def find_preview(call: Call, repository_id: int) -> Preview | None:
    query = select(lifecycle_previews).where(lifecycle_previews.c.repository_id == repository_id)
    row = call.connection.execute(query).first()
    return Preview._make(row) if row else None


def get_preview(call: Call, repository: Repository) -> Preview:
    found = find_preview(call, repository.id)
    if found is None:
        raise LifecyclePolicyPreviewNotFoundException(
            repository_name=repository.repository_name, registry_id=repository.registry_id
        )
    return found


def update_preview(call: Call, repository_id: int, **values: Any) -> None:
    call.connection.execute(
        update(lifecycle_previews).where(lifecycle_previews.c.repository_id == repository_id).values(values)
    )


def drop_results(call: Call, repository_id: int, limit: int) -> bool:
    """The first `limit` of them. False when none is left."""
    results = lifecycle_preview_results
    place = results.c.repository_id == repository_id
    first = select(results.c.position).where(place).order_by(results.c.position).limit(limit)
    dropped = call.connection.execute(delete(results).where(place, results.c.position.in_(first))).rowcount
    return dropped == limit


def page_of_results(
    call: Call,
    repository_id: int,
    after: int,
    limit: int,
    *,
    tagged: bool | None = None,
    digests: Sequence[str] | None = None,
) -> list[Any]:
    """Rows of `lifecycle_preview_results` after the position `after`, whatever the status of the preview.

    Those of `digests` from the first on.
    """
    results = lifecycle_preview_results
    query = select(results).where(results.c.repository_id == repository_id)
    if tagged is not None:
        query = query.where(results.c.is_tagged == tagged)
    if digests is None:
        query = query.where(results.c.position > after)
    else:
        # In a query of their own, and with no other bound, SQLite searches for them; otherwise it reads all results.
        named = select(results.c.position).where(
            results.c.repository_id == repository_id, results.c.image_digest.in_(digests)
        )
        query = query.where(results.c.position.in_(named))
    return list(call.connection.execute(query.order_by(results.c.position).limit(limit)))
