"""A bill as one JSON document, from which the table and the page are made too, so that all say the same.

Its members are stable: new ones may come, and none goes or changes its meaning without another `version`. docs/cost.md
describes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ecrsim.core.clock import iso
from ecrsim.core.durations import DAY
from ecrsim.cost.charges import Charge, CostBill, bill_of, storage_of, transfers
from ecrsim.cost.facts import Facts, Holder
from ecrsim.cost.prices import ITEMS, Prices, Rate
from ecrsim.cost.savings import Saving, savings
from ecrsim.cost.storage import bytes_now

VERSION = 1


def cost_document(facts: Facts, prices: Prices, pulls_from: str, *, kind: str, name: str) -> dict[str, Any]:
    """The bill of these facts, in JSON's types. `kind`: ecrsim or describe-images; `name`: of what it is a bill."""
    bill = bill_of(facts, prices, pulls_from)
    window = facts.window
    return {
        "version": VERSION,
        "source": {"kind": kind, "name": name, "isComplete": facts.is_complete},
        "from": iso(window.since),
        "to": iso(window.until),
        "days": len(window.days),
        "pullsFrom": pulls_from,
        "prices": _prices(prices),
        "total": _money(bill.total),
        "charges": [_charge(each, prices) for each in bill.charges],
        "monthly": {
            "total": _money(bill.rent.amount),
            "charges": [_charge(each, prices) for each in bill.rent.charges],
        },
        "daily": _daily(bill, facts),
        "repositories": _repositories(bill, facts),
        "tagPrefixes": _prefixes(bill, facts),
        "resourceTags": _resource_tags(bill, facts),
        "transfer": [
            {"item": item, **_place(holder), "gigabytes": round(amount, 9)}
            for (item, holder), amount in sorted(transfers(bill.usages).items(), key=lambda each: -each[1])
        ],
        "savings": [_saving(each) for each in savings(facts, prices)],
        "notes": list(_notes(bill, facts, prices, pulls_from)),
    }


def _money(amount: float) -> float:
    """Fractions of a cent are kept: an ecrsim of a test holds megabytes. Without `-0.0`."""
    return round(amount, 6) + 0.0


def _prices(prices: Prices) -> dict[str, Any]:
    return {
        "asOf": prices.as_of,
        "currency": prices.currency,
        "region": prices.region,
        "isNewCustomer": prices.is_new_customer,
        "rates": {item: _rate(prices.rate(item)) for item in ITEMS},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "tiers": [{"upTo": tier.up_to, "price": tier.price, "provenance": tier.provenance} for tier in rate.tiers],
        "per": rate.per,
        "free": rate.free,
        "provenance": rate.provenance,
        "source": rate.source,
        "alternatives": [dict(each) for each in rate.alternatives],
    }


def _charge(charge: Charge, prices: Prices) -> dict[str, Any]:
    return {
        "item": charge.item,
        "quantity": round(charge.quantity, 9),
        "unit": ITEMS[charge.item],
        "amount": _money(charge.amount),
        "isKnown": charge.is_known,
        "provenance": prices.rate(charge.item).provenance,
    }


def _place(holder: Holder) -> dict[str, str]:
    return {
        "kind": holder.kind,
        "registryId": holder.registry_id,
        "region": holder.region,
        "repositoryName": holder.repository_name,
    }


def _daily(bill: CostBill, facts: Facts) -> list[dict[str, Any]]:
    found: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for usage, amount in zip(bill.usages, bill.amounts, strict=True):
        found[usage.day][usage.item] += amount
    return [
        {
            "date": iso(day * DAY)[:10],
            "amount": _money(sum(found[day].values())),
            "items": {item: _money(found[day][item]) for item in ITEMS if item in found[day]},
        }
        for day in facts.window.days
    ]


def _repositories(bill: CostBill, facts: Facts) -> list[dict[str, Any]]:
    amounts = bill.by(lambda usage: usage.holder)
    held = {each.holder: each for each in facts.holdings}
    items: dict[Holder, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for usage, amount in zip(bill.usages, bill.amounts, strict=True):
        items[usage.holder][usage.item] += amount
    found = []
    for holder in [*amounts, *(each for each in held if each not in amounts)]:
        holding = held.get(holder)
        standard, archive = (0, 0) if holding is None else bytes_now(holding)
        found.append(
            {
                **_place(holder),
                "isThere": holding is not None,
                "images": 0 if holding is None else len(holding.images),
                "standardBytes": standard,
                "archiveBytes": archive,
                "amount": _money(amounts.get(holder, 0.0)),
                "items": {item: _money(items[holder][item]) for item in ITEMS if item in items[holder]},
            }
        )
    return found


def _prefixes(bill: CostBill, facts: Facts) -> list[dict[str, Any]]:
    named = storage_of(bill)
    found = bill.by(lambda usage: None if named(usage) is None else (usage.holder, usage.prefix))
    return [
        {**_place(holder), "tagPrefix": prefix, "amount": _money(amount)} for (holder, prefix), amount in found.items()
    ]


def _resource_tags(bill: CostBill, facts: Facts) -> list[dict[str, Any]]:
    amounts = bill.by(lambda usage: usage.holder)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for holding in facts.holdings:
        for tag in holding.resource_tags.items():
            sums[tag] += amounts.get(holding.holder, 0.0)
            counts[tag] += 1
    ordered = sorted(sums, key=lambda tag: (tag[0], -sums[tag], tag[1]))
    return [
        {"key": tag[0], "value": tag[1], "repositories": counts[tag], "amount": _money(sums[tag])} for tag in ordered
    ]


def _saving(saving: Saving) -> dict[str, Any]:
    return {
        "kind": saving.kind,
        "message": saving.sentence,
        "monthly": _money(saving.monthly),
        "images": saving.images,
        "bytes": saving.size,
        "repositories": [_place(holder) for holder in saving.holders],
        "lifecyclePolicy": saving.policy,
        "note": saving.note,
    }


def _notes(bill: CostBill, facts: Facts, prices: Prices, pulls_from: str) -> Iterator[str]:
    """What the bill does not know, in sentences."""
    for charge in bill.charges:
        if not charge.is_known:
            yield (
                f"The price of {charge.item} is not known and counted as nothing: "
                f"{charge.quantity:,.6g} {ITEMS[charge.item]}. Give it with --prices."
            )
        alternatives = prices.rate(charge.item).alternatives
        if alternatives and charge.quantity:
            others = "; ".join(_alternative(each) for each in alternatives)
            yield f"Sources disagree on {charge.item}. Other figures: {others}."
    if not facts.is_complete:
        yield (
            "describe-images knows no layers: each image is billed whole, though ECR bills a layer of a repository "
            "once. Storage is an upper bound, for images that are still there; pulls, copies, scans, signatures and "
            "requests to KMS are not in it."
        )
    elif any(usage.item in ("transfer_internet", "public_transfer_authenticated") for usage in bill.usages):
        yield f"Pulls by clients are counted as going to: {pulls_from} (--pulls-from)."


def _alternative(found: Any) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in found.items() if name != "source")
    return f"{figures} ({found.get('source', 'no source')})"
