"""What the lifecycle engine needs for so many images, measured in a process of its own by the Python that has ecrsim.

`python -m benchmark.planning 1000 10000` prints one JSON object: for each number the seconds of `plan`, each attempt,
the most memory that it held beside the images it was given, and what it decided.
"""

import json
import sys
import time
import tracemalloc
from typing import Any

from ecrsim.ecr.lifecycle.engine import LifecycleImage, plan
from ecrsim.ecr.lifecycle.policy import Policy, read

ATTEMPTS = 5
DAY = 86_400_000
NOW = 20_000 * DAY


def _rule(priority: int, action: str, **selection: Any) -> dict[str, Any]:
    does = {"type": "expire"} if action == "expire" else {"type": "transition", "targetStorageClass": "archive"}
    days = {} if selection["countType"] == "imageCountMoreThan" else {"countUnit": "days"}
    return {"rulePriority": priority, "selection": selection | days, "action": does}


def policy() -> Policy:
    """Five rules, of all kinds that there are."""
    tagged = {"tagStatus": "tagged"}
    since = "sinceImageTransitioned"
    rules = [
        _rule(1, "expire", **tagged, tagPatternList=["rel-*-final"], countType="imageCountMoreThan", countNumber=100),
        _rule(2, "expire", tagStatus="untagged", countType="sinceImagePushed", countNumber=14),
        _rule(3, "transition", **tagged, tagPrefixList=["dev-"], countType="sinceImagePulled", countNumber=30),
        _rule(4, "expire", tagStatus="any", storageClass="archive", countType=since, countNumber=90),
        _rule(5, "expire", tagStatus="any", countType="sinceImagePushed", countNumber=365),
    ]
    return read(json.dumps({"rules": rules}))


def images(count: int) -> list[LifecycleImage]:
    """A repository of two years: releases, drafts, untagged images, indexes with what they list, artifacts."""
    return [_image(number, count) for number in range(count)]


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


def _image(number: int, count: int) -> LifecycleImage:
    pushed = NOW - (count - number) * 730 * DAY // count
    kind = number % 10
    tags = (f"rel-{number}-final", "latest") if kind < 3 else (f"dev-{number}",) if kind < 6 else ()
    is_archived = kind == 5
    return LifecycleImage(
        id=number + 1,
        image_digest=_digest(number),
        image_tags=tags,
        image_pushed_at=pushed,
        storage_class="ARCHIVE" if is_archived else "STANDARD",
        last_recorded_pull_time=pushed + 20 * DAY if kind % 2 else None,
        last_archived_at=pushed + 40 * DAY if is_archived else None,
        subject=_digest(number - 8) if kind == 9 else None,
        # An index of two that were pushed before it.
        references=(_digest(number - 1), _digest(number - 2)) if kind == 8 else (),
    )


def measure(count: int) -> dict[str, Any]:
    given, rules = images(count), policy()
    seconds = []
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        decisions = plan(given, rules, NOW)
        seconds.append(time.perf_counter() - began)
    del decisions
    # Alone, since it makes everything several times as slow.
    tracemalloc.start()
    decided = len(plan(given, rules, NOW))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"seconds": seconds, "peak": peak, "decisions": decided}


if __name__ == "__main__":
    print(json.dumps({argument: measure(int(argument)) for argument in sys.argv[1:]}))
