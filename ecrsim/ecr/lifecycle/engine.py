"""The decisions of a lifecycle run: the images of a repository, a policy and now in, decisions out. Pure.

The preview, the daily run and the simulator use the same `plan`. All rules look at the same state, that of the start
of the run, and claim in the order of their priority (documented). What surprises:

- A rule claims every image that its tags and storage class fit, though it acts on few of them: no later rule acts on
  what it leaves alone. It counts the images that earlier rules claimed, and those that nothing may touch, as present.
- What an index lists is not expired before the index is, and not archived before the index is archived. As the state
  of the start counts, that is a run later.
- What has a subject in the repository follows it: no rule acts on it, and it is expired when the subject is gone and
  archived when the subject is archived. No rule is needed for that (documented).
- For a restored image the time of its restoration stands in for the time of its push (documented).
- A day is 24 hours and "older than 14 days" is strict: exactly 14 days is not older (inferred).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from ecrsim.core.durations import DAY
from ecrsim.ecr.lifecycle.policy import LifecycleRule, Policy
from ecrsim.ecr.lifecycle.rule_outcomes import ExplanationStep, RuleOutcome

__all__ = [
    "ExplanationStep",
    "LifecycleDecision",
    "LifecycleImage",
    "RuleOutcome",
    "arrival",
    "explain",
    "last_use",
    "plan",
]


#: The time of what is not known to have happened: later than any.
_NEVER = 1 << 62
_CLASSES = {"standard": "STANDARD", "archive": "ARCHIVE"}


class LifecycleImage(NamedTuple):
    """The properties of an image that a policy looks at. Times in milliseconds since the epoch.

    `id` ascends in the order of the pushes and decides between images of the same time. `storage_class`: STANDARD,
    ARCHIVE, or None while the image is being restored, when no rule looks at it. `references`: the digests that an
    index lists.
    """

    id: int
    image_digest: str
    image_tags: tuple[str, ...]
    image_pushed_at: int
    storage_class: str | None
    image_size_in_bytes: int = 0
    last_recorded_pull_time: int | None = None
    last_archived_at: int | None = None
    last_activated_at: int | None = None
    subject: str | None = None
    references: tuple[str, ...] = ()


class LifecycleDecision(NamedTuple):
    """An action on an image, EXPIRE or TRANSITION. `rule_priority` is None where the image follows its subject."""

    image: LifecycleImage
    action: str
    rule_priority: int | None


class _Protection(NamedTuple):
    """Digests of the whole repository, at the start of the run.

    `listed` by any index; `listed_active` by one that is not archived: the two differ in what may be archived.
    """

    present: frozenset[str]
    archived: frozenset[str]
    listed: frozenset[str]
    listed_active: frozenset[str]

    def by_index(self, action: str) -> frozenset[str]:
        return self.listed if action == "expire" else self.listed_active


class _Shelf(NamedTuple):
    """The images of one storage class, oldest first; a rank is an image's place here.

    `times` are what `images` is ordered by. `tags` and `owners` run in parallel: each tag and the rank of its image.
    """

    images: list[LifecycleImage]
    times: list[int]
    tags: list[str]
    owners: list[int]


class _Verdict(NamedTuple):
    """The ranks that a rule matches and selects, other rules aside. Oldest first by the time that the rule counts.

    It claims what is `matching`, and acts on what is `selected`.
    """

    matching: Sequence[int]
    selected: Sequence[int]


def plan(images: Sequence[LifecycleImage], policy: Policy, now: int) -> list[LifecycleDecision]:
    """The decisions in the order of the rules, the oldest first in each; what follows its subject comes last.

    The cost is the number of images times that of rules and entries of their tag lists.
    """
    protection = _protection(images)
    shelves = _shelves(images, policy)
    claimed: dict[str, set[int]] = {name: set() for name in shelves}
    protected: dict[tuple[str, str], set[int]] = {}
    decisions: list[LifecycleDecision] = []
    for rule in policy.rules:
        shelf, earlier = shelves[rule.storage_class], claimed[rule.storage_class]
        kind = (rule.storage_class, rule.action)
        if kind not in protected:
            protected[kind] = _protected(shelf, protection, rule.action)
        spared, action, verdict = protected[kind], rule.action.upper(), _verdict(shelf, rule, now)
        decisions += [
            LifecycleDecision(shelf.images[rank], action, rule.rule_priority)
            for rank in verdict.selected
            if rank not in earlier and rank not in spared
        ]
        earlier.update(verdict.matching)
    marked = {decision.image.id for decision in decisions}
    followers = [each for each in _following(images, protection) if each.image.id not in marked]
    return decisions + sorted(followers, key=lambda decision: (arrival(decision.image), decision.image.id))


def _protection(images: Sequence[LifecycleImage]) -> _Protection:
    indexes = [image for image in images if image.references]
    active = [image.references for image in indexes if image.storage_class != "ARCHIVE"]
    return _Protection(
        present=frozenset([image.image_digest for image in images]),
        archived=frozenset([image.image_digest for image in images if image.storage_class == "ARCHIVE"]),
        listed=frozenset().union(*[image.references for image in indexes]),
        listed_active=frozenset().union(*active),
    )


def _shelves(images: Sequence[LifecycleImage], policy: Policy) -> dict[str, _Shelf]:
    """Those that the policy has rules for."""
    return {name: _shelf(images, name) for name in dict.fromkeys(rule.storage_class for rule in policy.rules)}


def _shelf(images: Sequence[LifecycleImage], storage_class: str) -> _Shelf:
    wanted = _CLASSES[storage_class]
    time = _archival if storage_class == "archive" else arrival
    # Two sorts, as the second keeps the order of the first: faster than one with pairs as keys.
    ordered = sorted([image for image in images if image.storage_class == wanted], key=attrgetter("id"))
    ordered.sort(key=time)
    return _Shelf(
        images=ordered,
        times=[time(image) for image in ordered],
        tags=[tag for image in ordered for tag in image.image_tags],
        owners=[rank for rank, image in enumerate(ordered) for _ in image.image_tags],
    )


def arrival(image: LifecycleImage) -> int:
    """When it was pushed, or restored if that was later."""
    activated = image.last_activated_at
    return image.image_pushed_at if activated is None else max(activated, image.image_pushed_at)


def _archival(image: LifecycleImage) -> int:
    """When it was archived. Nothing acts on an image of which that is not known."""
    return _NEVER if image.last_archived_at is None else image.last_archived_at


def last_use(image: LifecycleImage) -> int:
    """When it was pulled, or restored if that was later; the arrival of one that was never pulled."""
    pulled, activated = image.last_recorded_pull_time, image.last_activated_at
    if pulled is None:
        return arrival(image)
    return pulled if activated is None else max(pulled, activated)


def _verdict(shelf: _Shelf, rule: LifecycleRule, now: int) -> _Verdict:
    matching = _matching(shelf, rule)
    if rule.count_type == "imageCountMoreThan":
        return _Verdict(matching, matching[: max(0, len(matching) - rule.count_number)])
    limit = now - rule.count_number * DAY
    if rule.count_type != "sinceImagePulled":
        older = bisect_left(shelf.times, limit)
        return _Verdict(matching, matching[: bisect_left(matching, older)])
    uses = [(last_use(shelf.images[rank]), shelf.images[rank].id, rank) for rank in matching]
    return _Verdict(matching, [rank for _, _, rank in sorted(use for use in uses if use[0] < limit)])


def _matching(shelf: _Shelf, rule: LifecycleRule) -> Sequence[int]:
    """The ranks of what the rule claims, ascending."""
    everything = range(len(shelf.images))
    if rule.tag_status == "any":
        return everything
    if rule.tag_status == "untagged":
        return [rank for rank in everything if not shelf.images[rank].image_tags]
    entries = [_entry_owners(shelf, rule, entry) for entry in _entries(rule)]
    return sorted(set.intersection(*entries))


def _entries(rule: LifecycleRule) -> tuple[str, ...]:
    return rule.tag_pattern_list or rule.tag_prefix_list


def _entry_owners(shelf: _Shelf, rule: LifecycleRule, entry: str) -> set[int]:
    """The ranks of the images with a tag that the entry matches."""
    pairs = zip(shelf.tags, shelf.owners, strict=True)
    prefix = _prefix(rule, entry)
    # A comprehension with the test in it: a call for every tag would take twice the time.
    if prefix is not None:
        return {rank for tag, rank in pairs if tag.startswith(prefix)}
    fits = _compiled(entry)
    return {rank for tag, rank in pairs if fits(tag)}


def _prefix(rule: LifecycleRule, entry: str) -> str | None:
    """The prefix of an entry that asks for a prefix alone; None for any other."""
    if rule.tag_prefix_list:
        return entry
    return entry[:-1] if entry.find("*") == len(entry) - 1 else None


def _compiled(pattern: str) -> Callable[[str], object]:
    """Anchored at both ends; `*` is any run.

    A part that was found is not looked for again further right: the leftmost place is as good as any, and without that
    a tag of 300 times the same letter would be a trap.
    """
    first, *rest = (re.escape(part) for part in pattern.split("*"))
    if not rest:
        return pattern.__eq__
    last = rest.pop()
    middle = "".join(f"(?>.*?{part})" for part in rest)
    return re.compile(f"{first}{middle}.*{last}", re.DOTALL).fullmatch


def _protected(shelf: _Shelf, protection: _Protection, action: str) -> set[int]:
    """The ranks of what no rule with that action may touch."""
    present, listed = protection.present, protection.by_index(action)
    return {
        rank
        for rank, image in enumerate(shelf.images)
        if image.image_digest in listed or (image.subject is not None and image.subject in present)
    }


def _following(images: Sequence[LifecycleImage], protection: _Protection) -> Iterator[LifecycleDecision]:
    """Decisions on images whose subject is gone or archived; none on those being restored or listed by an index."""
    for image in images:
        if image.subject is None or image.storage_class is None:
            continue
        if image.subject not in protection.present:
            action = "expire"
        elif image.subject in protection.archived and image.storage_class == "STANDARD":
            action = "transition"
        else:
            continue
        if image.image_digest not in protection.by_index(action):
            yield LifecycleDecision(image, action.upper(), None)


def explain(images: Sequence[LifecycleImage], policy: Policy, now: int, image_digest: str) -> list[ExplanationStep]:
    """Why a run does what it does to one image: a step for each rule, in their order, and one for what no rule decides.

    LookupError when no image has the digest.
    """
    image = next((image for image in images if image.image_digest == image_digest), None)
    if image is None:
        raise LookupError(f"there is no image {image_digest}")
    if image.storage_class is None:
        return [ExplanationStep(None, RuleOutcome.RESTORING)]
    protection = _protection(images)
    shelves = _shelves(images, policy)
    steps: list[ExplanationStep] = []
    claimed_by: int | None = None
    for rule in policy.rules:
        if _CLASSES[rule.storage_class] != image.storage_class:
            steps.append(ExplanationStep(rule, RuleOutcome.OTHER_STORAGE_CLASS))
            continue
        shelf = shelves[rule.storage_class]
        step = _step(shelf, rule, now, shelf.images.index(image))
        if step.outcome is RuleOutcome.NOT_MATCHED:
            steps.append(step)
        elif claimed_by is not None:
            action = rule.action if step.outcome is RuleOutcome.SELECTED else None
            steps.append(step._replace(outcome=RuleOutcome.CLAIMED, claimed_by=claimed_by, action=action))
        else:
            claimed_by = rule.rule_priority
            steps.append(_spared(step, image, images, protection))
    if not any(step.outcome is RuleOutcome.SELECTED for step in steps):
        steps += [
            ExplanationStep(None, RuleOutcome.FOLLOWS, action=follows.action.lower(), image_digest=image.subject)
            for follows in _following([image], protection)
        ]
    return steps


def _step(shelf: _Shelf, rule: LifecycleRule, now: int, rank: int) -> ExplanationStep:
    """The outcome of the rule for the image, other rules aside: NOT_MATCHED, KEPT, TOO_YOUNG or SELECTED."""
    image = shelf.images[rank]
    verdict = _verdict(shelf, rule, now)
    if rank not in verdict.matching:
        missing = [entry for entry in _entries(rule) if rank not in _entry_owners(shelf, rule, entry)]
        return ExplanationStep(
            rule, RuleOutcome.NOT_MATCHED, entry=next(iter(missing), None), image_tags=image.image_tags
        )
    selected = rank in verdict.selected
    time = last_use(image) if rule.count_type == "sinceImagePulled" else shelf.times[rank]
    step = ExplanationStep(
        rule,
        RuleOutcome.SELECTED if selected else RuleOutcome.TOO_YOUNG,
        action=rule.action if selected else None,
        since=_since(image, rule, time),
        age=None if time == _NEVER else now - time,
    )
    if rule.count_type != "imageCountMoreThan":
        return step
    total = len(verdict.matching)
    return step._replace(
        outcome=RuleOutcome.SELECTED if selected else RuleOutcome.KEPT,
        position=total - bisect_left(verdict.matching, rank),
        total=total,
    )


def _since(image: LifecycleImage, rule: LifecycleRule, time: int) -> str:
    """The name of the event that the rule counts from: pushed, restored, pulled or archived."""
    if rule.storage_class == "archive":
        return "archived"
    if rule.count_type == "sinceImagePulled" and time == image.last_recorded_pull_time:
        return "pulled"
    return "restored" if time == image.last_activated_at else "pushed"


def _spared(
    step: ExplanationStep, image: LifecycleImage, images: Sequence[LifecycleImage], protection: _Protection
) -> ExplanationStep:
    """The step, or what keeps its rule from acting."""
    if step.outcome is not RuleOutcome.SELECTED or step.action is None:
        return step
    if image.image_digest in protection.by_index(step.action):
        lists = (
            each.image_digest
            for each in images
            if image.image_digest in each.references and (step.action == "expire" or each.storage_class != "ARCHIVE")
        )
        return step._replace(outcome=RuleOutcome.PROTECTED_BY_INDEX, image_digest=next(lists))
    if image.subject is not None and image.subject in protection.present:
        return step._replace(outcome=RuleOutcome.PROTECTED_BY_SUBJECT, image_digest=image.subject)
    return step
