"""The story of one image, rule by rule, and the sentences that tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecrsim.ecr.lifecycle.engine import ExplanationStep, LifecycleImage, RuleOutcome, explain
from ecrsim.ecr.lifecycle.policy import Policy, read

DAY = 86_400_000
HOUR = 3_600_000
NOW = 20_000 * DAY
EXPIRE, TRANSITION = {"type": "expire"}, {"type": "transition", "targetStorageClass": "archive"}
KEEP = {"countType": "imageCountMoreThan"}
PUSHED = {"countType": "sinceImagePushed", "countUnit": "days"}
PULLED = {"countType": "sinceImagePulled", "countUnit": "days"}
ARCHIVED = {"countType": "sinceImageTransitioned", "countUnit": "days", "storageClass": "archive"}
ANY, UNTAGGED = {"tagStatus": "any"}, {"tagStatus": "untagged"}


def tagged(*patterns: str) -> dict[str, Any]:
    return {"tagStatus": "tagged", "tagPatternList": list(patterns)}


def policy(*rules: tuple[dict[str, Any], dict[str, Any], int, dict[str, Any]]) -> Policy:
    return read(json.dumps({"rules": [
        {"rulePriority": priority, "selection": {**tags, **count, "countNumber": number}, "action": action}
        for priority, (tags, count, number, action) in enumerate(rules, 1)
    ]}))  # fmt: skip


def image(
    name: str, *tags: str, age: int = 0, storage_class: str | None = "STANDARD", **members: Any
) -> LifecycleImage:
    return LifecycleImage(ord(name), name, tags, NOW - age, storage_class, **members)


def story(images: list[LifecycleImage], rules: Policy) -> list[ExplanationStep]:
    return explain(images, rules, NOW, images[0].image_digest)


ROWS: list[tuple[str, list[LifecycleImage], list[tuple[Any, ...]], list[tuple[RuleOutcome, str]]]] = [
    ("another storage class", [image("A", storage_class="ARCHIVE", last_archived_at=NOW - 90 * DAY)],
     [(ANY, KEEP, 1, EXPIRE), (ANY, ARCHIVED, 90, EXPIRE)],
     [(RuleOutcome.OTHER_STORAGE_CLASS, "Rule 1 does not look at it: it is for images that are not archived."),
      (RuleOutcome.TOO_YOUNG, "Rule 2 keeps it: archived 90 days ago, and it acts after more than 90 days.")]),
    ("not of the archive", [image("A")], [(ANY, ARCHIVED, 90, EXPIRE)],
     [(RuleOutcome.OTHER_STORAGE_CLASS, "Rule 1 does not look at it: it is for archived images.")]),
    ("archived, nobody knows when", [image("A", storage_class="ARCHIVE")], [(ANY, ARCHIVED, 90, EXPIRE)],
     [(RuleOutcome.TOO_YOUNG, "Rule 1 keeps it: archived at an unknown time, and it acts after more than 90 days.")]),
    ("no entry matches", [image("A", "dev-1", "git-2")], [(tagged("dev*", "prod*"), KEEP, 1, EXPIRE)],
     [(RuleOutcome.NOT_MATCHED, "Rule 1 does not match it: it asks for a tag like prod*, and it has dev-1, git-2.")]),
    ("no tag at all", [image("A")],
     [({"tagStatus": "tagged", "tagPrefixList": ["v"]}, KEEP, 1, EXPIRE)],
     [(RuleOutcome.NOT_MATCHED, "Rule 1 does not match it: it asks for a tag that begins with v, and it has no tag.")]),
    ("not untagged", [image("A", "v1")], [(UNTAGGED, KEEP, 1, EXPIRE)],
     [(RuleOutcome.NOT_MATCHED, "Rule 1 does not match it: it is for images without a tag, and it has v1.")]),
    ("among the newest", [image("B", age=DAY + HOUR), image("A", age=2 * DAY), image("C")], [(ANY, KEEP, 2, EXPIRE)],
     [(RuleOutcome.KEPT,
       "Rule 1 keeps it: it is number 2 of the newest 2, of 3 that match, pushed 1 day 1 hour ago.")]),
    ("beyond the newest", [image("A", age=3 * DAY), image("B"), image("C")], [(ANY, KEEP, 2, EXPIRE)],
     [(RuleOutcome.SELECTED,
       "Rule 1 expires it: it is number 3 from the newest, of 3 that match, pushed 3 days ago, and 2 stay.")]),
    ("too young", [image("A", age=14 * DAY)], [(ANY, PUSHED, 14, EXPIRE)],
     [(RuleOutcome.TOO_YOUNG, "Rule 1 keeps it: pushed 14 days ago, and it acts after more than 14 days.")]),
    ("old enough", [image("A", age=14 * DAY + 1)], [(ANY, PUSHED, 14, EXPIRE)],
     [(RuleOutcome.SELECTED, "Rule 1 expires it: pushed 14 days 1 millisecond ago, which is more than 14 days.")]),
    ("restored", [image("A", age=99 * DAY, last_activated_at=NOW - 2 * HOUR - 60_000)], [(ANY, PUSHED, 1, EXPIRE)],
     [(RuleOutcome.TOO_YOUNG, "Rule 1 keeps it: restored 2 hours 1 minute ago, and it acts after more than 1 day.")]),
    ("pulled", [image("A", age=99 * DAY, last_recorded_pull_time=NOW - 31 * DAY)], [(ANY, PULLED, 30, TRANSITION)],
     [(RuleOutcome.SELECTED, "Rule 1 archives it: pulled 31 days ago, which is more than 30 days.")]),
    ("never pulled", [image("A", age=31 * DAY)], [(ANY, PULLED, 30, TRANSITION)],
     [(RuleOutcome.SELECTED, "Rule 1 archives it: pushed 31 days ago, which is more than 30 days.")]),
    ("pushed in the future", [image("A", age=-DAY)], [(ANY, PUSHED, 1, EXPIRE)],
     [(RuleOutcome.TOO_YOUNG, "Rule 1 keeps it: pushed 0 milliseconds ago, and it acts after more than 1 day.")]),
    ("claimed, and the later rule would act", [image("A", "v1", age=9 * DAY)],
     [(tagged("v*"), KEEP, 5, EXPIRE), (ANY, PUSHED, 7, EXPIRE)],
     [(RuleOutcome.KEPT, "Rule 1 keeps it: it is number 1 of the newest 5, of 1 that match, pushed 9 days ago."),
      (RuleOutcome.CLAIMED, "Rule 2 would expire it, but rule 1 matches it and comes first.")]),
    ("claimed, and the later rule would not", [image("A", "v1", age=9 * DAY)],
     [(tagged("v*"), PUSHED, 7, TRANSITION), (ANY, KEEP, 7, EXPIRE)],
     [(RuleOutcome.SELECTED, "Rule 1 archives it: pushed 9 days ago, which is more than 7 days."),
      (RuleOutcome.CLAIMED, "Rule 2 leaves it to rule 1, which matches it and comes first.")]),
    ("claimed by the first that matches", [image("A", "v1", age=9 * DAY)],
     [(tagged("v*"), KEEP, 1, EXPIRE), (tagged("*1"), KEEP, 1, EXPIRE), (ANY, PUSHED, 7, TRANSITION)],
     [(RuleOutcome.KEPT, "Rule 1 keeps it: it is number 1 of the newest 1, of 1 that match, pushed 9 days ago."),
      (RuleOutcome.CLAIMED, "Rule 2 leaves it to rule 1, which matches it and comes first."),
      (RuleOutcome.CLAIMED, "Rule 3 would archive it, but rule 1 matches it and comes first.")]),
    ("listed by an index", [image("A", age=9 * DAY), image("I", "v1", references=("A",))],
     [(UNTAGGED, PUSHED, 7, EXPIRE)],
     [(RuleOutcome.PROTECTED_BY_INDEX, "Rule 1 would expire it, but the index I lists it.")]),
    ("listed by an archived index and by one that is not",
     [image("A", age=9 * DAY), image("I", references=("A",), storage_class="ARCHIVE"), image("J", references=("A",))],
     [(ANY, PUSHED, 7, TRANSITION)],
     [(RuleOutcome.PROTECTED_BY_INDEX, "Rule 1 would archive it, but the index J lists it.")]),
    ("its subject is there", [image("A", age=9 * DAY, subject="S"), image("S")], [(ANY, PUSHED, 7, EXPIRE)],
     [(RuleOutcome.PROTECTED_BY_SUBJECT, "Rule 1 would expire it, but it goes with its subject S, which is there.")]),
    ("its subject is gone", [image("A", subject="S")], [(tagged("v*"), KEEP, 1, EXPIRE)],
     [(RuleOutcome.NOT_MATCHED, "Rule 1 does not match it: it asks for a tag like v*, and it has no tag."),
      (RuleOutcome.FOLLOWS, "It expires with its subject S, which is gone.")]),
    ("its subject is archived", [image("A", subject="S"), image("S", storage_class="ARCHIVE")],
     [(ANY, PUSHED, 7, EXPIRE)],
     [(RuleOutcome.TOO_YOUNG, "Rule 1 keeps it: pushed 0 milliseconds ago, and it acts after more than 7 days."),
      (RuleOutcome.FOLLOWS, "It is archived with its subject S, which is archived.")]),
    ("a rule comes before its subject", [image("A", age=8 * DAY, subject="S")], [(ANY, PUSHED, 7, EXPIRE)],
     [(RuleOutcome.SELECTED, "Rule 1 expires it: pushed 8 days ago, which is more than 7 days.")]),
    ("being restored", [image("A", storage_class=None, subject="S")], [(ANY, PUSHED, 7, EXPIRE)],
     [(RuleOutcome.RESTORING, "No rule looks at it while it is being restored.")]),
]  # fmt: skip


@pytest.mark.parametrize(("images", "rules", "steps"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_story(images: list[LifecycleImage], rules: list[tuple[Any, ...]], steps: list[tuple[RuleOutcome, str]]):
    assert [(step.outcome, step.sentence()) for step in story(images, policy(*rules))] == steps


def test_every_outcome_is_told():
    assert {outcome for *_, steps in ROWS for outcome, _ in steps} == set(RuleOutcome)


def test_an_image_that_is_not_there_has_no_story():
    with pytest.raises(LookupError, match="sha256:none"):
        explain([image("A")], policy((ANY, KEEP, 1, EXPIRE)), NOW, "sha256:none")
