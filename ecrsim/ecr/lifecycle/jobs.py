"""Jobs of lifecycle policies: the daily run, the preview's end, and the end of its results.

A run reads the images in one moment, plans, and writes the plan down; then it carries the plan out in batches, each in
a transaction of its own together with its events. Between two batches others write, and readers never wait. A run that
was interrupted goes on with what is left of its plan: planning again would act on what only the next run may.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import orjson
from sqlalchemy import bindparam, delete, insert, select, update

from ecrsim.core.durations import DAY, SECOND
from ecrsim.core.facts import record
from ecrsim.core.jobs import Job, enqueue, finish, is_pending, job
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import storage
from ecrsim.ecr.images.deletion import delete_image
from ecrsim.ecr.images.lookup import image_by_id, indexes_listing, tags_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.images.rules import referenced_by
from ecrsim.ecr.lifecycle import events, service
from ecrsim.ecr.lifecycle import policy as policies
from ecrsim.ecr.lifecycle.engine import LifecycleDecision, plan
from ecrsim.ecr.lifecycle.state import STORAGE_CLASSES, follows_subject, images_of
from ecrsim.ecr.lifecycle.tables import (
    lifecycle_actions,
    lifecycle_policies,
    lifecycle_preview_results,
    lifecycle_runs,
)
from ecrsim.ecr.repositories.service import find_repository_by_id
from ecrsim.ecr.repositories.tables import Repository

log = logging.getLogger("ecrsim.lifecycle")

#: Images per transaction: a few milliseconds, after which others have their turn.
BATCH = 50
#: Results per transaction: some milliseconds too. As many as fill their events.
PREVIEW_BATCH = 56 * events.IMAGES_PER_EVENT
#: How long the results of a preview are kept (inferred; ECR's own time is not known).
PREVIEW_LIFETIME = DAY
#: Seconds between two batches. Without a pause whoever waits to write would not be let in.
_PAUSE = 0.002

_INSERT_ACTION = Addition(
    lifecycle_actions, *(column.name for column in lifecycle_actions.columns), as_text=("image_tags",)
)
_INSERT_RESULT = Addition(
    lifecycle_preview_results,
    *(column.name for column in lifecycle_preview_results.columns),
    as_text=("image_tags",),
)
_ACTION = list(lifecycle_preview_results.columns.keys()).index("action")
_RUN = Query(
    select(lifecycle_runs.c.repository_id).where(lifecycle_runs.c.repository_id == bindparam("repository_id")), int
)
_EVALUATED = Change(
    update(lifecycle_policies)
    .where(lifecycle_policies.c.repository_id == bindparam("repository_id"))
    .values(last_evaluated_at=bindparam("planned_at"))
)


class PlannedAction(NamedTuple):
    """A row of the plan: one action on one image. `rule_priority` is None for an image that follows its subject."""

    position: int
    image_id: int
    image_pushed_at: int
    image_tags: list[str]
    storage_class: str | None
    action: str
    rule_priority: int | None


_ACTIONS = Query(
    select(*(lifecycle_actions.c[name] for name in PlannedAction._fields))
    .where(lifecycle_actions.c.repository_id == bindparam("repository_id"))
    .order_by(lifecycle_actions.c.position)
    .limit(BATCH),
    PlannedAction,
)


def _enqueue_next(call: Call, job: Job) -> None:
    """The run of the next day, at the hour of the first, however often this one was put off.

    After days without anybody who runs jobs, one run makes up for all that were missed.
    """
    interval = call.runtime.config.lifecycle_interval * SECOND
    next_at = job.due_at + (max(0, call.now - job.due_at) // interval + 1) * interval
    enqueue(call, job.kind, next_at, job.registry, job.key, job.payload)


def _give_up(call: Call, job: Job) -> None:
    """A run that fails for good is no reason not to try the next day."""
    if service.find_policy(call, int(job.key)) is not None:
        _enqueue_next(call, job)


@job(service.EVALUATE, is_long=True, given_up=_give_up)
def evaluate(call: Call, job: Job) -> None:
    """One run of a repository's policy, and the next one a day later."""
    stopping = call.runtime.stopping
    is_stopping = stopping.is_set()
    while not is_stopping:
        if not _is_planned(call, job):
            if not _plan(call, job):
                return
        elif _carry_out(call, job):
            return
        is_stopping = stopping.wait(_PAUSE)


