"""Lifecycle policies: read once into rules, refused in ECR's words when they break its grammar. Pure.

Three sieves, one after the other, as ECR has them: the text must be a JSON object, the object must have the form
(`schema.py`, all findings at once), and the rules must make sense together (the first breach). The length of the text
is the contract's concern.

What surprises: `any` need only come last, and `untagged` only be alone, among the rules of its storage class; and a
rule of the archive cannot expire anything before 90 days there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.lifecycle import schema

#: Of one pattern (documented).
MAX_WILDCARDS = 4
#: Archived images are kept, and paid for, at least that long (documented).
MIN_DAYS_IN_ARCHIVE = 90
#: The largest number of a rule: an integer of 32 bits (inferred).
_MAX_NUMBER = 2**31 - 1

NOT_MAPPED = "Could not map policyString into LifecyclePolicy."  # R
SAME_PRIORITY = "Duplicate priority in multiple rules"  # R
ANY_NOT_LAST = "Rule for tagStatus=ANY must have the lowest priority per storage class"  # R
SECOND_ANY = "Only one rule can specify tagStatus=ANY"  # R
SECOND_UNTAGGED = "Only one rule can select Untagged images per storage class."  # R
NO_TAG_LIST = "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."  # R
TWO_TAG_LISTS = "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList"  # R
UNUSED_TAG_LIST = "Cannot specify {member} with tagStatus {tag_status}"  # I
BAD_PATTERN = "Invalid tag pattern provided"  # R
STANDARD_ONLY = (
    "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage class only"  # R
)
ARCHIVE_ONLY = "SINCE_IMAGE_TRANSITIONED supports the ARCHIVE storage class only"  # I
TRANSITION_ONLY = "SINCE_IMAGE_PULLED supports the TRANSITION action only"  # I
EXPIRE_ONLY = "SINCE_IMAGE_TRANSITIONED supports the EXPIRE action only"  # I
TOO_EARLY = "Images must be in the archive storage class for at least 90 days before they can be expired"  # I
SAME_TAG_LIST = "Duplicate tag list in multiple rules"  # I


class LifecycleRule(NamedTuple):
    """One rule, in the words of the policy's text.

    `tag_status`: tagged, untagged, any. `storage_class`: standard, archive. `count_number`: images for
    imageCountMoreThan, days for the others. `action`: expire, transition.
    """

    rule_priority: int
    description: str | None
    tag_status: str
    tag_pattern_list: tuple[str, ...]
    tag_prefix_list: tuple[str, ...]
    storage_class: str
    count_type: str
    count_number: int
    count_unit: str | None
    action: str
    target_storage_class: str | None


class Policy(NamedTuple):
    """A policy that was read. The rules come in the order of their priority: the lowest number is asked first."""

    rules: tuple[LifecycleRule, ...]


@lru_cache(maxsize=64)
def read(text: str) -> Policy:
    """Read the text of a policy. InvalidParameterException when ECR would not take it.

    The last texts are remembered: a policy is read anew for each of its runs.
    """
    document = _parsed(text)
    found = schema.findings(document)
    if found:
        _refuse("".join(f"{finding}\n" for finding in found))
    documents = sorted(document["rules"], key=itemgetter("rulePriority"))
    rules = tuple(_rule(each) for each in documents)
    for breach in _breaches(documents, rules):
        _refuse(breach)
    return Policy(rules)


def canonical(text: str) -> str:
    """A policy that can be read, as ECR keeps it and gives it back: compact, the rules by priority (recorded)."""
    document = json.loads(text)
    rules = sorted(document["rules"], key=itemgetter("rulePriority"))
    return json.dumps({"rules": rules}, ensure_ascii=False, separators=(",", ":"))


def _refuse(detail: str) -> NoReturn:
    raise InvalidParameterException(
        member="LifecyclePolicyText", constraint=f"Lifecycle policy validation failure: {detail}"
    )


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text, parse_constant=_no_number)
        # Half a surrogate pair can be escaped in JSON and stands for no character: it could not be answered.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        _refuse(NOT_MAPPED)
    if not isinstance(document, dict):
        _refuse(NOT_MAPPED)
    return document


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _rule(document: Mapping[str, Any]) -> LifecycleRule:
    """The rule, bound to its types; what has the right form may still fail here."""
    selection, action = document["selection"], document["action"]
    if action["type"] == "transition" and "targetStorageClass" not in action:
        _refuse(NOT_MAPPED)
    if max(document["rulePriority"], selection["countNumber"]) > _MAX_NUMBER:
        _refuse(NOT_MAPPED)
    return LifecycleRule(
        rule_priority=document["rulePriority"],
        description=document.get("description"),
        tag_status=selection["tagStatus"],
        tag_pattern_list=tuple(selection.get("tagPatternList", ())),
        tag_prefix_list=tuple(selection.get("tagPrefixList", ())),
        storage_class=selection.get("storageClass", "standard"),
        count_type=selection["countType"],
        count_number=selection["countNumber"],
        count_unit=selection.get("countUnit"),
        action=action["type"],
        target_storage_class=action.get("targetStorageClass"),
    )


def _breaches(documents: Sequence[Mapping[str, Any]], rules: Sequence[LifecycleRule]) -> Iterator[str]:
    """The faults of each rule, then of all rules together."""
    for document, rule in zip(documents, rules, strict=True):
        yield from _tag_list_breaches(document["selection"], rule)
        yield from _count_breaches(rule)
    if len({rule.rule_priority for rule in rules}) < len(rules):
        yield SAME_PRIORITY
    for storage_class in ("standard", "archive"):
        yield from _class_breaches([rule for rule in rules if rule.storage_class == storage_class])


def _tag_list_breaches(selection: Mapping[str, Any], rule: LifecycleRule) -> Iterator[str]:
    """A list without entries is given all the same: `untagged` and `any` must do without (documented)."""
    given = [member for member in ("tagPrefixList", "tagPatternList") if member in selection]
    if rule.tag_status != "tagged":
        for member in given:
            yield UNUSED_TAG_LIST.format(member=member, tag_status=rule.tag_status)
    elif not any(selection[member] for member in given):
        yield NO_TAG_LIST
    elif len(given) > 1:
        yield TWO_TAG_LISTS
    entries = (*rule.tag_pattern_list, *rule.tag_prefix_list)
    if "" in entries or any(pattern.count("*") > MAX_WILDCARDS for pattern in rule.tag_pattern_list):
        yield BAD_PATTERN


def _count_breaches(rule: LifecycleRule) -> Iterator[str]:
    if rule.count_type != "sinceImageTransitioned":
        if rule.storage_class == "archive":
            yield STANDARD_ONLY
        if rule.count_type == "sinceImagePulled" and rule.action != "transition":
            yield TRANSITION_ONLY
        return
    if rule.storage_class != "archive":
        yield ARCHIVE_ONLY
    if rule.action != "expire":
        yield EXPIRE_ONLY
    if rule.count_number < MIN_DAYS_IN_ARCHIVE:
        yield TOO_EARLY


def _class_breaches(rules: Sequence[LifecycleRule]) -> Iterator[str]:
    """Of the rules of one storage class, in the order of their priority."""
    statuses = Counter(rule.tag_status for rule in rules)
    if statuses["untagged"] > 1:
        yield SECOND_UNTAGGED
    if statuses["any"] > 1:
        yield SECOND_ANY
    if statuses["any"] and rules[-1].tag_status != "any":
        yield ANY_NOT_LAST
    lists = [
        (bool(rule.tag_pattern_list), frozenset(rule.tag_pattern_list or rule.tag_prefix_list))
        for rule in rules
        if rule.tag_status == "tagged"
    ]
    if len(set(lists)) < len(lists):
        yield SAME_TAG_LIST
