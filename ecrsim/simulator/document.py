"""A forecast as one JSON document, from which the table and the page are made too, so that all say the same.

Its members are stable: new ones may come, and none goes or changes its meaning without another `version`.
docs/lifecycle.md describes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ecrsim.core.clock import iso
from ecrsim.core.durations import DAY
from ecrsim.cost.prices import Prices
from ecrsim.ecr.lifecycle.engine import LifecycleImage, explain
from ecrsim.ecr.lifecycle.policy import LifecycleRule, Policy
from ecrsim.simulator.forecast import Day, Departure, Forecast, Match, Stock, stock_of
from ecrsim.simulator.hints import Hint, tags_of
from ecrsim.simulator.pushes import History

VERSION = 1

SIZES_COUNT_TWICE = (
    "imageSizeInBytes counts a layer for each image that has it; ECR stores and bills a layer of a repository once. "
    "Bytes and money here are therefore an upper bound, and the closer the less the images share."
)


class UserQuestion(NamedTuple):
    """The question of the user. `per_day_is_given`: the rate of pushes is not read from the history."""

    source: str
    name: str
    are_references_known: bool
    per_day: float
    per_day_is_given: bool


def document(
    asked: UserQuestion,
    images: Sequence[LifecycleImage],
    forecast: Forecast,
    history: History,
    prices: Prices,
    hints: Sequence[Hint],
) -> dict[str, Any]:
    """The whole forecast, in JSON's types. Times are ISO 8601, sizes bytes, money the currency of the prices."""
    days = [_day(day, prices) for day in forecast.days]
    last = forecast.days[-1]
    expired = [each for each in forecast.departures if each.action == "EXPIRE"]
    archived = [each for each in forecast.departures if each.action == "TRANSITION"]
    cost, without = (sum(day[member] for day in days) for member in ("cost", "costWithoutPolicy"))
    return {
        "version": VERSION,
        "source": {"kind": asked.source, "name": asked.name, "areReferencesKnown": asked.are_references_known},
        "from": iso(forecast.start),
        "to": iso(forecast.start + len(days) * DAY),
        "runsPerDay": forecast.runs_per_day,
        "pushes": _pushes(asked, history),
        "prices": _prices(prices),
        "start": _stock(stock_of(images)),
        "days": days,
        "rules": [_rule(match, forecast.departures) for match in forecast.matches],
        "followers": _tally([each for each in forecast.departures if each.rule_priority is None]),
        "departures": [_departure(each) for each in forecast.departures],
        "totals": {
            "expiredImages": len(expired),
            "archivedImages": len(archived),
            "bytesFreed": last.without_policy.active_bytes
            + last.without_policy.archived_bytes
            - last.stock.active_bytes
            - last.stock.archived_bytes,
            "bytesArchived": sum(each.image.image_size_in_bytes for each in archived),
            "cost": _money(cost),
            "costWithoutPolicy": _money(without),
            "saved": _money(without - cost),
        },
        "warnings": [_hint(hint) for hint in hints],
        "explanation": None,
    }


def _stock(stock: Stock) -> dict[str, dict[str, int]]:
    return {
        "active": {"images": stock.active_images, "bytes": stock.active_bytes},
        "archived": {"images": stock.archived_images, "bytes": stock.archived_bytes},
    }


def _day(day: Day, prices: Prices) -> dict[str, Any]:
    cost = prices.of_a_day(day.stock.active_bytes, day.stock.archived_bytes)
    without = prices.of_a_day(day.without_policy.active_bytes, day.without_policy.archived_bytes)
    return {
        "day": day.number,
        "at": iso(day.at),
        "pushed": day.pushed,
        "actions": [
            {
                "rulePriority": tally.rule_priority,
                "action": tally.action,
                "images": tally.images,
                "bytes": tally.size_in_bytes,
            }
            for tally in day.tallies
        ],
        **_stock(day.stock),
        "withoutPolicy": {
            "images": day.without_policy.active_images + day.without_policy.archived_images,
            "bytes": day.without_policy.active_bytes + day.without_policy.archived_bytes,
        },
        "cost": _money(cost),
        "costWithoutPolicy": _money(without),
    }


def _money(amount: float) -> float:
    return round(amount, 6)


