"""Prices: what an item costs, in tiers and with what is free. Pure; `price_file.py` reads the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: The items of a bill, in their order, and their units.
ITEMS = {
    "standard": "GB-month",
    "archive": "GB-month",
    "archive_minimum": "GB-month",
    "archive_retrieval": "GB",
    "transfer_in": "GB",
    "transfer_same_region": "GB",
    "transfer_cross_region": "GB",
    "transfer_internet": "GB",
    "scan_basic": "scan",
    "scan_enhanced_initial": "scan",
    "scan_enhanced_rescan": "scan",
    "signature": "signature",
    "kms_key": "key-month",
    "kms_request": "request",
    "kms_dsse": "GB-month",
    "public_storage": "GB-month",
    "public_transfer_anonymous": "GB",
    "public_transfer_authenticated": "GB",
    "public_transfer_aws": "GB",
}
#: Those that have a form of their own.
OF_STORAGE = ("standard", "archive", "archive_minimum")
#: What a table says besides.
WORDS = ("as_of", "currency", "region", "days_per_month", "bytes_per_gb", "free_tier")
_UNKNOWN = "unknown"
#: Numbers that are less are taken for 0 where that cannot be, and nothing is more.
_LEAST, _MOST = 1e-9, 1e15
#: Of an item.
MEMBERS = ("price", "price_per_gb", "per", "free", "tiers", "provenance", "source", "alternatives")


class Tier(NamedTuple):
    """The price of a unit up to a number of them in a month; the last tier has no end. `price` is None if unknown."""

    up_to: float | None
    price: float | None
    provenance: str


class Rate(NamedTuple):
    """What an item costs. `per`: units that a price is for. `free`: units of each month that cost nothing."""

    tiers: tuple[Tier, ...]
    per: float = 1
    free: float = 0
    provenance: str = "given"
    source: str = ""
    #: What other sources say: `price` or `free`, and `source`.
    alternatives: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_known(self) -> bool:
        return all(tier.price is not None for tier in self.tiers)

    def of_a_month(self, units: float) -> float:
        """The price of so many units in a month; what is unknown costs nothing."""
        cost, below, billed = 0.0, 0.0, max(units - self.free, 0.0)
        for tier in self.tiers:
            end = billed if tier.up_to is None else min(billed, tier.up_to)
            cost += max(end - below, 0.0) * (tier.price or 0.0) / self.per
            below = end
        return cost


class Prices(NamedTuple):
    """All that is needed to make a bill. `free_tier`: gigabyte-months of a new customer, 0 where it is not one."""

    as_of: str
    currency: str
    region: str
    days_per_month: float
    bytes_per_gb: int
    standard: tuple[Tier, ...]
    archive: tuple[Tier, ...]
    retrieval_per_gb: float
    archive_minimum_days: int
    archive_ended_by: tuple[str, ...] = ("delete",)
    free_tier: float = 0.0
    is_new_customer: bool = False
    rates: Mapping[str, Rate] = {}

    def of_a_day(self, active_bytes: int, archived_bytes: int) -> float:
        """The price of a day that ends with so many bytes in each storage class."""
        month = Rate(self.standard).of_a_month(active_bytes / self.bytes_per_gb)
        month += Rate(self.archive).of_a_month(archived_bytes / self.bytes_per_gb)
        return month / self.days_per_month

    def is_archive_cheaper(self, stored_bytes: int) -> bool:
        """Whether so many bytes cost less in the archive."""
        gigabytes = stored_bytes / self.bytes_per_gb
        return Rate(self.archive).of_a_month(gigabytes) < Rate(self.standard).of_a_month(gigabytes)

    def rate(self, item: str) -> Rate:
        """Of an item of `ITEMS`; the free tier is taken off where it is wanted."""
        if item == "standard":
            free = self.free_tier if self.is_new_customer else 0.0
            return self.rates[item]._replace(free=free)
        return self.rates[item]

    def of(self, item: str, units: float, months: float) -> float:
        """The price of so many units in so long a time: tiers and what is free are counted by the month."""
        return self.rate(item).of_a_month(units / months) * months if months > 0 else 0.0


def prices_of(document: Mapping[str, Any]) -> Prices:
    """The table in a document, as TOML or JSON give it. KeyError, TypeError, ValueError, AttributeError."""
    standard, archive = (_storage_tiers(document, name) for name in ("standard", "archive"))
    minimum, new = document["archive_minimum"], document["free_tier"]
    rates = {item: _rate(item, document[item]) for item in ITEMS if item not in OF_STORAGE}
    rates["standard"] = _storage_rate(standard, document["standard"])
    rates["archive"] = _storage_rate(archive, document["archive"])
    rates["archive_minimum"] = rates["archive"]._replace(
        provenance=str(minimum.get("provenance", "given")), source=str(minimum.get("source", ""))
    )
    return Prices(
        as_of=str(document["as_of"]),
        currency=str(document["currency"]),
        region=str(document["region"]),
        days_per_month=_positive(document, "days_per_month"),
        bytes_per_gb=max(int(_positive(document, "bytes_per_gb")), 1),
        standard=standard,
        archive=archive,
        retrieval_per_gb=rates["archive_retrieval"].tiers[0].price or 0.0,
        archive_minimum_days=int(_number(minimum["days"], "days of archive_minimum")),
        archive_ended_by=tuple(str(each) for each in minimum.get("ended_by", ["delete"])),
        free_tier=_number(new["standard_gb_month"], "standard_gb_month of free_tier"),
        is_new_customer=bool(new.get("applies", False)),
        rates=rates,
    )


def _number(value: Any, what: str) -> float:
    """Beyond these bounds a bill is no number any more."""
    try:
        found = float(value)
    except OverflowError:
        found = _MOST + 1
    if not 0 <= found <= _MOST:
        raise ValueError(f"{what} is not from 0 to {_MOST:.0e}")
    return found


def _positive(document: Mapping[str, Any], name: str) -> float:
    value = _number(document[name], name)
    if value < _LEAST:
        raise ValueError(f"{name} is to be more than 0")
    return value


def _storage_tiers(document: Mapping[str, Any], name: str) -> tuple[Tier, ...]:
    found = [(each.get("up_to_gb"), each["price_per_gb_month"], each) for each in document[name]]
    return _tiers(name, "up_to_gb", found, "given")


def _storage_rate(tiers: tuple[Tier, ...], sections: Sequence[Mapping[str, Any]]) -> Rate:
    return Rate(tiers, provenance=tiers[0].provenance, source=str(sections[0].get("source", "")))


def _tiers(
    name: str, end: str, found: Sequence[tuple[Any, Any, Mapping[str, Any]]], provenance: str
) -> tuple[Tier, ...]:
    tiers = tuple(
        Tier(
            None if up_to is None else _number(up_to, f"{end} of {name}"),
            None if price == _UNKNOWN else _number(price, f"a price of {name}"),
            str(section.get("provenance", provenance)),
        )
        for up_to, price, section in found
    )
    ends = [tier.up_to for tier in tiers]
    finite = [each for each in ends[:-1] if each is not None]
    if not tiers or ends[-1] is not None or len(finite) < len(ends) - 1 or finite != sorted(set(finite)):
        raise ValueError(f"{name} is a list of tiers whose {end} ascends, and the last of which has none")
    return tiers


def _rate(item: str, section: Mapping[str, Any]) -> Rate:
    if not isinstance(section, Mapping):
        raise TypeError(f"{item} is a table with its price")
    provenance = str(section.get("provenance", "given"))
    if "tiers" in section:
        found = [(each.get("up_to"), each["price"], each) for each in section["tiers"]]
    else:
        price = section["price_per_gb"] if "price_per_gb" in section else section["price"]
        found = [(None, price, section)]
    per, free = (_number(section.get(name, other), f"{name} of {item}") for name, other in (("per", 1), ("free", 0)))
    if per < _LEAST:
        raise ValueError(f"per of {item} is to be more than 0")
    return Rate(
        _tiers(item, "up_to", found, provenance),
        per,
        free,
        provenance,
        str(section.get("source", "")),
        tuple(dict(each) for each in section.get("alternatives", ())),
    )
