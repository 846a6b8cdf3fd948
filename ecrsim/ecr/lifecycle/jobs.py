"""Jobs of lifecycle policies: the daily run, the preview's end, and the end of its results.

A run reads the images in one moment, plans, and writes the plan down; then it carries the plan out in batches, each in
a transaction of its own together with its events. Between two batches others write, and readers never wait. A run that
was interrupted goes on with what is left of its plan: planning again would act on what only the next run may.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, insert, select, update

from ecrsim.core.clock import DAY, SECOND
from ecrsim.core.db import Prepared, prepared_insert
from ecrsim.core.jobs import Job, enqueue, finish, job
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import storage
from ecrsim.ecr.images.deletion import delete_image
from ecrsim.ecr.images.rules import referenced_by
from ecrsim.ecr.images.service import Image, image_by_id, indexes_listing, tags_of
from ecrsim.ecr.lifecycle import events, service
from ecrsim.ecr.lifecycle import policy as policies
from ecrsim.ecr.lifecycle.engine import Decision, plan
from ecrsim.ecr.lifecycle.state import images_of
from ecrsim.ecr.lifecycle.tables import (
    lifecycle_actions,
    lifecycle_policies,
    lifecycle_preview_results,
    lifecycle_runs,
)
from ecrsim.ecr.repositories.service import find_repository_by_id
from ecrsim.ecr.repositories.tables import Repository, registry_of_row

log = logging.getLogger("ecrsim.lifecycle")

#: Images per transaction: a few milliseconds, after which others have their turn.
BATCH = 50
#: How long the results of a preview are kept (inferred; ECR's own time is not known).
PREVIEW_LIFETIME = DAY
#: Seconds between two batches. Without a pause whoever waits to write would not be let in.
_PAUSE = 0.002

_INSERT_ACTION = prepared_insert(lifecycle_actions, *(column.name for column in lifecycle_actions.columns))
_INSERT_RESULT = prepared_insert(
    lifecycle_preview_results, *(column.name for column in lifecycle_preview_results.columns)
)
_ACTIONS = Prepared(
    select(
        lifecycle_actions.c.position,
        lifecycle_actions.c.image_id,
        lifecycle_actions.c.image_pushed_at,
        lifecycle_actions.c.action,
        lifecycle_actions.c.rule_priority,
    )
    .where(lifecycle_actions.c.repository_id == bindparam("repository_id"))
    .order_by(lifecycle_actions.c.position)
    .limit(BATCH)
)


@job(service.EVALUATE, is_long=True)
def evaluate(call: Call, job: Job) -> None:
    """One run of a repository's policy, and the next one a day later."""
    while not call.runtime.stopping.wait(_PAUSE):
        if not _is_planned(call, job):
            if not _plan(call, job):
                return
        elif _carry_out(call, job):
            return


def _is_planned(call: Call, job: Job) -> bool:
    query = select(lifecycle_runs.c.repository_id).where(lifecycle_runs.c.repository_id == int(job.key))
    with call.reading():
        return call.connection.execute(query).first() is not None


def _plan(call: Call, job: Job) -> bool:
    """Write down what is to be done, unless the policy was replaced meanwhile. False when there is none (any more)."""
    repository_id = int(job.key)
    with call.reading():
        stored = service.find_policy(call, repository_id)
        images = images_of(call.connection, repository_id) if stored else []
    decisions = plan(images, policies.read(stored.lifecycle_policy_text), call.now) if stored else []
    # Made before anybody has to wait for the transaction.
    rows = [
        (repository_id, position, each.image.id, each.image.image_pushed_at, each.action, each.rule_priority)
        for position, each in enumerate(decisions)
    ]
    with call.writing():
        current = service.find_policy(call, repository_id)
        if current is None:
            finish(call, job)
            return False
        # The text itself: a policy that was deleted and put anew begins with version 1 again.
        if stored is not None and current.lifecycle_policy_text == stored.lifecycle_policy_text:
            _begin(call, current, rows)
    return True


def _begin(call: Call, policy: service.StoredPolicy, rows: list[tuple[Any, ...]]) -> None:
    run = {"policy_version": policy.policy_version, "planned_at": call.now}
    call.connection.execute(insert(lifecycle_runs).values(repository_id=policy.repository_id, **run))
    _INSERT_ACTION.many(call.connection, rows)


def _carry_out(call: Call, job: Job) -> bool:
    """A batch of the plan. True when nothing of it is left."""
    repository_id = int(job.key)
    with call.writing():
        repository = find_repository_by_id(call, repository_id)
        run = call.connection.execute(
            select(lifecycle_runs).where(lifecycle_runs.c.repository_id == repository_id)
        ).first()
        policy = service.find_policy(call, repository_id)
        if repository is None or run is None or policy is None:
            _end(call, job)
            return True
        rows = _ACTIONS.all(call.connection, repository_id=repository_id)
        # What a policy decided that has been replaced since is decided by nobody.
        if rows and run.policy_version == policy.policy_version:
            _act(call, repository, policy, rows)
            call.connection.execute(
                delete(lifecycle_actions).where(
                    lifecycle_actions.c.repository_id == repository_id, lifecycle_actions.c.position <= rows[-1][0]
                )
            )
            return False
        call.connection.execute(
            update(lifecycle_policies)
            .where(lifecycle_policies.c.repository_id == repository_id)
            .values(last_evaluated_at=run.planned_at)
        )
        _end(call, job)
        interval = call.runtime.config.lifecycle_interval * SECOND
        # After days without anybody who runs jobs, one run makes up for all that were missed.
        missed = max(0, call.now - job.run_at) // interval
        payload = {"repository_name": repository.repository_name}
        next_at = job.run_at + (missed + 1) * interval
        enqueue(call, job.kind, next_at, registry_of_row(repository), job.key, payload)
    return True


