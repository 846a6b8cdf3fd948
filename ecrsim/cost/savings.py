"""What would make a bill smaller, and by how much a month. Pure.

A lifecycle rule is put to the engine that decides for ECR's runs (`ecr/lifecycle/engine.py: plan`), on the images as
they are, behind what the repository's own policy takes anyway; what it frees are the layers that no other image names.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ecrsim.cost.facts import Facts, Holder, Holding
from ecrsim.cost.prefixes import prefix_of
from ecrsim.cost.prices import Prices
from ecrsim.cost.storage import bytes_now, classes_of, is_standard
from ecrsim.ecr.lifecycle.engine import LifecycleImage, plan
from ecrsim.ecr.lifecycle.policy import read

#: Rules that are tried: the days of images without tags, the newest that are kept of a prefix, the days without a pull.
UNTAGGED_DAYS, KEPT, UNPULLED_DAYS = 14, 10, 90
#: Prefixes of a repository that are tried, those with the most images first.
_MOST_PREFIXES = 20
#: Below it, in the currency of the prices, nothing is proposed but the archive, about which people ask.
_LEAST = 0.005


class Saving(NamedTuple):
    """A proposal. `kind`: expire, archive, duplicates. `monthly`: what it saves a month, at the prices of the bill.

    `policy`: the lifecycle policy that would do it. `holders`: the repositories that it is about.
    """

    kind: str
    sentence: str
    monthly: float
    images: int
    size: int
    holders: tuple[Holder, ...]
    policy: dict[str, Any] | None = None
    note: str = ""


class _Totals(NamedTuple):
    """Bytes of all private repositories, and of all public ones: tiers hold for them together."""

    standard: int
    archive: int
    public: int

    def price(self, prices: Prices) -> float:
        gigabyte = prices.bytes_per_gb
        return (
            prices.of("standard", self.standard / gigabyte, 1)
            + prices.of("archive", self.archive / gigabyte, 1)
            + prices.of("public_storage", self.public / gigabyte, 1)
        )

    def without(self, kind: str, standard: int, archive: int) -> _Totals:
        if kind == "public":
            return self._replace(public=self.public - standard - archive)
        return self._replace(standard=self.standard - standard, archive=self.archive - archive)


def savings(facts: Facts, prices: Prices) -> list[Saving]:
    """The proposals, what saves most first. They do not add up: several may be about the same bytes."""
    totals = _totals(facts.holdings)
    now = facts.window.until
    found: list[Saving] = []
    for holding in facts.holdings:
        found += _by_rules(holding, totals, prices, now)
    found += _duplicates(facts, totals, prices)
    worth = [each for each in found if each.monthly >= _LEAST or each.kind == "archive"]
    return sorted(worth, key=lambda each: (-each.monthly, -each.size))


def _totals(holdings: Sequence[Holding]) -> _Totals:
    standard = archive = public = 0
    for holding in holdings:
        one, other = bytes_now(holding)
        if holding.holder.kind == "public":
            public += one + other
        else:
            standard, archive = standard + one, archive + other
    return _Totals(standard, archive, public)


# --- lifecycle rules --------------------------------------------------------------------------------------------------


def _by_rules(holding: Holding, totals: _Totals, prices: Prices, now: int) -> Iterator[Saving]:
    if holding.holder.kind == "public":
        # ECR Public has neither lifecycle policies nor an archive.
        return
    images, going = list(holding.images), ""
    if holding.policy_text is not None:
        gone = {each.image.id for each in plan(images, read(holding.policy_text), now) if each.action == "EXPIRE"}
        images = [image for image in images if image.id not in gone]
        going = "It is counted behind the repository's own policy, and is to be added to it."
    before = bytes_now(holding, images)
    for selection, action, sentence in _rules(images):
        policy = {"rules": [{"rulePriority": 1, "selection": selection, "action": action}]}
        decisions = plan(images, read(json.dumps(policy)), now)
        if not decisions:
            continue
        touched = {each.image.id for each in decisions}
        after = _after(holding, images, touched, action["type"])
        standard, archive = before[0] - after[0], before[1] - after[1]
        is_archive = action["type"] == "transition"
        less = totals.without(holding.holder.kind, standard, archive)
        monthly = totals.price(prices) - less.price(prices)
        note = _archive_note(prices, monthly) if is_archive else going
        yield Saving(
            "archive" if is_archive else "expire",
            sentence,
            monthly,
            len(touched),
            standard if is_archive else standard + archive,
            (holding.holder,),
            policy,
            note,
        )


def _rules(images: Sequence[LifecycleImage]) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Selections, actions and what they do in words."""
    expire = {"type": "expire"}
    days = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": UNTAGGED_DAYS}
    if any(not image.image_tags for image in images):
        sentence = f"expire images without tags {UNTAGGED_DAYS} days after their push"
        yield {"tagStatus": "untagged", **days}, expire, sentence
    counts = Counter(prefix_of(image.image_tags) for image in images if is_standard(image))
    for prefix, count in counts.most_common(_MOST_PREFIXES):
        if prefix.endswith("*") and count > KEPT:
            kept = {"tagStatus": "tagged", "tagPatternList": [prefix], "countType": "imageCountMoreThan"}
            yield {**kept, "countNumber": KEPT}, expire, f"keep the newest {KEPT} images tagged {prefix}"
    if counts.total() > KEPT and not any(prefix.endswith("*") and count > KEPT for prefix, count in counts.items()):
        every = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT}
        yield every, expire, f"keep the newest {KEPT} images"
    unpulled = {"countType": "sinceImagePulled", "countUnit": "days", "countNumber": UNPULLED_DAYS}
    yield (
        {"tagStatus": "any", **unpulled},
        {"type": "transition", "targetStorageClass": "archive"},
        f"archive images that were not pulled for {UNPULLED_DAYS} days",
    )