def _is_planned(call: Call, job: Job) -> bool:
    with call.reading():
        return _RUN.first(call.connection, repository_id=int(job.key)) is not None


def _plan(call: Call, job: Job) -> bool:
    """Write down what is to be done, unless the policy was replaced meanwhile. False when the job is over.

    That is so when there is no policy (any more), and when nothing is to be done: most runs end here, in the one
    transaction that would begin them.
    """
    repository_id = int(job.key)
    with call.reading():
        stored = service.find_policy(call, repository_id)
        images = images_of(call.connection, repository_id) if stored else []
    decisions = plan(images, policies.read(stored.lifecycle_policy_text), call.now) if stored else []
    # Made before anybody has to wait for the transaction.
    rows = [
        (
            repository_id,
            position,
            each.image.id,
            each.image.image_pushed_at,
            orjson.dumps(sorted(each.image.image_tags)).decode(),
            each.image.storage_class,
            each.action,
            each.rule_priority,
        )
        for position, each in enumerate(decisions)
    ]
    with call.writing():
        current = service.find_policy(call, repository_id)
        if current is None or not is_pending(call, job):
            finish(call, job)  # the policy that was put anew has a job of its own
            return False
        # The text itself: a policy that was deleted and put anew begins with version 1 again.
        if stored is not None and current.lifecycle_policy_text == stored.lifecycle_policy_text:
            if not rows:
                _EVALUATED.run(call.connection, repository_id=repository_id, planned_at=call.now)
                finish(call, job)
                _enqueue_next(call, job)
                return False
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
        # Actions that were planned under an older version of the policy are dropped.
        if rows and run.policy_version == policy.policy_version:
            _act(call, repository, policy, rows)
            call.connection.execute(
                delete(lifecycle_actions).where(
                    lifecycle_actions.c.repository_id == repository_id,
                    lifecycle_actions.c.position <= rows[-1].position,
                )
            )
            return False
        if run.policy_version == policy.policy_version:
            _EVALUATED.run(call.connection, repository_id=repository_id, planned_at=run.planned_at)
        _end(call, job)
        _enqueue_next(call, job)
    return True


def _end(call: Call, job: Job) -> None:
    call.connection.execute(delete(lifecycle_runs).where(lifecycle_runs.c.repository_id == int(job.key)))
    finish(call, job)


def _act(call: Call, repository: Repository, policy: service.StoredPolicy, rows: list[PlannedAction]) -> None:
    actions, failures = [], []
    for _, image_id, pushed_at, planned_tags, storage_class, action, rule_priority in rows:
        image = image_by_id(call, image_id)
        if image is None or STORAGE_CLASSES.get(image.image_status) != storage_class:
            continue  # somebody deleted it, archived it or wants it back
        tags = tags_of(call, image)
        if sorted(tags) != planned_tags:
            continue
        if rule_priority is None and not follows_subject(call, repository, image, action):
            continue
        described = events.image_of(image.image_digest, tags, pushed_at)
        acted = {"image": described, "rule_priority": rule_priority}
        failure = _apply(call, repository, image, action)
        if failure is not None:
            failures.append(acted | failure)
        elif rule_priority is not None:
            actions.append(acted)
    text = policies.read(policy.lifecycle_policy_text)
    facts = events.policy_of(text, policy.policy_id, policy.policy_version, policy.last_evaluated_at)
    record(call, events.PolicyExecuted(repository, facts, actions, failures))


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


def _fail_preview(call: Call, job: Job) -> None:
    service.update_preview(call, int(job.key), status="FAILED")


@job(service.COMPLETE_PREVIEW, is_long=True, given_up=_fail_preview)
def complete_preview(call: Call, job: Job) -> None:
    """Compute what the policy would do now. Nothing is changed but the preview.

    All results are written before the first is in an event: until then an interrupted job begins anew, with none of
    them, and later it goes on with the events that are left. So each result is in one event.
    """
    repository_id = int(job.key)
    with call.reading():
        preview = service.find_preview(call, repository_id)
    if preview is not None and preview.policy is None:
        # Of an interrupted try, or of the preview before.
        if not _in_turns(call, job, lambda *_: service.drop_results(call, repository_id, PREVIEW_BATCH)):
            return
        rows = _results(call, preview)
        if rows is None:
            _in_turns(call, job, lambda *_: _end_preview(call, job, "FAILED"))
            return
        if not _in_turns(call, job, _keep_results(call, rows)):
            return
    _in_turns(call, job, lambda repository, preview: _report_results(call, job, repository, preview))