def _end(call: Call, job: Job) -> None:
    call.connection.execute(delete(lifecycle_runs).where(lifecycle_runs.c.repository_id == int(job.key)))
    finish(call, job)


def _act(call: Call, repository: Repository, policy: service.StoredPolicy, rows: list[Any]) -> None:
    actions, failures = [], []
    for _, image_id, pushed_at, action, rule_priority in rows:
        image = image_by_id(call, image_id)
        if image is None or image.image_status == "ACTIVATING":
            continue  # somebody deleted it, or wants it back
        described = events.image_of(image.image_digest, tags_of(call, image), pushed_at)
        acted = {"image": described, "rule_priority": rule_priority}
        failure = _apply(call, repository, image, action)
        if failure is not None:
            failures.append(acted | failure)
        elif rule_priority is not None:
            actions.append(acted)
    text = policies.read(policy.lifecycle_policy_text)
    facts = events.policy_of(text, policy.policy_id, policy.policy_version, policy.last_evaluated_at)
    events.policy_executed(call, repository, facts, actions, failures)


def _apply(call: Call, repository: Repository, image: Image, action: str) -> dict[str, Any] | None:
    """Do it, or say why not: since the plan was made, an index may have been pushed that lists the image."""
    is_transition = action == "TRANSITION"
    listing = storage.indexes_in_use if is_transition else indexes_listing
    indexes = listing(call, repository, image.image_digest)
    if indexes:
        failure = referenced_by(indexes)
        return {"failure_code": failure.code, "failure_reason": failure.reason}
    if is_transition:
        storage.archive(call, repository, image)
    else:
        delete_image(call, repository, image)
    return None


@job(service.COMPLETE_PREVIEW, is_long=True)
def complete_preview(call: Call, job: Job) -> None:
    """What the policy would do now. Nothing is changed but the preview."""
    repository_id = int(job.key)
    with call.reading():
        preview = service.find_preview(call, repository_id)
        images = images_of(call.connection, repository_id) if preview else []
    decisions: list[Decision] | None = None
    if preview is not None:
        policy = policies.read(preview.lifecycle_policy_text)
        try:
            decisions = [each for each in plan(images, policy, call.now) if each.rule_priority is not None]
        except Exception:
            log.exception("a lifecycle policy could not be previewed")
    with call.writing():
        finish(call, job)
        repository = find_repository_by_id(call, repository_id)
        if repository is None or preview is None:
            return
        if decisions is None:
            service.set_preview_status(call, repository_id, "FAILED")
            return
        _keep_results(call, repository, preview, policy, decisions)
        ends = call.now + PREVIEW_LIFETIME
        enqueue(call, service.EXPIRE_PREVIEW, ends, registry_of_row(repository), job.key, job.payload)


def _keep_results(
    call: Call, repository: Repository, preview: service.Preview, policy: policies.Policy, decisions: list[Decision]
) -> None:
    # The oldest first, whatever the rule (inferred).
    decisions = sorted(decisions, key=lambda each: (each.image.image_pushed_at, each.image.id))
    rows = [_result(repository.id, position, each) for position, each in enumerate(decisions)]
    _INSERT_RESULT.many(call.connection, rows)
    service.set_preview_status(call, repository.id, "COMPLETE")
    stored = service.find_policy(call, repository.id)
    is_stored = stored is not None and stored.lifecycle_policy_text == preview.lifecycle_policy_text
    facts = events.policy_of(
        policy,
        stored.policy_id if stored and is_stored else preview.preview_id,
        stored.policy_version if stored and is_stored else 1,
        stored.last_evaluated_at if stored and is_stored else None,
    )
    images = [
        {
            "image": events.image_of(each.image.image_digest, each.image.image_tags, each.image.image_pushed_at),
            "rule_priority": each.rule_priority,
        }
        for each in decisions
    ]
    events.policy_previewed(call, repository, facts, images)


def _result(repository_id: int, position: int, decision: Decision) -> tuple[Any, ...]:
    image = decision.image
    return (
        repository_id,
        position,
        image.image_digest,
        orjson.dumps(image.image_tags).decode(),
        bool(image.image_tags),
        image.image_pushed_at,
        image.storage_class,
        decision.action,
        decision.rule_priority,
    )


@job(service.EXPIRE_PREVIEW)
def expire_preview(call: Call, job: Job) -> None:
    """The results are dropped; the preview itself stays to be asked for."""
    service.set_preview_status(call, int(job.key), "EXPIRED")
