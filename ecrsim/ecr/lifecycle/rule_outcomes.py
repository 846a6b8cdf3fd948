"""The story of one image: what each rule of a lifecycle policy made of it, and the sentence that says so. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ecrsim.core.durations import DAY, HOUR, MINUTE, SECOND
from ecrsim.ecr.lifecycle.policy import LifecycleRule

_UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"), (1, "millisecond"))


class RuleOutcome(Enum):
    """Why a rule acts on an image, or does not."""

    OTHER_STORAGE_CLASS = "not of the rule's storage class"
    NOT_MATCHED = "the tags do not match"
    CLAIMED = "claimed by an earlier rule"
    KEPT = "among the newest that are kept"
    TOO_YOUNG = "too young"
    PROTECTED_BY_INDEX = "protected by an index"
    PROTECTED_BY_SUBJECT = "protected by its subject"
    SELECTED = "selected"
    FOLLOWS = "follows its subject"
    RESTORING = "being restored"


class ExplanationStep(NamedTuple):
    """One step of the story. `rule` is None for what no rule decides: FOLLOWS and RESTORING.

    `action`: what is done, or would be but for the outcome: expire, transition; None when the rule would do nothing.
    `entry`: the first of the rule's tag list that no tag matches; `image_tags`: the image's own.
    `claimed_by`: the priority of the earlier rule. `image_digest`: of the index or the subject.
    `position` of the image from the newest, 1 first, among the `total` that match. `since`: what the rule counts from:
    pushed, restored, pulled, archived; `age`: milliseconds since then, None when the time is not known.
    """

    rule: LifecycleRule | None
    outcome: RuleOutcome
    action: str | None = None
    entry: str | None = None
    image_tags: tuple[str, ...] = ()
    claimed_by: int | None = None
    image_digest: str | None = None
    position: int | None = None
    total: int | None = None
    since: str | None = None
    age: int | None = None

    def sentence(self) -> str:
        """Plain English: `Rule 1 keeps it: it is number 3 of the newest 10, of 42 that match, pushed 2 days ago.`."""
        if self.rule is None:
            return f"{self._without_rule()}."
        return f"Rule {self.rule.rule_priority} {self._predicate(self.rule)}."

    def _without_rule(self) -> str:
        if self.outcome is RuleOutcome.RESTORING:
            return "No rule looks at it while it is being restored"
        if self.action == "expire":
            return f"It expires with its subject {self.image_digest}, which is gone"
        return f"It is archived with its subject {self.image_digest}, which is archived"

    def _predicate(self, rule: LifecycleRule) -> str:
        would = f"would {'expire' if self.action == 'expire' else 'archive'} it, but"
        match self.outcome:
            case RuleOutcome.OTHER_STORAGE_CLASS:
                which = "archived images" if rule.storage_class == "archive" else "images that are not archived"
                return f"does not look at it: it is for {which}"
            case RuleOutcome.NOT_MATCHED:
                return f"does not match it: {self._mismatch(rule)}"
            case RuleOutcome.CLAIMED if self.action is None:
                return f"leaves it to rule {self.claimed_by}, which matches it and comes first"
            case RuleOutcome.CLAIMED:
                return f"{would} rule {self.claimed_by} matches it and comes first"
            case RuleOutcome.PROTECTED_BY_INDEX:
                return f"{would} the index {self.image_digest} lists it"
            case RuleOutcome.PROTECTED_BY_SUBJECT:
                return f"{would} it goes with its subject {self.image_digest}, which is there"
            case RuleOutcome.SELECTED:
                return f"{'expires' if rule.action == 'expire' else 'archives'} it: {self._measure(rule)}"
            case _:
                return f"keeps it: {self._measure(rule)}"

    def _mismatch(self, rule: LifecycleRule) -> str:
        has = f"it has {', '.join(self.image_tags)}" if self.image_tags else "it has no tag"
        if rule.tag_status == "untagged":
            return f"it is for images without a tag, and {has}"
        how = f"like {self.entry}" if rule.tag_pattern_list else f"that begins with {self.entry}"
        return f"it asks for a tag {how}, and {has}"

    def _measure(self, rule: LifecycleRule) -> str:
        number, selected = rule.count_number, self.outcome is RuleOutcome.SELECTED
        event = f"{self.since} at an unknown time" if self.age is None else f"{self.since} {_duration(self.age)} ago"
        if rule.count_type != "imageCountMoreThan":
            limit = f"more than {_counted(number, 'day')}"
            return f"{event}, {'which is' if selected else 'and it acts after'} {limit}"
        if selected:
            return (
                f"it is number {self.position} from the newest, of {self.total} that match, {event}, and {number} stay"
            )
        return f"it is number {self.position} of the newest {number}, of {self.total} that match, {event}"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _duration(milliseconds: int) -> str:
    """The two largest units that are not zero: `14 days 1 millisecond`. A time to come is no time ago."""
    milliseconds = max(0, milliseconds)
    parts = []
    for size, unit in _UNITS:
        number, milliseconds = divmod(milliseconds, size)
        if number:
            parts.append(_counted(number, unit))
    return " ".join(parts[:2]) or "0 milliseconds"
