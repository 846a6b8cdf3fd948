"""Repositories, policies and times for forecasts, in few words."""

import json

from ecrsim.ecr.lifecycle import policy as policies
from ecrsim.ecr.lifecycle.engine import LifecycleImage
from ecrsim.simulator.pushes import Push

DAY = 86_400_000
HOUR = DAY // 24
#: 2027-01-15T08:00:00Z, the instant of the first run.
NOW = 1_800_000_000_000
GB = 1 << 30


def image(number, *tags, days=0.0, size=0, pulled=None, archived=None, restored=None, **members):
    """An image that was pushed, pulled, archived, restored so many days before NOW. `archived` makes it so."""
    return LifecycleImage(
        id=number,
        image_digest=members.pop("digest", f"sha256:{number:064x}"),
        image_tags=tags,
        image_pushed_at=NOW - round(days * DAY),
        storage_class=members.pop("storage_class", "STANDARD" if archived is None else "ARCHIVE"),
        image_size_in_bytes=size,
        last_recorded_pull_time=None if pulled is None else NOW - round(pulled * DAY),
        last_archived_at=None if archived is None else NOW - round(archived * DAY),
        last_activated_at=None if restored is None else NOW - round(restored * DAY),
        **members,
    )


def rule(priority, tag_status, count_type, number, action="expire", **selection):
    selection |= {"tagStatus": tag_status, "countType": count_type, "countNumber": number}
    if count_type != "imageCountMoreThan":
        selection["countUnit"] = "days"
    if count_type == "sinceImageTransitioned":
        selection["storageClass"] = "archive"
    target = {"targetStorageClass": "archive"} if action == "transition" else {}
    return {"rulePriority": priority, "selection": selection, "action": {"type": action, **target}}


def keep(priority, number, *patterns, action="expire"):
    """The newest so many of what has tags like these stay; of all images when no pattern is given."""
    selection = {"tagPatternList": list(patterns)} if patterns else {}
    return rule(priority, "tagged" if patterns else "any", "imageCountMoreThan", number, action, **selection)


def older(priority, days, *patterns, action="expire", tag_status=None, count_type="sinceImagePushed"):
    """What is older than so many days goes."""
    selection = {"tagPatternList": list(patterns)} if patterns else {}
    return rule(priority, tag_status or ("tagged" if patterns else "any"), count_type, days, action, **selection)


def text_of(*rules):
    return json.dumps({"rules": list(rules)})


def policy(*rules):
    return policies.read(text_of(*rules))


def push(day, *tags, size=0):
    """A push to come, so many days after NOW."""
    return Push(NOW + round(day * DAY), tags, size)
