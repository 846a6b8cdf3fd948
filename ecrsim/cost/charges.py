"""The bill: quantities with their prices, and whom they are for. Pure.

Tiers and what is free hold for all that a bill is about together. What an item costs is then divided by the quantities,
so that the parts of repositories, prefixes and days add up to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

from ecrsim.cost.facts import Facts, Holder, Usage
from ecrsim.cost.prices import ITEMS, Prices
from ecrsim.cost.storage import bytes_now
from ecrsim.cost.usage import Units, customer_keys, doubly_encrypted, usages

_K = TypeVar("_K", bound=Hashable)
#: The items that are divided among prefixes of tags.
STORAGE_ITEMS = ("standard", "archive", "archive_minimum", "public_storage")


class Charge(NamedTuple):
    """A line of a bill: `amount` is 0 where the price is not known."""

    item: str
    quantity: float
    amount: float
    is_known: bool


class Rent(NamedTuple):
    """What a month costs if everything stays as it is: quantities of a month."""

    charges: tuple[Charge, ...]
    amount: float


class CostBill(NamedTuple):
    """Charges in the order of the items; `amounts`: what each usage costs, in parallel to `usages`."""

    charges: tuple[Charge, ...]
    total: float
    usages: tuple[Usage, ...]
    amounts: tuple[float, ...]
    rent: Rent

    def by(self, key: Callable[[Usage], _K | None]) -> dict[_K, float]:
        """The amounts added up by a key, the greatest first; usages whose key is None are left out."""
        found: dict[_K, float] = defaultdict(float)
        for usage, amount in zip(self.usages, self.amounts, strict=True):
            name = key(usage)
            if name is not None:
                found[name] += amount
        return dict(sorted(found.items(), key=lambda each: -each[1]))


def bill_of(facts: Facts, prices: Prices, pulls_from: str) -> CostBill:
    """The bill of the window of these facts."""
    units = Units(prices.days_per_month, prices.bytes_per_gb, prices.archive_minimum_days, prices.archive_ended_by)
    found = list(usages(facts, units, pulls_from))
    found += list(doubly_encrypted(found, facts.holdings))
    quantities: dict[str, float] = defaultdict(float)
    for usage in found:
        quantities[usage.item] += usage.quantity
    charges = _charges(prices, quantities, facts.window.months(prices.days_per_month))
    each = {charge.item: charge.amount / charge.quantity if charge.quantity else 0.0 for charge in charges}
    amounts = tuple(usage.quantity * each[usage.item] for usage in found)
    return CostBill(charges, sum(charge.amount for charge in charges), tuple(found), amounts, _rent(facts, prices))


def _charges(prices: Prices, quantities: dict[str, float], months: float) -> tuple[Charge, ...]:
    return tuple(
        Charge(item, quantities[item], prices.of(item, quantities[item], months), prices.rate(item).is_known)
        for item in ITEMS
        if item in quantities
    )


def _rent(facts: Facts, prices: Prices) -> Rent:
    quantities: dict[str, float] = defaultdict(float)
    for holding in facts.holdings:
        standard, archive = (size / prices.bytes_per_gb for size in bytes_now(holding))
        if holding.holder.kind == "public":
            quantities["public_storage"] += standard + archive
            continue
        for item, amount in (("standard", standard), ("archive", archive)):
            if amount:
                quantities[item] += amount
        if holding.encryption_type == "KMS_DSSE":
            quantities["kms_dsse"] += standard + archive
    keys = customer_keys(facts.holdings)
    if keys:
        quantities["kms_key"] = len(keys)
    charges = _charges(prices, quantities, 1)
    return Rent(charges, sum(charge.amount for charge in charges))


def storage_of(bill: CostBill) -> Callable[[Usage], str | None]:
    """For `by`: the prefix of what is stored."""
    return lambda usage: usage.prefix if usage.item in STORAGE_ITEMS else None


def transfers(found: Sequence[Usage]) -> dict[tuple[str, Holder], float]:
    """Gigabytes by item and repository, of items that are transfer."""
    sums: dict[tuple[str, Holder], float] = defaultdict(float)
    for usage in found:
        if "transfer" in usage.item:
            sums[usage.item, usage.holder] += usage.quantity
    return dict(sums)
