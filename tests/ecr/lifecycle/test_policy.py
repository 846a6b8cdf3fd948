"""The grammar of lifecycle policies: what is read, and what is refused in which words."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.lifecycle.policy import LifecycleRule, Policy, read
from tests.answers import Refusal, constraint, documented, inferred, recorded

ABSENT = object()
CODE = "InvalidParameterException"
MISSING = 'object has missing required properties (["{}"])\n'
UNKNOWN = 'object instance has properties which are not allowed by the schema: ["{}"]\n'
TYPE = 'instance type ({}) does not match any allowed primitive type (allowed: ["{}"])\n'
ENUM = "instance value ({}) not found in enum (possible values: {})\n"
ONE_OF_FOUR = "instance failed to match exactly one schema (matched 0 out of 4)\n"
ONE_OF_TWO = "instance failed to match exactly one schema (matched 0 out of 2)\n"
MINIMUM = "numeric instance is lower than the required minimum (minimum: 1, found: {})\n"
NOT_MAPPED = "Could not map policyString into LifecyclePolicy."
STANDARD_ONLY = (
    "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage class only"
)
DAYS = {"countUnit": "days"}
TRANSITION = {"type": "transition", "targetStorageClass": "archive"}
ARCHIVED = {"countType": "sinceImageTransitioned", **DAYS, "countNumber": 90, "storageClass": "archive"}


def rule(
    priority: Any = 1, *, action: Any = ABSENT, description: Any = ABSENT, also: Any = None, **selection: Any
) -> dict[str, Any]:
    """A rule that keeps five images, changed as asked; ABSENT takes a member away."""
    chosen = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5, **selection}
    members = {
        "rulePriority": priority,
        "description": description,
        "selection": {name: value for name, value in chosen.items() if value is not ABSENT},
        "action": {"type": "expire"} if action is ABSENT else action,
        **(also or {}),
    }
    return {name: value for name, value in members.items() if value is not ABSENT}


def tagged(priority: int = 1, *patterns: str, **changes: Any) -> dict[str, Any]:
    return rule(priority, tagStatus="tagged", tagPatternList=list(patterns or ("prod*",)), **changes)


def since(count_type: str, number: int = 90, **changes: Any) -> dict[str, Any]:
    return rule(countType=count_type, countNumber=number, countUnit="days", **changes)


def archived(priority: int = 1, **changes: Any) -> dict[str, Any]:
    return rule(priority, **{**ARCHIVED, **changes})


def policy(*rules: Any) -> str:
    return json.dumps({"rules": list(rules)})


def refusal(text: str) -> Refusal:
    with pytest.raises(InvalidParameterException) as caught:
        read(text)
    return Refusal(caught.value.code, caught.value.message)


def says(detail: str) -> tuple[str, str]:
    return CODE, constraint("LifecyclePolicyText", f"Lifecycle policy validation failure: {detail}")


# --- What is not even an object ---------------------------------------------------------------------------------------

UNREADABLE = [
    ("not JSON", "{rules"),
    ("empty", ""),
    ("an array", "[]"),
    ("a text", '"rules"'),
    ("null", "null"),
    ("a number that is none", '{"rules": NaN}'),
    ("a number beyond all digits", '{"rules": ' + "1" * 5000 + "}"),
    ("nested without end", "[" * 30_000),
    ("half a character", r'{"rules": [], "\ud800": 1}'),
]


@pytest.mark.parametrize("text", [text for _, text in UNREADABLE], ids=[name for name, _ in UNREADABLE])
def test_what_is_no_object_cannot_be_mapped(text: str):
    assert refusal(text) == recorded(*says(NOT_MAPPED))


@pytest.mark.parametrize("priority", [2**31, 2**70])
def test_a_number_that_does_not_fit_cannot_be_mapped(priority: int):
    assert refusal(policy(rule(priority))) == inferred(*says(NOT_MAPPED))
    assert refusal(policy(rule(countNumber=priority))) == inferred(*says(NOT_MAPPED))
    assert read(policy(rule(2**31 - 1, countNumber=2**31 - 1))).rules[0].rule_priority == 2**31 - 1


# --- The form: each finding of the schema -----------------------------------------------------------------------------

# recorded: the case; documented: the library's template, with other values.
SCHEMA = [
    ("no rules", "{}", recorded(*says(MISSING.format("rules")))),
    ("no rulePriority", policy(rule(ABSENT)), recorded(*says(MISSING.format("rulePriority")))),
    ("no selection", policy(rule(also={"selection": ABSENT})), recorded(*says(MISSING.format("selection")))),
    ("no action", policy(rule(also={"action": ABSENT})), recorded(*says(MISSING.format("action")))),
    ("no type", policy(rule(action={})), recorded(*says(MISSING.format("type")))),
    ("no tagStatus", policy(rule(tagStatus=ABSENT)), recorded(*says(MISSING.format("tagStatus")))),
    ("no countType", policy(rule(countType=ABSENT)), recorded(*says(MISSING.format("countType")))),
    ("no countNumber", policy(rule(countNumber=ABSENT)), recorded(*says(MISSING.format("countNumber")))),
    ("several missing, sorted", policy({}), recorded(*says(MISSING.format('action","rulePriority","selection')))),
    # A copy of this sentence is going round that has the list in parentheses; the library's has not.
    ("unknown in the policy", json.dumps({"rules": [rule()], "version": 1}),
     documented(*says(UNKNOWN.format("version")))),
    ("unknown in a rule", policy(rule(also={"foo": 1})), documented(*says(UNKNOWN.format("foo")))),
    ("unknown in a selection", policy(rule(foo=1)), documented(*says(UNKNOWN.format("foo")))),
    ("unknown in an action", policy(rule(action={"type": "expire", "foo": 1})),
     documented(*says(UNKNOWN.format("foo")))),
    ("several unknown, sorted", policy(rule(foo=1, bar=2)), documented(*says(UNKNOWN.format('bar","foo')))),
    ("another case", policy(rule(also={"RulePriority": 1})), documented(*says(UNKNOWN.format("RulePriority")))),
    ("rules are no array", '{"rules": {}}', documented(*says(TYPE.format("object", "array")))),
    ("rules are null", '{"rules": null}', documented(*says(TYPE.format("null", "array")))),
    ("a rule is no object", policy(1), documented(*says(TYPE.format("integer", "object")))),
    ("a rule is null", policy(None), documented(*says(TYPE.format("null", "object")))),
    ("selection is no object", policy(rule(also={"selection": []})), documented(*says(TYPE.format("array", "object")))),
    ("action is no object", policy(rule(action="expire")), documented(*says(TYPE.format("string", "object")))),
    ("a null tagPrefixList", policy(tagged(tagPrefixList=None)), recorded(*says(TYPE.format("null", "array")))),
    ("a null tagPatternList", policy(rule(tagPatternList=None)), recorded(*says(TYPE.format("null", "array")))),
    ("a tagPatternList that is a text", policy(rule(tagStatus="tagged", tagPatternList="prod*")),
     documented(*says(TYPE.format("string", "array")))),
    ("a tag that is no text", policy(rule(tagStatus="tagged", tagPatternList=[1])),
     documented(*says(TYPE.format("integer", "string")))),
    ("a null description", policy(rule(description=None)), documented(*says(TYPE.format("null", "string")))),
    ("a priority that is a text", policy(rule("1")), documented(*says(TYPE.format("string", "integer")))),
    ("a priority that is true", policy(rule(True)), documented(*says(TYPE.format("boolean", "integer")))),
    ("half an image", policy(rule(countNumber=1.5)), documented(*says(TYPE.format("number", "integer")))),
    ("a null countNumber", policy(rule(countNumber=None)), documented(*says(TYPE.format("null", "integer")))),
    ("a null countUnit", policy(rule(countUnit=None)), recorded(*says(ONE_OF_FOUR))),
    ("a unit for a count of images", policy(rule(countUnit="days")), recorded(*says(ONE_OF_FOUR))),
    ("days without a unit", policy(rule(countType="sinceImagePushed")), recorded(*says(ONE_OF_FOUR))),
    ("an unknown countType", policy(rule(countType="sinceImageBuilt", **DAYS)), recorded(*says(ONE_OF_FOUR))),
    ("a countType in another case", policy(rule(countType="ImageCountMoreThan")), recorded(*says(ONE_OF_FOUR))),
    ("a null countType", policy(rule(countType=None)), recorded(*says(ONE_OF_FOUR))),
    ("transitioned, and no storageClass", policy(archived(storageClass=ABSENT)), recorded(*says(ONE_OF_FOUR))),
    ("a null target of an expire action", policy(rule(action={"type": "expire", "targetStorageClass": None})),
     recorded(*says(ONE_OF_TWO))),
    ("a target of an expire action", policy(rule(action={"type": "expire", "targetStorageClass": "archive"})),
     inferred(*says(ONE_OF_TWO))),
    ("a null target", policy(rule(action={**TRANSITION, "targetStorageClass": None})), inferred(*says(ONE_OF_TWO))),
    ("another target", policy(rule(action={**TRANSITION, "targetStorageClass": "standard"})),
     inferred(*says(ONE_OF_TWO))),
    ("no target", policy(rule(action={"type": "transition"})), recorded(*says(NOT_MAPPED))),
    ("an unknown action", policy(rule(action={"type": "keep"})),
     inferred(*says(ENUM.format('"keep"', '["expire","transition"]')))),
    ("an action in upper case", policy(rule(action={"type": "EXPIRE"})),
     inferred(*says(ENUM.format('"EXPIRE"', '["expire","transition"]')))),
    ("an unknown tagStatus", policy(rule(tagStatus="some")),
     inferred(*says(ENUM.format('"some"', '["any","tagged","untagged"]')))),
    ("a null tagStatus", policy(rule(tagStatus=None)),
     inferred(*says(ENUM.format("null", '["any","tagged","untagged"]')))),
    ("an unknown unit", policy(rule(countType="sinceImagePushed", countUnit="weeks")),
     inferred(*says(ENUM.format('"weeks"', '["days"]')))),
    ("an unknown storageClass", policy(rule(storageClass="glacier")),
     inferred(*says(ENUM.format('"glacier"', '["archive","standard"]')))),
    ("a null storageClass", policy(rule(storageClass=None)),
     inferred(*says(ENUM.format("null", '["archive","standard"]')))),
    ("a priority of zero", policy(rule(0)), recorded(*says(MINIMUM.format(0)))),
    ("a priority below zero", policy(rule(-3)), recorded(*says(MINIMUM.format(-3)))),
    ("a count of zero", policy(rule(countNumber=0)), recorded(*says(MINIMUM.format(0)))),
    ("no rule at all", '{"rules": []}', documented(*says(
        "array is too short: must have at least 1 elements but instance has 0 elements\n"))),
    ("51 rules", policy(*(tagged(number, f"v{number}*") for number in range(1, 52))), documented(*says(
        "array is too long: must have at most 50 elements but instance has 51 elements\n"))),
    ("all findings, a line each", policy(rule(0, tagPrefixList=None, tagPatternList=None, foo=1), {}), recorded(*says(
        MINIMUM.format(0) + UNKNOWN.format("foo") + 2 * TYPE.format("null", "array")
        + MISSING.format('action","rulePriority","selection')))),
    ("a fraction below one is found twice", policy(rule(0.5)), inferred(*says(
        TYPE.format("number", "integer") + MINIMUM.format(0.5)))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), [row[1:] for row in SCHEMA], ids=[row[0] for row in SCHEMA])
def test_the_form_is_refused_in_the_words_of_the_schema(text: str, answer: Refusal):
    assert refusal(text) == answer


# --- The sense: each rule by itself, and all together -----------------------------------------------------------------

LOGIC = [
    ("one priority twice", [rule(1), tagged(1)], recorded(*says("Duplicate priority in multiple rules"))),
    ("any is not last", [rule(1), tagged(2)],
     recorded(*says("Rule for tagStatus=ANY must have the lowest priority per storage class"))),
    ("any is not last in the archive", [archived(1), archived(2, tagStatus="untagged")],
     recorded(*says("Rule for tagStatus=ANY must have the lowest priority per storage class"))),
    ("any twice", [rule(1), rule(2)], recorded(*says("Only one rule can specify tagStatus=ANY"))),
    ("untagged twice", [rule(1, tagStatus="untagged"), rule(2, tagStatus="untagged", countNumber=9)],
     recorded(*says("Only one rule can select Untagged images per storage class."))),
    ("tagged without a list", [rule(tagStatus="tagged")],
     recorded(*says("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."))),
    ("tagged with an empty list", [rule(tagStatus="tagged", tagPrefixList=[])],
     recorded(*says("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."))),
    ("both lists", [tagged(tagPrefixList=["prod"])],
     recorded(*says("If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList"))),
    ("prefixes for untagged", [rule(tagStatus="untagged", tagPrefixList=["a"])],
     inferred(*says("Cannot specify tagPrefixList with tagStatus untagged"))),
    ("patterns for untagged", [rule(tagStatus="untagged", tagPatternList=["a"])],
     inferred(*says("Cannot specify tagPatternList with tagStatus untagged"))),
    ("prefixes for any", [rule(tagPrefixList=["a"])],
     inferred(*says("Cannot specify tagPrefixList with tagStatus any"))),
    ("patterns for any", [rule(tagPatternList=["a"])],
     inferred(*says("Cannot specify tagPatternList with tagStatus any"))),
    ("an empty list for any", [rule(tagPatternList=[])],
     inferred(*says("Cannot specify tagPatternList with tagStatus any"))),
    ("five wildcards", [tagged(1, "*a*b*c*d*")], recorded(*says("Invalid tag pattern provided"))),
    ("five wildcards behind a good pattern", [tagged(1, "a*", "*****")],
     recorded(*says("Invalid tag pattern provided"))),
    ("an empty pattern", [tagged(1, "")], inferred(*says("Invalid tag pattern provided"))),
    ("an empty prefix", [rule(tagStatus="tagged", tagPrefixList=["a", ""])],
     inferred(*says("Invalid tag pattern provided"))),
    ("a count in the archive", [rule(storageClass="archive")], recorded(*says(STANDARD_ONLY))),
    ("pushed in the archive", [since("sinceImagePushed", storageClass="archive")], recorded(*says(STANDARD_ONLY))),
    ("pulled in the archive", [since("sinceImagePulled", storageClass="archive", action=TRANSITION)],
     recorded(*says(STANDARD_ONLY))),
    ("transitioned, of the standard class", [archived(storageClass="standard")],
     inferred(*says("SINCE_IMAGE_TRANSITIONED supports the ARCHIVE storage class only"))),
    ("pulled, and expired", [since("sinceImagePulled")],
     inferred(*says("SINCE_IMAGE_PULLED supports the TRANSITION action only"))),
    ("transitioned, and transitioned again", [archived(action=TRANSITION)],
     inferred(*says("SINCE_IMAGE_TRANSITIONED supports the EXPIRE action only"))),
    ("89 days in the archive", [archived(countNumber=89)],
     inferred(*says("Images must be in the archive storage class for at least 90 days before they can be expired"))),
    ("one list twice", [tagged(1, "a*", "b*"), tagged(2, "b*", "a*", countNumber=9)],
     inferred(*says("Duplicate tag list in multiple rules"))),
    ("one list of prefixes twice", [rule(1, tagStatus="tagged", tagPrefixList=["a"]),
                                    rule(2, tagStatus="tagged", tagPrefixList=["a"], countNumber=9)],
     inferred(*says("Duplicate tag list in multiple rules"))),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "answer"), [row[1:] for row in LOGIC], ids=[row[0] for row in LOGIC])
def test_what_makes_no_sense_is_refused(rules: list[dict[str, Any]], answer: Refusal):
    assert refusal(policy(*rules)) == answer
    assert refusal(policy(*reversed(rules))) == answer, "the order in the text is no matter"


def test_the_form_comes_before_the_sense():
    assert refusal(policy(rule(1), rule(1, foo=1))) == documented(*says(UNKNOWN.format("foo")))


# --- What is taken ----------------------------------------------------------------------------------------------------

COMBINATIONS = [
    (name, count, action, storage)
    for name, count in [
        ("imageCountMoreThan", {"countNumber": 1}),
        ("sinceImagePushed", {"countNumber": 1, **DAYS}),
        ("sinceImagePulled", {"countNumber": 1, **DAYS}),
        ("sinceImageTransitioned", {"countNumber": 90, **DAYS}),
    ]
    for action in ("expire", "transition")
    for storage in (ABSENT, "standard", "archive")
]
LEGAL = {
    *itertools.product(("imageCountMoreThan", "sinceImagePushed"), ("expire", "transition"), (ABSENT, "standard")),
    *itertools.product(("sinceImagePulled",), ("transition",), (ABSENT, "standard")),
    ("sinceImageTransitioned", "expire", "archive"),
}


@pytest.mark.parametrize(("name", "count", "action", "storage"), COMBINATIONS)
def test_the_combinations(name: str, count: dict[str, Any], action: str, storage: Any):
    members = {"type": "expire"} if action == "expire" else TRANSITION
    text = policy(rule(countType=name, storageClass=storage, action=members, **count))
    if (name, action, storage) in LEGAL:
        taken = read(text).rules[0]
        assert (taken.count_type, taken.action) == (name, action)
        assert taken.storage_class == ("standard" if storage is ABSENT else storage)
    else:
        assert refusal(text).code == CODE


TAKEN = [
    ("priorities with gaps, in any order", [rule(700), tagged(3), rule(20, tagStatus="untagged")]),
    ("any in both classes, the archive's last", [rule(1), archived(2)]),
    ("any in both classes, the archive's first", [archived(1), rule(2)]),
    ("untagged in both classes", [rule(1, tagStatus="untagged"), archived(2, tagStatus="untagged")]),
    ("one tag list in both classes", [tagged(1), archived(2, tagStatus="tagged", tagPatternList=["prod*"])]),
    ("lists that overlap", [tagged(1, "a*"), tagged(2, "a*", "b*")]),
    ("prefixes and patterns in different rules", [tagged(1), rule(2, tagStatus="tagged", tagPrefixList=["prod"])]),
    ("a pattern and a prefix of the same letters", [tagged(1, "a"), rule(2, tagStatus="tagged", tagPrefixList=["a"])]),
    ("four wildcards", [tagged(1, "*test*1*2*3"), tagged(2, "test*1*2*3*")]),
    ("stars in a prefix are letters", [rule(tagStatus="tagged", tagPrefixList=["*****"])]),
    ("a description", [rule(description="")]),
    ("90 days in the archive", [archived()]),
    ("50 rules", [tagged(number, f"v{number}*") for number in range(1, 51)]),
]  # fmt: skip


@pytest.mark.parametrize("rules", [rules for _, rules in TAKEN], ids=[name for name, _ in TAKEN])
def test_what_is_taken(rules: list[dict[str, Any]]):
    assert [each.rule_priority for each in read(policy(*rules)).rules] == sorted(each["rulePriority"] for each in rules)


def test_all_members_are_read():
    full = {
        "rulePriority": 7,
        "description": "old ones — to the archive",
        "selection": {"tagStatus": "tagged", "tagPatternList": ["a*", "b"], "countType": "sinceImagePulled",
                      "countUnit": "days", "countNumber": 30, "storageClass": "standard"},
        "action": TRANSITION,
    }  # fmt: skip
    assert read(policy(archived(9, tagStatus="untagged"), full)) == Policy(
        (
            LifecycleRule(7, "old ones — to the archive", "tagged", ("a*", "b"), (), "standard", "sinceImagePulled",
             30, "days",
                 "transition", "archive"),
            LifecycleRule(9, None, "untagged", (), (), "archive", "sinceImageTransitioned", 90, "days", "expire", None),
        )
    )  # fmt: skip
