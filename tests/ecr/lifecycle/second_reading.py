"""A second reading of the guide: what a lifecycle policy does to each image, found image by image and rule by rule.

Written for nobody to doubt it, not to be fast, and without a line of the engine. The numbers in parentheses are:

(1)  All rules are evaluated at the same moment, and applied in the order of their priority.
(2)  An image is acted upon by exactly one rule or none.
(3)  An image that matches the tagging requirements of a rule is not acted upon by any rule of a lower priority.
(4)  A rule never marks what a higher rule marked, but counts it as present.
(5)  What an index lists is not expired before the index is, and not archived before the index is.
(6)  What refers to a subject follows it when that is deleted or archived, and needs no rule.
(7)  For an image that was restored, the time of that stands in for the time of its push.
(8)  imageCountMoreThan: from the youngest to the oldest, everything beyond the count.
(9)  sinceImagePushed: pushed more than so many days ago.
(10) sinceImagePulled: pulled more than so many days ago; if never pulled, pushed; if restored and not pulled since,
     restored.
(11) sinceImageTransitioned: archived more than so many days ago.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

DAY = 24 * 60 * 60 * 1000


class Fate(NamedTuple):
    image_digest: str
    action: str
    rule_priority: int | None


def fates(images: list[Any], policy: Any, now: int) -> list[Fate]:
    """Rule by rule, the oldest first; what follows a subject last."""
    found = [(image, fate) for image in images if (fate := fate_of(image, images, policy, now)) is not None]

    def place(pair: tuple[Any, Fate]) -> tuple[int, int, int]:
        image, fate = pair
        for rule in policy.rules:
            if rule.rule_priority == fate.rule_priority:
                return rule.rule_priority, age_time(image, rule), image.id
        return 10**9, arrived_at(image), image.id

    return [fate for _, fate in sorted(found, key=place)]


def fate_of(image: Any, images: list[Any], policy: Any, now: int) -> Fate | None:
    if image.storage_class is None:
        return None
    for rule in sorted(policy.rules, key=lambda rule: rule.rule_priority):  # (1)
        if matches(image, rule):
            if selects(rule, image, images, now) and not is_protected(image, rule.action, images):
                return Fate(image.image_digest, rule.action.upper(), rule.rule_priority)
            break  # (2), (3)
    return fate_of_follower(image, images)


def matches(image: Any, rule: Any) -> bool:
    """Of its storage class, and with the tags that it asks for."""
    if image.storage_class != {"standard": "STANDARD", "archive": "ARCHIVE"}[rule.storage_class]:
        return False
    if rule.tag_status == "any":
        return True
    if rule.tag_status == "untagged":
        return image.image_tags == ()
    if rule.tag_pattern_list:
        return all(any(is_like(pattern, tag) for tag in image.image_tags) for pattern in rule.tag_pattern_list)
    return all(any(tag[: len(prefix)] == prefix for tag in image.image_tags) for prefix in rule.tag_prefix_list)


@cache
def is_like(pattern: str, tag: str) -> bool:
    """A star is any run of characters, the empty one too."""
    if pattern == "":
        return tag == ""
    if pattern[0] == "*":
        return any(is_like(pattern[1:], tag[start:]) for start in range(len(tag) + 1))
    return tag != "" and tag[0] == pattern[0] and is_like(pattern[1:], tag[1:])


def selects(rule: Any, image: Any, images: list[Any], now: int) -> bool:
    """Whether the rule would act if there were no other rule, and nothing were protected."""
    if rule.count_type == "imageCountMoreThan":  # (8), and (4): whatever matches is counted
        younger = [other for other in images if matches(other, rule) and is_younger(other, image)]
        return len(younger) >= rule.count_number
    if rule.count_type == "sinceImageTransitioned" and image.last_archived_at is None:
        return False
    return now - age_time(image, rule) > rule.count_number * DAY  # (9), (10), (11)


def is_younger(image: Any, than: Any) -> bool:
    if arrived_at(image) == arrived_at(than):
        return image.id > than.id
    return arrived_at(image) > arrived_at(than)


def age_time(image: Any, rule: Any) -> int:
    if rule.count_type == "sinceImageTransitioned":
        return image.last_archived_at
    if rule.count_type == "sinceImagePulled":
        return used_at(image)
    return arrived_at(image)


def arrived_at(image: Any) -> int:
    if image.last_activated_at is not None and image.last_activated_at > image.image_pushed_at:  # (7)
        return image.last_activated_at
    return image.image_pushed_at


def used_at(image: Any) -> int:  # (10)
    if image.last_recorded_pull_time is None:
        return arrived_at(image)
    if image.last_activated_at is not None and image.last_activated_at > image.last_recorded_pull_time:
        return image.last_activated_at
    return image.last_recorded_pull_time


def is_protected(image: Any, action: str, images: list[Any]) -> bool:
    return is_listed(image, action, images) or any(other.image_digest == image.subject for other in images)


def is_listed(image: Any, action: str, images: list[Any]) -> bool:  # (5)
    for other in images:
        if image.image_digest in other.references:
            if action == "expire":
                return True
            if other.storage_class != "ARCHIVE":
                return True
    return False


def fate_of_follower(image: Any, images: list[Any]) -> Fate | None:  # (6)
    if image.subject is None:
        return None
    subjects = [other for other in images if other.image_digest == image.subject]
    if not subjects and not is_listed(image, "expire", images):
        return Fate(image.image_digest, "EXPIRE", None)
    is_archived = bool(subjects) and subjects[0].storage_class == "ARCHIVE"
    if is_archived and image.storage_class == "STANDARD" and not is_listed(image, "transition", images):
        return Fate(image.image_digest, "TRANSITION", None)
    return None
