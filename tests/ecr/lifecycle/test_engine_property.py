"""The engine and a second reading of the guide agree on 10,000 random repositories and policies."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ecrsim.ecr.lifecycle.engine import LifecycleDecision, LifecycleImage, RuleOutcome, explain, plan
from ecrsim.ecr.lifecycle.policy import Policy, read
from tests.ecr.lifecycle import second_reading

CASES = 10_000
SEED = 20_251_119
DAY = 86_400_000
NOW = 20_000 * DAY
GONE = ("sha256:gone-1", "sha256:gone-2")
TAGS = (
    "prod-3",
    "beta-3",
    "v1.2",
    "v2.1",
    "node",
    "rare",
    "prod",
    "prod-1",
    "prod-2",
    "beta-1",
    "beta-2",
    "prod-beta",
    "dev",
    "v1.0",
    "v1.1",
    "v2.0",
    "release",
    "a.b",
)
PATTERNS = (
    "prod*",
    "*prod*",
    "prod",
    "beta*",
    "*-1",
    "v*",
    "v1*",
    "*",
    "*e*",
    "*a*b*",
    "p*o*d*1",
    "d*v",
    "a.b",
    "r**e",
)
PREFIXES = ("prod", "prod-", "beta", "v", "v1", "v1.", "d", "release", "a.")
EVENTS = ("EXPIRE", "TRANSITION", "EXPIRE with its subject", "TRANSITION with its subject")


def moments(rng: random.Random, span: int) -> int:
    """Half days of the past, so that images share their times and stand on the edge of a rule; some beside it."""
    return NOW - rng.randrange(2 * span) * DAY // 2 + rng.choice((0, 0, 0, 0, -1, 1))


def random_images(rng: random.Random) -> list[LifecycleImage]:
    size = rng.randrange(1, 26)
    digests = rng.sample([f"sha256:{number:02d}" for number in range(size)], size)  # in another order than the pushes
    tags = rng.sample(TAGS, len(TAGS))
    pushed = sorted(moments(rng, 20) for _ in range(size))
    if rng.random() < 0.3:  # a manifest that was pushed again keeps its place and has a new time
        rng.shuffle(pushed)
    images = [random_image(rng, number, digests, tags, pushed[number]) for number in range(size)]
    rng.shuffle(images)
    return images


def random_image(
    rng: random.Random, number: int, digests: list[str], tags: list[str], pushed_at: int
) -> LifecycleImage:
    earlier = digests[:number]
    storage_class = rng.choices(("STANDARD", "ARCHIVE", None), (70, 23, 7))[0]
    own = [tags.pop() for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))) if tags]
    known = storage_class == "ARCHIVE" and rng.random() < 0.9
    return LifecycleImage(
        id=number,
        image_digest=digests[number],
        image_tags=tuple(sorted(own)),
        image_pushed_at=pushed_at,
        storage_class=storage_class,
        last_recorded_pull_time=moments(rng, 20) if rng.random() < 0.5 else None,
        last_archived_at=moments(rng, 110) if known else None,
        last_activated_at=moments(rng, 20) if rng.random() < 0.2 else None,
        subject=rng.choice([*earlier, *GONE]) if rng.random() < 0.2 else None,
        references=tuple(rng.sample(earlier, min(len(earlier), rng.randrange(1, 4)))) if rng.random() < 0.1 else (),
    )


def random_policy(rng: random.Random) -> str:
    """A policy that ECR takes: in each storage class tag rules, perhaps one of untagged, perhaps a last one of any."""
    selections: list[dict[str, Any]] = []
    for storage_class in rng.choice((("standard",), ("archive",), ("standard", "archive"), ("standard", "archive"))):
        chosen = [{"tagStatus": "tagged", **tag_list} for tag_list in tag_lists(rng)]
        if rng.random() < 0.5:
            chosen.append({"tagStatus": "untagged"})
        rng.shuffle(chosen)
        if rng.random() < 0.6 or not chosen:
            chosen.append({"tagStatus": "any"})
        selections += [{**each, "storageClass": storage_class} for each in chosen]
    if rng.random() < 0.5:  # the rules of the two classes between each other, each class in its order
        order = sorted(range(len(selections)), key=lambda _: rng.random())
        classes = [selections[place]["storageClass"] for place in order]
        queues = {name: iter([each for each in selections if each["storageClass"] == name]) for name in set(classes)}
        selections = [next(queues[name]) for name in classes]
    priorities = sorted(rng.sample(range(1, 60), len(selections)))
    rules = [random_rule(rng, *each) for each in zip(priorities, selections, strict=True)]
    rng.shuffle(rules)
    return json.dumps({"rules": rules})


def tag_lists(rng: random.Random) -> Iterator[dict[str, list[str]]]:
    seen = set()
    for _ in range(rng.randrange(4)):
        member, entries = rng.choice((("tagPatternList", PATTERNS), ("tagPrefixList", PREFIXES)))
        chosen = rng.sample(entries, rng.choice((1, 1, 1, 2)))
        if (key := (member, *sorted(chosen))) not in seen:
            seen.add(key)
            yield {member: chosen}


def random_rule(rng: random.Random, priority: int, selection: dict[str, Any]) -> dict[str, Any]:
    transition = {"type": "transition", "targetStorageClass": "archive"}
    if selection["storageClass"] == "archive":
        count = {"countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": rng.choice((90, 91, 100))}
        action = {"type": "expire"}
    else:
        if rng.random() < 0.5:
            del selection["storageClass"]  # it is the default
        kind = rng.choice(("imageCountMoreThan", "imageCountMoreThan", "sinceImagePushed", "sinceImagePulled"))
        action = transition if kind == "sinceImagePulled" else rng.choice(({"type": "expire"}, transition))
        days = {"countUnit": "days", "countNumber": rng.randrange(1, 15)}
        count = {"countType": kind, **({"countNumber": rng.randrange(1, 4)} if "Count" in kind else days)}
    return {"rulePriority": priority, "selection": {**selection, **count}, "action": action}


def disagreement(images: list[LifecycleImage], policy: Policy) -> str | None:
    """What the two readings say differently; of the explanations too."""
    mine = [
        second_reading.Fate(decision.image.image_digest, decision.action, decision.rule_priority)
        for decision in plan(images, policy, NOW)
    ]
    theirs = second_reading.fates(images, policy, NOW)
    if mine != theirs:
        return f"plan: {mine}\nsecond reading: {theirs}"
    for fate in theirs[:1]:
        steps = [step for step in explain(images, policy, NOW, fate.image_digest) if acts(step.outcome)]
        told = [(step.action, step.rule and step.rule.rule_priority) for step in steps]
        if told != [(fate.action.lower(), fate.rule_priority)]:
            return f"explained: {told}\nsecond reading: {fate}"
    acting = {fate.image_digest for fate in theirs}
    for image in [image for image in images if image.image_digest not in acting][:1]:
        if any(acts(step.outcome) for step in explain(images, policy, NOW, image.image_digest)):
            return f"explained that {image.image_digest} goes; it stays"
    return None


def acts(outcome: RuleOutcome) -> bool:
    return outcome in (RuleOutcome.SELECTED, RuleOutcome.FOLLOWS)


def smallest(images: list[LifecycleImage], policy: Policy) -> list[LifecycleImage]:
    """The case without the images that have no part in it."""
    for image in images:
        rest = [other for other in images if other is not image]
        if disagreement(rest, policy):
            return smallest(rest, policy)
    return images


def events(decisions: list[LifecycleDecision]) -> set[str]:
    return {decision.action + (" with its subject" if decision.rule_priority is None else "") for decision in decisions}


@pytest.mark.slow
def test_the_engine_agrees_with_a_second_reading_of_the_guide():
    rng = random.Random(SEED)  # noqa: S311 (the same cases each time)
    seen: Counter[str] = Counter()
    for number in range(CASES):
        images, text = random_images(rng), random_policy(rng)
        policy = read(text)
        if disagreement(images, policy):
            least = smallest(images, policy)
            rows = "\n".join(str(image) for image in least)
            pytest.fail(f"case {number} of seed {SEED}, now {NOW}\n{text}\n{rows}\n{disagreement(least, policy)}")
        decisions = plan(images, policy, NOW)
        seen.update(events(decisions))
        steps = explain(images, policy, NOW, images[0].image_digest)
        seen.update({step.outcome.name for step in steps})
        seen["everything stays"] += not decisions
    # Were the cases dull, the agreement would prove nothing.
    assert [event for event in EVENTS if seen[event] < CASES // 10] == []
    rare = {
        RuleOutcome.RESTORING,
        RuleOutcome.PROTECTED_BY_INDEX,
        RuleOutcome.PROTECTED_BY_SUBJECT,
        RuleOutcome.FOLLOWS,
    }
    assert [each.name for each in RuleOutcome if seen[each.name] < CASES // (100 if each in rare else 20)] == []
    assert CASES // 20 < seen["everything stays"] < CASES // 2