def _after(holding: Holding, images: Sequence[LifecycleImage], touched: set[int], action: str) -> tuple[int, int]:
    if action == "expire":
        return bytes_now(holding, [image for image in images if image.id not in touched])
    archived = [image._replace(storage_class="ARCHIVE") if image.id in touched else image for image in images]
    return bytes_now(holding, archived)


def _archive_note(prices: Prices, monthly: float) -> str:
    retrieval = (
        f"restoring costs {prices.retrieval_per_gb:.2f} {prices.currency} a GB, and "
        f"{prices.archive_minimum_days} days are billed at least"
    )
    if monthly >= _LEAST:
        return f"{retrieval}."
    return f"So much costs as much in the archive as outside of it; {retrieval}."


# --- layers that are there more than once -----------------------------------------------------------------------------


def _duplicates(facts: Facts, totals: _Totals, prices: Prices) -> Iterator[Saving]:
    """Layers that several repositories of one registry hold are billed in each of them."""
    by_registry: dict[tuple[str, str, str], list[Holding]] = defaultdict(list)
    for holding in facts.holdings:
        by_registry[holding.holder[:3]].append(holding)
    for (kind, _, _), holdings in by_registry.items():
        if len(holdings) < 2:
            continue
        places: dict[str, list[tuple[Holding, int, bool]]] = defaultdict(list)
        for holding in holdings:
            for layer, mark in enumerate(classes_of(holding)):
                if mark:
                    places[holding.digests[layer]].append((holding, holding.sizes[layer], mark == 2))
        sizes = {"standard": 0, "archive": 0}
        holders: Counter[Holder] = Counter()
        layers = 0
        for found in places.values():
            if len(found) < 2:
                continue
            layers += 1
            # One of them stays, and of two classes the one that can be pulled.
            stays = next((place for place, each in enumerate(found) if each[2]), 0)
            for place, (holding, size, standard) in enumerate(found):
                holders[holding.holder] += size
                if place != stays:
                    sizes["standard" if standard else "archive"] += size
        less = totals.without(kind, sizes["standard"], sizes["archive"])
        if layers:
            what = "layers" if facts.is_complete else "images"
            sentence = (
                f"{layers} {what} are in more than one of {len(holders)} repositories, and billed in each of them: "
                "keep images of one base in one repository"
            )
            monthly = totals.price(prices) - less.price(prices)
            named = tuple(holder for holder, _ in holders.most_common())
            yield Saving("duplicates", sentence, monthly, 0, sum(sizes.values()), named)
