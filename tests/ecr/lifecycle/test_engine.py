"""What a run decides: the worked examples of the guide, indexes and referrers, the archive, and the edges of a day."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from ecrsim.ecr.lifecycle.engine import LifecycleDecision, LifecycleImage, plan
from ecrsim.ecr.lifecycle.policy import Policy, read

DAY = 86_400_000
NOW = 20_000 * DAY
KEEP, PUSHED, PULLED, ARCHIVED = (
    "imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned",
)  # fmt: skip
EXPIRE, TRANSITION = {"type": "expire"}, {"type": "transition", "targetStorageClass": "archive"}


def image(name: str, *tags: str, age: float = 0, number: int | None = None, **members: Any) -> LifecycleImage:
    """Pushed `age` days ago. Times among the members are in days ago, too."""
    times = ("last_recorded_pull_time", "last_archived_at", "last_activated_at")
    for member in times:
        if member in members:
            members[member] = ago(members[member])
    members.setdefault("storage_class", "STANDARD")
    return LifecycleImage(ord(name[0]) if number is None else number, name, tags, ago(age), **members)


def ago(days: float) -> int:
    return NOW - round(days * DAY)


def rule(count_type: str, number: int, entries: str = "any", **members: Any) -> dict[str, Any]:
    """`entries`: any, untagged, or the patterns of a tagged rule."""
    tags: dict[str, Any] = {"tagStatus": entries}
    if entries not in ("any", "untagged"):
        tags = {"tagStatus": "tagged", "tagPatternList": entries.split()}
    unit = {} if count_type == KEEP else {"countUnit": "days"}
    storage = {"storageClass": "archive"} if count_type == ARCHIVED else {}
    action = members.pop("action", TRANSITION if count_type == PULLED else EXPIRE)
    return {
        "selection": {**tags, **unit, **storage, "countType": count_type, "countNumber": number},
        "action": action,
        **members,
    }


def policy(*rules: dict[str, Any]) -> Policy:
    """Of priorities 1, 2, …"""
    return read(json.dumps({"rules": [{"rulePriority": number, **each} for number, each in enumerate(rules, 1)]}))


def run(images: list[LifecycleImage], *rules: dict[str, Any], now: int = NOW) -> str:
    """The decisions in short: `A:1` is expired by rule 1, `B>2` archived by rule 2, and `C:-` follows its subject."""
    return " ".join(short(decision) for decision in plan(images, policy(*rules), now))


def short(decision: LifecycleDecision) -> str:
    sign = {"EXPIRE": ":", "TRANSITION": ">"}[decision.action]
    return f"{decision.image.image_digest}{sign}{decision.rule_priority or '-'}"


# --- The worked examples of the guide ---------------------------------------------------------------------------------

THREE = [
    image("A", "beta-1", "prod-1", age=10), image("B", "beta-2", "prod-2", age=9), image("C", "beta-3", age=8),
]  # fmt: skip
EXAMPLES = [
    ("1: seen by the first rule", THREE, [rule(KEEP, 1, "prod*"), rule(KEEP, 1, "beta*")], "A:1"),
    ("2: the same the other way round", THREE, [rule(KEEP, 1, "beta*"), rule(KEEP, 1, "prod*")], "A:1 B:1"),
    ("3: all entries must match", [
        image("A", "alpha-1", age=12), image("B", "beta-1", age=11), image("C", "alpha-2", "beta-2", age=10),
        image("D", "alpha-3", age=4), image("E", "beta-3", age=3), image("F", "alpha-4", "beta-4", age=2),
    ], [rule(PUSHED, 5, "alpha* beta*")], "C:1"),
    ("4: more tags than asked for", [
        image("A", "alpha-1", "beta-1", "gamma-1", age=10), image("B", "alpha-2", "beta-2", age=9),
        image("C", "alpha-3", "beta-3", "gamma-2", age=8),
    ], [rule(KEEP, 1, "alpha* beta*")], "A:1 B:1"),
    ("5: any", [
        image("A", "alpha-1", age=4), image("B", "beta-1", age=3), image("C", age=2), image("D", "alpha-2", age=1),
    ], [rule(KEEP, 1)], "A:1 B:1 C:1"),
    ("6: tagged, untagged, any", [
        image("A", "alpha-1", "beta-1", age=4), image("B", age=3), image("C", "alpha-2", age=2),
        image("D", "git-hash", age=1), image("E", age=1),
    ], [rule(KEEP, 1, "alpha*"), rule(PUSHED, 1, "untagged"), rule(KEEP, 1)], "A:1 B:2 D:3"),
]  # fmt: skip


def with_prefixes(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with a tagPrefixList: `prod*` is the prefix `prod`."""
    changed = json.loads(json.dumps(rules))
    for each in changed:
        if "tagPatternList" in each["selection"]:
            patterns = each["selection"].pop("tagPatternList")
            each["selection"]["tagPrefixList"] = [pattern.removesuffix("*") for pattern in patterns]
    return changed


