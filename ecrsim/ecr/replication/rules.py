"""Where an image is copied to, when, and what a backfill may do next. Pure.

Documented: a rule names destinations and prefixes of repository names; a rule without prefixes is for all; each rule
says by itself whether deletions follow. Inferred: a prefix is a plain one, without an implied `/`; where several rules
match, the image goes to each destination once, and deletions go where one of the rules that match says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.partitions import partition_of
from ecrsim.core.registry import Registry

Rules = Sequence[Mapping[str, Any]]

#: Unique destinations of all rules together (documented).
MAX_DESTINATIONS = 25
#: Seconds that a copy takes in ECR: most arrive within 30 minutes (documented), none at once (inferred).
SLOWEST, QUICKEST = 30 * 60, 30

#: Backfills of a registry at one time (documented).
MAX_BACKFILLS = 10
#: A backfill is FAILED when half of this many or more have failed (documented).
JUDGED_FROM = 100
#: Why (inferred; no value is documented).
TOO_MANY_FAILED = "ReplicationFailureThresholdExceeded"


def destination_of(entry: Mapping[str, str]) -> Registry:
    """The registry that `{region, registryId}` names."""
    return Registry(entry["registryId"], entry["region"])


def check(rules: Rules, source: Registry) -> None:
    """InvalidParameterException; the first sentence is recorded, the others are inferred."""
    named = {destination_of(entry) for rule in rules for entry in rule["destinations"]}
    if source in named:
        raise _invalid("Replication destination cannot be the same as the source registry")  # R
    if any(partition_of(each.region) != partition_of(source.region) for each in named):
        raise _invalid("Replication destination must be in the same partition as the source registry")  # I
    if len(named) > MAX_DESTINATIONS:
        raise _invalid(
            f"The maximum number of unique destinations across all replication rules is {MAX_DESTINATIONS}"  # I
        )


def _invalid(constraint: str) -> InvalidParameterException:
    return InvalidParameterException(member="replicationConfiguration", constraint=constraint)


def matches(rule: Mapping[str, Any], repository_name: str) -> bool:
    """Whether the rule is for repositories of this name."""
    filters = rule.get("repositoryFilters")
    return filters is None or any(repository_name.startswith(each["filter"]) for each in filters)


def destinations(rules: Rules, repository_name: str, *, of_deletions: bool = False) -> list[Registry]:
    """Where images of the repository are copied to, or deletions follow; each once, in the order of rules."""
    found = [
        destination_of(entry)
        for rule in rules
        if matches(rule, repository_name) and (not of_deletions or _follows_deletions(rule))
        for entry in rule["destinations"]
    ]
    return list(dict.fromkeys(found))


def _follows_deletions(rule: Mapping[str, Any]) -> bool:
    return bool((rule.get("deleteReplication") or {}).get("enabled"))


def rules_to(rules: Rules, destination: Registry) -> list[Mapping[str, Any]]:
    """The rules that name the destination; a backfill copies what they match (documented)."""
    return [rule for rule in rules if any(destination_of(entry) == destination for entry in rule["destinations"])]


def seconds(delay: int, image_digest: str, destination: Registry, *, as_aws: bool) -> int:
    """How long a copy takes: `delay`, or as long as in ECR, which differs by image and destination."""
    if not as_aws:
        return delay
    text = f"{image_digest} {destination.account} {destination.region}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    # Squared: most copies are there after some minutes (recorded: seconds for a small image).
    share = (number / 2**64) ** 2
    return QUICKEST + int(share * (SLOWEST - QUICKEST))


class Tags(NamedTuple):
    """What becomes of the tags of an image that arrives."""

    set: tuple[str, ...]
    #: Those that somebody else's image has, or this one already, and that may not be moved.
    dropped: tuple[str, ...]


def arriving_tags(tags: Iterable[str], held: Mapping[str, str], is_immutable: Callable[[str], bool]) -> Tags:
    """A tag that is immutable and there already is dropped: the image arrives without it (documented).

    `held`: tags of the destination's repository → digests.
    """
    wanted = tuple(dict.fromkeys(tags))
    dropped = tuple(tag for tag in wanted if tag in held and is_immutable(tag))
    return Tags(tuple(tag for tag in wanted if tag not in dropped), dropped)


# --- backfills --------------------------------------------------------------------------------------------------------


def stopped(status: str) -> str | None:
    """The status of a backfill that is told to stop; None where it may not be (documented)."""
    return {"PREPARING": "STOPPED", "IN_PROGRESS": "STOPPING"}.get(status)


class Verdict(NamedTuple):
    """How a backfill ends."""

    status: str
    failure_code: str | None = None


def verdict(status: str, total: int, completed: int, failed: int) -> Verdict | None:
    """The end of a backfill that has come so far; None when it goes on.

    Documented: FAILED with half of the replications failed, judged from the hundredth on. Inferred: COMPLETE also with
    some failures; one that is told to stop ends as STOPPED also where nothing was left to do.
    """
    processed = completed + failed
    if status == "STOPPING":
        return Verdict("STOPPED")
    if processed >= JUDGED_FROM and failed * 2 >= processed:
        return Verdict("FAILED", TOO_MANY_FAILED)
    return Verdict("COMPLETE") if processed >= total else None
