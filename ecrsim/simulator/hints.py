"""Hints for the author of a policy: rules without effect, images that would be missed.

`danger`: images that are needed are lost or out of reach. `warning`: the policy may not do what it was written for.
`note`: what the forecast does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ecrsim.core.durations import DAY
from ecrsim.cost.prices import Prices
from ecrsim.ecr.lifecycle.engine import LifecycleImage
from ecrsim.ecr.lifecycle.policy import LifecycleRule
from ecrsim.simulator.forecast import Departure, Forecast, Match
from ecrsim.simulator.pushes import History

PULLED_RECENTLY_DAYS = 30
DANGER, WARNING, NOTE = "danger", "warning", "note"
_PAST = {"EXPIRE": "expired", "TRANSITION": "archived"}


class Hint(NamedTuple):
    """`kind` is stable; `image_digests` and `rule_priority` say what it is about."""

    level: str
    kind: str
    sentence: str
    rule_priority: int | None = None
    image_digests: tuple[str, ...] = ()


def hints(
    images: Sequence[LifecycleImage],
    forecast: Forecast,
    history: History,
    prices: Prices,
    *,
    per_day: float,
    index_count: int,
    are_references_known: bool,
) -> list[Hint]:
    """The gravest first. `index_count`: of the indexes whose children are not known, when references are not."""
    found = [*_losses(images, forecast), *_useless_rules(forecast), *_archive(forecast, prices)]
    if index_count and not are_references_known:
        found.append(
            Hint(
                NOTE,
                "index-children-unknown",
                f"{_images(index_count, 'index', 'indexes')} {_is(index_count)} there. describe-images does not say "
                "what an index lists: ECR keeps those images as long as their index, and this forecast does not",
            )
        )
    if any(departure.action == "TRANSITION" and _by_pull(forecast, departure) for departure in forecast.departures):
        found.append(
            Hint(
                NOTE,
                "pulls-not-foreseen",
                "pulls to come are not foreseen: sinceImagePulled does not archive an image that goes on being pulled",
            )
        )
    if not images:
        found.append(Hint(NOTE, "no-images", "there is no image: nothing can be forecast"))
    elif not history.pushes and not per_day:
        found.append(
            Hint(NOTE, "no-pushes", "nothing was pushed in the last 30 days, and so nothing is expected to be")
        )
    order = (DANGER, WARNING, NOTE)
    return sorted(found, key=lambda hint: order.index(hint.level))


def _losses(images: Sequence[LifecycleImage], forecast: Forecast) -> list[Hint]:
    found = []
    if forecast.emptied_on is not None:
        found.append(
            Hint(
                DANGER, "deletes-every-image", f"the run of day {forecast.emptied_on} leaves no image in the repository"
            )
        )
    elif forecast.all_archived_on is not None:
        found.append(
            Hint(
                DANGER,
                "archives-every-image",
                f"after the run of day {forecast.all_archived_on} every image is archived, and none can be pulled",
            )
        )
    pulled = [image for image in images if image.last_recorded_pull_time is not None]
    if pulled:
        last = max(pulled, key=lambda image: (image.last_recorded_pull_time or 0, image.id))
        found += _last_pulled(last, forecast)
    return found + _recently_pulled(forecast)


def _last_pulled(last: LifecycleImage, forecast: Forecast) -> list[Hint]:
    departure = next((each for each in forecast.departures if each.image.id == last.id), None)
    if departure is None:
        return []
    verb = "deletes" if departure.action == "EXPIRE" else "archives"
    return [
        Hint(
            DANGER,
            f"{verb}-last-pulled-image",
            f"the image that was pulled last, {named(last)}, is {_PAST[departure.action]} on day {departure.day} "
            f"{_by(departure.rule_priority)}",
            departure.rule_priority,
            (last.image_digest,),
        )
    ]


def _recently_pulled(forecast: Forecast) -> list[Hint]:
    since = forecast.start - PULLED_RECENTLY_DAYS * DAY
    groups: dict[tuple[int | None, str], list[Departure]] = {}
    for departure in forecast.departures:
        pulled = departure.image.last_recorded_pull_time
        if pulled is not None and pulled >= since and departure.image.storage_class != "ARCHIVE":
            groups.setdefault((departure.rule_priority, departure.action), []).append(departure)
    found = []
    for (priority, action), departures in groups.items():
        first = departures[0]
        count = len(departures)
        found.append(
            Hint(
                WARNING,
                "recently-pulled",
                f"{_images(count)} pulled within the last {PULLED_RECENTLY_DAYS} days {_is(count)} {_PAST[action]} "
                f"{_by(priority)}: {named(first.image)} on day {first.day}{' and others' if count > 1 else ''}",
                priority,
                tuple(departure.image.image_digest for departure in departures),
            )
        )
    return found


def _useless_rules(forecast: Forecast) -> list[Hint]:
    acted = {departure.rule_priority for departure in forecast.departures}
    span = f"now or within {_days(len(forecast.days))}"
    found = []
    for match in forecast.matches:
        priority = match.rule.rule_priority
        if not match.matched:
            found.append(
                Hint(
                    WARNING, "rule-never-matches", f"rule {priority} matches no image {span}: {_asks(match)}", priority
                )
            )
        elif not match.claimed_first:
            earlier = " and ".join(f"rule {each} ({_images(count)})" for each, count in match.hidden_by.items())
            found.append(
                Hint(
                    WARNING,
                    "rule-hidden",
                    f"rule {priority} never acts: all that it matches is claimed before, by {earlier}",
                    priority,
                )
            )
        elif priority not in acted:
            found.append(
                Hint(
                    NOTE,
                    "rule-acts-on-nothing",
                    f"rule {priority} acts on no image {span}, though it matches {_images(match.matched)}",
                    priority,
                )
            )
    return found


def _archive(forecast: Forecast, prices: Prices) -> list[Hint]:
    if not any(departure.action == "TRANSITION" for departure in forecast.departures):
        return []
    if prices.is_archive_cheaper(max(day.stock.archived_bytes for day in forecast.days)):
        return []
    return [
        Hint(
            WARNING,
            "archive-saves-nothing",
            "archiving saves no storage cost: so much costs as much in the archive as outside it, "
            f"at the prices of {prices.as_of}; restoring costs {prices.retrieval_per_gb:.2f} {prices.currency} a GB",
        )
    ]


def _by_pull(forecast: Forecast, departure: Departure) -> bool:
    rules = {match.rule.rule_priority: match.rule for match in forecast.matches}
    rule = rules.get(departure.rule_priority or 0)
    return rule is not None and rule.count_type == "sinceImagePulled"


def _asks(match: Match) -> str:
    where = "the archive" if match.rule.storage_class == "archive" else "the images that are not archived"
    return f"it looks for {tags_of(match.rule)} in {where}"


def tags_of(rule: LifecycleRule) -> str:
    """`tags like prod*`, `tags that begin with prod`, `images without tags`, `any image`."""
    if rule.tag_status == "untagged":
        return "images without tags"
    if rule.tag_status == "any":
        return "any image"
    how = "like" if rule.tag_pattern_list else "that begin with"
    return f"tags {how} {' and '.join(rule.tag_pattern_list or rule.tag_prefix_list)}"


def named(image: LifecycleImage) -> str:
    """The digest, shortened as docker does it, and the tags."""
    algorithm, colon, value = image.image_digest.partition(":")
    short = f"{algorithm}{colon}{value[:12]}"
    return f"{short} ({', '.join(image.image_tags[:3])})" if image.image_tags else short


def _by(priority: int | None) -> str:
    return "with its subject" if priority is None else f"by rule {priority}"


def _images(count: int, one: str = "image", more: str = "images") -> str:
    return f"{count} {one if count == 1 else more}"


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