@pytest.mark.parametrize("prefixes", [False, True], ids=["patterns", "prefixes"])
@pytest.mark.parametrize(("images", "rules", "result"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_the_worked_examples(images: list[LifecycleImage], rules: list[dict[str, Any]], result: str, prefixes: bool):
    assert run(images, *(with_prefixes(rules) if prefixes else rules)) == result
    assert run(images[::-1], *rules) == result, "the order in which images are given is no matter"


# --- Tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("prod", ["prod"], ["prod-1", "my-prod", "Prod"]),
        ("prod*", ["prod", "prod-1"], ["my-prod", "PROD-1"]),
        ("*prod", ["prod", "my-prod"], ["prod-1"]),
        ("*prod*", ["prod", "my-prod-1"], ["pro"]),
        ("*", ["a", ".", "-"], []),
        ("a*b", ["ab", "a-b", "abb"], ["a", "b", "aba"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*a*b*", ["ab", "xaybz"], ["ba"]),
        ("a*b*c*d*e", ["abcde", "a1b2c3d4e", "abbcde"], ["abcd", "aedcbe"]),
        ("1.2*", ["1.2", "1.2.3"], ["1x2"]),
        ("v[1]*", ["v[1]", "v[1].0"], ["v1"]),
        ("a+", ["a+"], ["aa"]),
        ("**", ["a"], []),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]):
    images = [image(tag, tag, age=number + 1, number=number) for number, tag in enumerate([*matching, *others])]
    gone = {decision.image.image_digest for decision in plan(images, policy(rule(PUSHED, 1, pattern)), NOW + 1)}
    assert gone == set(matching)


@pytest.mark.parametrize("pattern", ["*a*a*a*b", "a*a*a*a*b", "*aa*aa*aa*x"])
def test_a_pattern_is_no_trap(pattern: str):
    images = [image("A", "a" * 300, age=2)]
    began = time.process_time()
    assert run(images, rule(PUSHED, 1, pattern)) == ""
    assert time.process_time() - began < 0.5


def test_a_star_in_a_prefix_is_a_letter():
    images = [image("A", "a-1", age=9)]
    prefixes = {**rule(PUSHED, 1), "selection": {**rule(PUSHED, 1)["selection"], "tagStatus": "tagged"}}
    prefixes["selection"]["tagPrefixList"] = ["a*"]
    assert run(images, prefixes) == ""
    prefixes["selection"]["tagPrefixList"] = ["a-"]
    assert run(images, prefixes) == "A:1"


# --- Counts and ages --------------------------------------------------------------------------------------------------

MS = 1 / DAY
AGES = [
    ("pushed exactly so many days ago", image("A", age=14), rule(PUSHED, 14), ""),
    ("pushed a millisecond before that", image("A", age=14 + MS), rule(PUSHED, 14), "A:1"),
    ("pushed in the future", image("A", age=-3), rule(PUSHED, 1), ""),
    ("pushed and archived by age", image("A", age=15), rule(PUSHED, 14, action=TRANSITION), "A>1"),
    ("never pulled counts from the push", image("A", age=31), rule(PULLED, 30), "A>1"),
    ("never pulled, exactly", image("A", age=30), rule(PULLED, 30), ""),
    ("pulled lately", image("A", age=90, last_recorded_pull_time=3), rule(PULLED, 30), ""),
    ("pulled exactly so many days ago", image("A", age=90, last_recorded_pull_time=30), rule(PULLED, 30), ""),
    ("pulled a millisecond before that", image("A", age=90, last_recorded_pull_time=30 + MS), rule(PULLED, 30), "A>1"),
    ("a pull does not make the push younger", image("A", age=90, last_recorded_pull_time=1), rule(PUSHED, 30), "A:1"),
    ("restored counts as pushed", image("A", age=200, last_archived_at=100, last_activated_at=3), rule(PUSHED, 14), ""),
    ("restored long ago", image("A", age=200, last_archived_at=100, last_activated_at=15), rule(PUSHED, 14), "A:1"),
    ("restored, then pushed again", image("A", age=3, last_activated_at=30), rule(PUSHED, 14), ""),
    ("restored and not pulled since", image("A", age=200, last_recorded_pull_time=150, last_activated_at=10),
     rule(PULLED, 30), ""),
    ("restored and never pulled", image("A", age=200, last_activated_at=31), rule(PULLED, 30), "A>1"),
    ("restored and pulled since", image("A", age=200, last_recorded_pull_time=31, last_activated_at=60),
     rule(PULLED, 30), "A>1"),
    ("archived exactly 90 days", image("A", age=300, storage_class="ARCHIVE", last_archived_at=90),
     rule(ARCHIVED, 90), ""),
    ("archived a millisecond longer", image("A", age=300, storage_class="ARCHIVE", last_archived_at=90 + MS),
     rule(ARCHIVED, 90), "A:1"),
    ("archived, nobody knows when", image("A", age=300, storage_class="ARCHIVE"), rule(ARCHIVED, 90), ""),
    ("no standard rule for what is archived", image("A", age=300, storage_class="ARCHIVE", last_archived_at=1),
     rule(PUSHED, 1), ""),
    ("no archive rule for what is not", image("A", age=300, last_archived_at=200), rule(ARCHIVED, 90), ""),
    ("nothing for what is being restored", image("A", age=300, storage_class=None, last_archived_at=200),
     rule(PUSHED, 1), ""),
]  # fmt: skip


@pytest.mark.parametrize(("one", "by", "result"), [row[1:] for row in AGES], ids=[row[0] for row in AGES])
def test_ages(one: LifecycleImage, by: dict[str, Any], result: str):
    assert run([one], by) == result


def test_what_is_being_restored_is_not_counted():
    images = [image("A", age=3), image("B", age=2, storage_class=None), image("C", age=1, storage_class="ARCHIVE")]
    assert run(images, rule(KEEP, 1)) == ""


def test_restored_images_rank_by_their_restoration():
    images = [image("A", age=200, last_activated_at=1), image("B", age=3), image("C", age=2)]
    assert run(images, rule(KEEP, 2)) == "B:1"


def test_images_of_one_time_rank_by_the_order_of_their_pushes():
    images = [image(name, age=2, number=number) for name, number in (("C", 3), ("A", 4), ("B", 1), ("D", 2))]
    assert run(images, rule(KEEP, 2)) == "B:1 D:1"
    assert run(images, rule(PULLED, 1)) == "B>1 D>1 C>1 A>1"


@pytest.mark.parametrize(("number", "result"), [(1, "A:1 B:1"), (2, "A:1"), (3, ""), (4, "")])
def test_how_many_are_kept(number: int, result: str):
    assert run([image("A", age=3), image("B", age=2), image("C", age=1)], rule(KEEP, number)) == result


def test_decisions_come_by_rule_and_the_oldest_first():
    images = [
        image("A", "x", age=9), image("B", age=8), image("C", age=30, storage_class="ARCHIVE", last_archived_at=95),
        image("D", age=20), image("E", age=40, storage_class="ARCHIVE", last_archived_at=99),
        image("F", "x", age=11), image("G", age=50, subject="gone"),
    ]  # fmt: skip
    rules = [rule(PUSHED, 7, "x"), rule(ARCHIVED, 90), rule(PUSHED, 7, "untagged", action=TRANSITION)]
    assert run(images[:6], *rules) == "F:1 A:1 E:2 C:2 D>3 B>3"
    assert run([*images[:6], images[6]._replace(image_pushed_at=NOW)], *rules) == "F:1 A:1 E:2 C:2 D>3 B>3 G:-"


def test_the_pull_rule_lists_by_use():
    images = [image("A", age=90, last_recorded_pull_time=40), image("B", age=80), image("C", age=70),
              image("D", age=99, last_recorded_pull_time=70)]  # fmt: skip
    assert run(images, rule(PULLED, 30)) == "B>1 C>1 D>1 A>1"


# --- Claims -----------------------------------------------------------------------------------------------------------


def test_a_rule_counts_what_an_earlier_rule_took():
    """Keep three of any: A is taken by the first rule and still one of the four."""
    images = [image("A", age=4), image("B", "x", age=3), image("C", "x", age=2), image("D", "x", age=1)]
    assert run(images, rule(PUSHED, 1, "untagged"), rule(KEEP, 3)) == "A:1"
    assert run(images, rule(PUSHED, 1, "untagged"), rule(KEEP, 2)) == "A:1 B:2"


def test_a_rule_shields_what_it_leaves_alone():
    images = [image("A", "keep", age=99), image("B", "b", age=98)]
    assert run(images, rule(KEEP, 9, "keep"), rule(PUSHED, 1)) == "B:2"


def test_rules_of_one_class_claim_nothing_of_the_other():
    images = [image("A", "x", age=300, storage_class="ARCHIVE", last_archived_at=91), image("B", "x", age=300)]
    assert run(images, rule(KEEP, 9), rule(ARCHIVED, 90)) == "A:2"
    assert run(images, rule(ARCHIVED, 90), rule(KEEP, 1)) == "A:1"
    assert run(images, rule(ARCHIVED, 90, "x"), rule(PUSHED, 30), rule(ARCHIVED, 100)) == "A:1 B:2"


# --- Indexes ----------------------------------------------------------------------------------------------------------

INDEX = image("I", "v1", age=20, references=("A", "B"))
CHILDREN = [image("A", age=21), image("B", age=21)]
MONTHS = {"storage_class": "ARCHIVE", "last_archived_at": 100}
INDEXES = [
    ("children stay while the index does", [*CHILDREN, INDEX], [rule(PUSHED, 1, "untagged")], ""),
    ("they are not archived either", [*CHILDREN, INDEX], [rule(PULLED, 1, "untagged")], ""),
    ("not taken along in the same run", [*CHILDREN, INDEX], [rule(PUSHED, 1)], "I:1"),
    ("in the next run they go", CHILDREN, [rule(PUSHED, 1)], "A:1 B:1"),
    ("they count", [*CHILDREN, INDEX, image("Z", age=1)], [rule(KEEP, 2)], ""),
    ("an index that lists what is not there", [INDEX, CHILDREN[0]], [rule(PUSHED, 1)], "I:1"),
    ("an index being restored protects", [INDEX._replace(storage_class=None), *CHILDREN], [rule(PUSHED, 1)], ""),
    ("against the archive, too", [INDEX._replace(storage_class=None), *CHILDREN], [rule(PULLED, 1)], ""),
    ("an index within an index", [image("O", age=9, references=("I",)), INDEX, *CHILDREN], [rule(PUSHED, 1)], "O:1"),
    ("children of an archived index are archived", [INDEX._replace(storage_class="ARCHIVE"), *CHILDREN],
     [rule(PULLED, 1)], "A>1 B>1"),
    ("and not expired", [INDEX._replace(storage_class="ARCHIVE"), *CHILDREN], [rule(PUSHED, 1)], ""),
    ("unless another index is active", [INDEX._replace(storage_class="ARCHIVE"), *CHILDREN,
                                        image("J", "v2", age=1, references=("B",))], [rule(PULLED, 1)], "A>1"),
    ("archived children stay with their archived index", [image("I", age=300, references=("A",), **MONTHS),
                                                          image("A", age=300, **MONTHS)], [rule(ARCHIVED, 90)], "I:1"),
    ("archived children of an active index", [INDEX, image("A", age=300, **MONTHS)], [rule(ARCHIVED, 90)], ""),
]  # fmt: skip


@pytest.mark.parametrize(("images", "rules", "result"), [row[1:] for row in INDEXES], ids=[row[0] for row in INDEXES])
def test_indexes(images: list[LifecycleImage], rules: list[dict[str, Any]], result: str):
    assert run(images, *rules) == result


def test_a_preview_that_was_seen():
    """26 manifests: 24 tagged, and the two oldest untagged children of an index; 1: untagged, 2: keep 20. Four go."""
    children = [image(f"child-{number}", number=number, age=40) for number in range(2)]
    images = [image(f"image-{number}", f"v{number}", number=number + 2, age=38 - number) for number in range(24)]
    images[23] = images[23]._replace(references=("child-0", "child-1"))
    assert (
        run([*children, *images], rule(PUSHED, 1, "untagged"), rule(KEEP, 20))
        == "image-0:2 image-1:2 image-2:2 image-3:2"
    )


# --- Referrers --------------------------------------------------------------------------------------------------------

SUBJECT = image("S", "v1", age=30)
SIGNATURE = image("R", age=29, subject="S")
REFERRERS = [
    ("a referrer stays with its subject", [SUBJECT, SIGNATURE], [rule(PUSHED, 1, "untagged")], ""),
    ("its subject goes first", [SUBJECT, SIGNATURE], [rule(PUSHED, 1)], "S:1"),
    ("then it goes, and needs no rule", [SIGNATURE], [rule(KEEP, 9, "x")], "R:-"),
    ("a rule that asks for it comes before", [SIGNATURE], [rule(PUSHED, 1)], "R:1"),
    ("it counts", [SUBJECT, SIGNATURE, image("T", "v2", age=1)], [rule(KEEP, 2)], "S:1"),
    ("the subject was archived", [SUBJECT._replace(storage_class="ARCHIVE"), SIGNATURE], [rule(KEEP, 9)], "R>-"),
    ("both were archived", [SUBJECT._replace(storage_class="ARCHIVE"), SIGNATURE._replace(storage_class="ARCHIVE")],
     [rule(KEEP, 9)], ""),
    ("rules leave it there, too", [image("S", age=300, **MONTHS), image("R", age=300, subject="S", **MONTHS)],
     [rule(ARCHIVED, 90)], "S:1"),
    ("an archived one whose subject is gone", [SIGNATURE._replace(storage_class="ARCHIVE")], [rule(KEEP, 9)], "R:-"),
    ("an archived one of an active subject", [SUBJECT, SIGNATURE._replace(storage_class="ARCHIVE")],
     [rule(KEEP, 9)], ""),
    ("the subject is being restored", [SUBJECT._replace(storage_class=None), SIGNATURE], [rule(PUSHED, 1)], ""),
    ("one that is being restored waits", [SIGNATURE._replace(storage_class=None)], [rule(KEEP, 9)], ""),
    ("a referrer of a referrer goes a run later", [SIGNATURE, image("Q", age=28, subject="R")], [rule(KEEP, 9)], "R:-"),
    ("one that an index lists stays", [SIGNATURE, image("I", "v1", age=1, references=("R",))], [rule(KEEP, 9)], ""),
    ("a referrer that is an index keeps its children", [SUBJECT, image("R", age=29, subject="S", references=("A",)),
                                                        image("A", age=29)], [rule(PUSHED, 1, "untagged")], ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "rules", "result"), [row[1:] for row in REFERRERS], ids=[row[0] for row in REFERRERS]
)
def test_referrers(images: list[LifecycleImage], rules: list[dict[str, Any]], result: str):
    assert run(images, *rules) == result


def test_run_after_run_until_nothing_is_left_to_do():
    images = [
        *CHILDREN,
        INDEX,
        image("R", age=20, subject="I"),
        image("Q", age=20, subject="R"),
        image("Z", "v2", age=0),
    ]
    runs = []
    while decided := plan(images, policy(rule(PUSHED, 14)), NOW):
        runs.append(" ".join(short(decision) for decision in decided))
        images = [each for each in images if each not in [decision.image for decision in decided]]
    assert runs == ["I:1", "A:1 B:1 R:1", "Q:1"]
    assert [each.image_digest for each in images] == ["Z"]


# --- Size -------------------------------------------------------------------------------------------------------------


def many(number: int) -> list[LifecycleImage]:
    """A quarter untagged, a tenth archived, with indexes, referrers, pulls and restorations."""
    return [
        LifecycleImage(
            id=each,
            image_digest=f"sha256:{each:064x}",
            image_tags=()
            if each % 4 == 0
            else (f"{('prod', 'beta', 'v')[each % 3]}-{each}", f"git-{each * 7919:012x}"),
            image_pushed_at=NOW - (number - each) * 60_000,
            storage_class="STANDARD" if each % 10 else "ARCHIVE",
            last_recorded_pull_time=NOW - each * 50_000 if each % 3 else None,
            last_archived_at=None if each % 10 else NOW - each * 100_000,
            last_activated_at=NOW - each * 1_000 if each % 50 == 1 else None,
            subject=f"sha256:{each - 1:064x}" if each % 20 == 19 else None,
            references=tuple(f"sha256:{each - n:064x}" for n in (1, 2, 3)) if each % 20 == 8 else (),
        )
        for each in range(number)
    ]


FIVE = [
    rule(KEEP, 100, "prod*"), rule(PUSHED, 14, "*beta* git*a*"), rule(PUSHED, 7, "untagged"), rule(ARCHIVED, 90),
    rule(PULLED, 30),
]  # fmt: skip


def test_100_000_images_take_less_than_a_second():
    images, rules = many(100_000), policy(*FIVE)
    spent = []
    for _ in range(3):
        began = time.process_time()
        decisions = plan(images, rules, NOW)
        spent.append(time.process_time() - began)
    assert {decision.rule_priority for decision in decisions} == {1, 2, 3, 4, 5}
    assert min(spent) < 1


def test_memory_is_in_proportion():
    peaks = []
    for number in (5_000, 20_000):
        images, rules = many(number), policy(*FIVE)
        tracemalloc.start()
        plan(images, rules, NOW)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 6 * peaks[0]
    assert peaks[1] < 20_000 * 1_000
