"""Repositories and bills for tests, worked out in whole gigabytes and months of 30 days."""

from __future__ import annotations

from typing import Any

from ecrsim.core.durations import DAY
from ecrsim.cost.facts import Facts, Holder, Holding, Window
from ecrsim.cost.price_file import load_prices
from ecrsim.ecr.lifecycle.engine import LifecycleImage

GB = 1 << 30
#: Midnight of a day in 2026, UTC: day 20454 since the epoch.
NOW = 20_454 * DAY
#: 30 days and no part of one more: the last instant of the window's last day.
WINDOW = Window(NOW - 30 * DAY, NOW - 1)
PRICES = load_prices()._replace(days_per_month=30)


def holder(name: str = "app", kind: str = "private", region: str = "us-east-1") -> Holder:
    return Holder(kind, "111122223333", region, name)


def image(number: int, *tags: str, day: float = -30, **members: Any) -> LifecycleImage:
    """Pushed so many days before the end of the window."""
    return LifecycleImage(number, f"sha256:{number}", tags, round(NOW + day * DAY), "STANDARD", **members)


def archived(number: int, *tags: str, day: float = -30, since: float = -30) -> LifecycleImage:
    return image(number, *tags, day=day)._replace(storage_class="ARCHIVE", last_archived_at=round(NOW + since * DAY))


def holding(*images: LifecycleImage, layers: dict[int, list[tuple[str, int]]] | None = None, **members: Any) -> Holding:
    """`layers`: digest and gigabytes by the number of the image; else each image has a layer of a gigabyte."""
    named = layers or {each.id: [(each.image_digest, 1)] for each in images}
    numbers: dict[str, int] = {}
    sizes: list[int] = []
    for found in named.values():
        for digest, size in found:
            if digest not in numbers:
                numbers[digest] = len(numbers)
                sizes.append(size * GB)
    about: dict[str, Any] = {
        "holder": holder(),
        "created_at": NOW - 60 * DAY,
        "encryption_type": "AES256",
        "kms_key": None,
        "is_key_managed": False,
        "resource_tags": {},
        "policy_text": None,
    }
    return Holding(
        **{**about, **members},
        images=images,
        layers={number: [numbers[digest] for digest, _ in found] for number, found in named.items()},
        sizes=sizes,
        digests=list(numbers),
    )


def facts(*holdings: Holding, **members: Any) -> Facts:
    about: dict[str, Any] = {"window": WINDOW, "past": (), "tallied": (), "is_complete": True}
    return Facts(holdings=holdings, **{**about, **members})