def _pushes(asked: UserQuestion, history: History) -> dict[str, Any]:
    return {
        "perDay": round(asked.per_day, 4),
        "basis": "given" if asked.per_day_is_given else "history",
        "history": {
            "from": iso(history.pushed_from),
            "to": iso(history.pushed_to),
            "pushes": history.pushes,
            "untagged": history.untagged,
        },
        "imageSizeInBytes": history.median_size,
        "tagFamilies": history.families[:100],
    }


def _prices(prices: Prices) -> dict[str, Any]:
    return {
        "asOf": prices.as_of,
        "currency": prices.currency,
        "region": prices.region,
        **{
            name: [
                {"upToGb": tier.up_to, "pricePerGbMonth": tier.price or 0, "provenance": tier.provenance}
                for tier in tiers
            ]
            for name, tiers in (("standard", prices.standard), ("archive", prices.archive))
        },
        "retrievalPerGb": prices.retrieval_per_gb,
        "archiveMinimumDays": prices.archive_minimum_days,
        "note": SIZES_COUNT_TWICE,
    }


def _rule(match: Match, departures: Sequence[Departure]) -> dict[str, Any]:
    mine = [each for each in departures if each.rule_priority == match.rule.rule_priority]
    return {
        "rulePriority": match.rule.rule_priority,
        "description": match.rule.description,
        "sentence": sentence_of(match.rule),
        "matchingNow": match.matching_now,
        **_tally(mine),
    }


def _tally(departures: Sequence[Departure]) -> dict[str, Any]:
    return {
        "expiredImages": sum(each.action == "EXPIRE" for each in departures),
        "archivedImages": sum(each.action == "TRANSITION" for each in departures),
        "bytes": sum(each.image.image_size_in_bytes for each in departures),
        "firstDay": departures[0].day if departures else None,
        "lastDay": departures[-1].day if departures else None,
    }


def sentence_of(rule: LifecycleRule) -> str:
    """The rule as a sentence: `expires images with tags like prod* beyond the newest 10`."""
    verb = "expires" if rule.action == "expire" else "archives"
    whose = tags_of(rule) if rule.tag_status != "tagged" else f"images with {tags_of(rule)}"
    if rule.count_type == "imageCountMoreThan":
        return f"{verb} {whose} beyond the newest {rule.count_number}"
    since = {"sinceImagePushed": "pushed", "sinceImagePulled": "last pulled", "sinceImageTransitioned": "archived"}
    days = f"{rule.count_number} day{'' if rule.count_number == 1 else 's'}"
    return f"{verb} {whose} {since[rule.count_type]} more than {days} ago"


def _departure(departure: Departure) -> dict[str, Any]:
    image = departure.image
    return {
        "day": departure.day,
        "at": iso(departure.at),
        "imageDigest": image.image_digest,
        "imageTags": list(image.image_tags),
        "imagePushedAt": iso(image.image_pushed_at),
        "imageSizeInBytes": image.image_size_in_bytes,
        "action": departure.action,
        "rulePriority": departure.rule_priority,
        "reason": departure.sentence,
        "isForeseen": departure.is_foreseen,
    }


def _hint(hint: Hint) -> dict[str, Any]:
    return {
        "level": hint.level,
        "kind": hint.kind,
        "message": hint.sentence,
        "rulePriority": hint.rule_priority,
        "imageDigests": list(hint.image_digests),
    }


def explanation(images: Sequence[LifecycleImage], policy: Policy, forecast: Forecast, name: str) -> dict[str, Any]:
    """The story of one image, by its digest or a tag: what the engine says of it now, and what becomes of it.

    LookupError when no image has the name.
    """
    image = next((each for each in images if name == each.image_digest or name in each.image_tags), None)
    if image is None:
        raise LookupError(f"no image has the digest or tag {name}")
    steps = explain(images, policy, forecast.start, image.image_digest)
    fates = [each for each in forecast.departures if each.image.id == image.id]
    return {
        "imageDigest": image.image_digest,
        "imageTags": list(image.image_tags),
        "imagePushedAt": iso(image.image_pushed_at),
        "now": [step.sentence() for step in steps],
        "departures": [_departure(each) for each in fates],
        "stays": not any(each.action == "EXPIRE" for each in fates),
    }