def _in_turns(call: Call, job: Job, step: Callable[[Repository, service.Preview], bool]) -> bool:
    """Take the step in one transaction after the other until it says False, as nothing is left to do.

    False when ecrsim stops first, or the repository is gone or has another preview, which has a job of its own.
    """
    while not call.runtime.stopping.wait(_PAUSE):
        with call.writing():
            repository = find_repository_by_id(call, int(job.key))
            preview = service.find_preview(call, int(job.key))
            if repository is None or preview is None or not is_pending(call, job):
                finish(call, job)
                return False
            if not step(repository, preview):
                return True
    return False


def _results(call: Call, preview: service.Preview) -> list[tuple[Any, ...]] | None:
    """Rows of `lifecycle_preview_results`, and nothing else of the images: their memory is free when these are written.

    None when there is no telling.
    """
    policy = policies.read(preview.lifecycle_policy_text)
    with call.reading():
        images = images_of(call.connection, preview.repository_id)
    try:
        decisions = [each for each in plan(images, policy, call.now) if each.rule_priority is not None]
    except Exception:
        log.exception("a lifecycle policy could not be previewed")
        return None
    # The oldest first, whatever the rule (inferred).
    decisions.sort(key=lambda each: (each.image.image_pushed_at, each.image.id))
    return [_result(preview.repository_id, position, each) for position, each in enumerate(decisions)]


def _keep_results(call: Call, rows: list[tuple[Any, ...]]) -> Callable[[Repository, service.Preview], bool]:
    actions = Counter(row[_ACTION] for row in rows)
    left = iter(rows)

    def step(repository: Repository, preview: service.Preview) -> bool:
        batch = list(islice(left, PREVIEW_BATCH))
        _INSERT_RESULT.many(call.connection, batch)
        if len(batch) == PREVIEW_BATCH:
            return True
        stored = service.find_policy(call, repository.id)
        is_stored = stored is not None and stored.lifecycle_policy_text == preview.lifecycle_policy_text
        facts = events.policy_of(
            policies.read(preview.lifecycle_policy_text),
            stored.policy_id if stored and is_stored else preview.preview_id,
            stored.policy_version if stored and is_stored else 1,
            stored.last_evaluated_at if stored and is_stored else None,
        )
        service.update_preview(
            call,
            repository.id,
            policy=facts,
            expiring_image_total_count=actions["EXPIRE"],
            transitioning_image_total_count=actions["TRANSITION"],
        )
        return False

    return step


def _report_results(call: Call, job: Job, repository: Repository, preview: service.Preview) -> bool:
    rows = service.page_of_results(call, repository.id, preview.last_reported, PREVIEW_BATCH)
    images = [
        {
            "image": events.image_of(row.image_digest, row.image_tags, row.image_pushed_at),
            "rule_priority": row.applied_rule_priority,
        }
        for row in rows
    ]
    record(call, events.PolicyPreviewed(repository, preview.policy or {}, images))
    if len(rows) == PREVIEW_BATCH:
        service.update_preview(call, repository.id, last_reported=rows[-1].position)
        return True
    ends = call.now + PREVIEW_LIFETIME
    enqueue(call, service.EXPIRE_PREVIEW, ends, repository.registry, job.key, job.payload)
    return _end_preview(call, job, "COMPLETE")


def _end_preview(call: Call, job: Job, status: str) -> bool:
    service.update_preview(call, int(job.key), status=status)
    finish(call, job)
    return False


def _result(repository_id: int, position: int, decision: LifecycleDecision) -> tuple[Any, ...]:
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


@job(service.EXPIRE_PREVIEW, is_long=True)
def expire_preview(call: Call, job: Job) -> None:
    """The results are dropped; the preview itself stays to be asked for."""

    def step(repository: Repository, preview: service.Preview) -> bool:
        # From the first on: what is left of them is no answer.
        service.update_preview(call, repository.id, status="EXPIRED")
        return service.drop_results(call, repository.id, PREVIEW_BATCH) or _end_preview(call, job, "EXPIRED")

    _in_turns(call, job, step)
