"""Prices of storage: the dated table beside this file, or one that the user gives in its place."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

PUBLISHED = Path(__file__).with_name("prices.toml")


class PricesError(Exception):
    """The table cannot be used; the text says why."""


class Tier(NamedTuple):
    """A price for the gigabytes up to a number of them; the last tier has no end."""

    up_to_gb: float | None
    price_per_gb_month: float
    provenance: str


class Prices(NamedTuple):
    as_of: str
    currency: str
    region: str
    days_per_month: float
    bytes_per_gb: int
    standard: tuple[Tier, ...]
    archive: tuple[Tier, ...]
    retrieval_per_gb: float
    archive_minimum_days: int

    def of_a_day(self, active_bytes: int, archived_bytes: int) -> float:
        """The price of a day that ends with so many bytes in each storage class."""
        month = _of_a_month(self.standard, active_bytes / self.bytes_per_gb)
        month += _of_a_month(self.archive, archived_bytes / self.bytes_per_gb)
        return month / self.days_per_month

    def is_archive_cheaper(self, stored_bytes: int) -> bool:
        """Whether so many bytes cost less in the archive."""
        gigabytes = stored_bytes / self.bytes_per_gb
        return _of_a_month(self.archive, gigabytes) < _of_a_month(self.standard, gigabytes)


def _of_a_month(tiers: Sequence[Tier], gigabytes: float) -> float:
    cost, below = 0.0, 0.0
    for tier in tiers:
        end = gigabytes if tier.up_to_gb is None else min(gigabytes, tier.up_to_gb)
        cost += max(end - below, 0.0) * tier.price_per_gb_month
        below = end
    return cost


def load_prices(path: Path | None = None) -> Prices:
    """The published table, or the one in a file of the same form. PricesError when it cannot be used."""
    path = path or PUBLISHED
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PricesError(f"{path}: {error}") from None
    try:
        return Prices(
            as_of=str(document["as_of"]),
            currency=str(document["currency"]),
            region=str(document.get("region", "")),
            days_per_month=_positive(document, "days_per_month"),
            bytes_per_gb=int(_positive(document, "bytes_per_gb")),
            standard=_tiers(document, "standard"),
            archive=_tiers(document, "archive"),
            retrieval_per_gb=float(document.get("archive_retrieval", {}).get("price_per_gb", 0)),
            archive_minimum_days=int(document.get("archive_minimum", {}).get("days", 0)),
        )
    except KeyError as error:
        raise PricesError(f"{path}: {error.args[0]} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise PricesError(f"{path}: {error}") from None


def _positive(document: dict[str, Any], name: str) -> float:
    value = float(document[name])
    if value <= 0:
        raise ValueError(f"{name} is to be more than 0")
    return value


def _tiers(document: dict[str, Any], name: str) -> tuple[Tier, ...]:
    tiers = tuple(
        Tier(
            None if "up_to_gb" not in each else float(each["up_to_gb"]),
            float(each["price_per_gb_month"]),
            str(each.get("provenance", "given")),
        )
        for each in document[name]
    )
    ends = [tier.up_to_gb for tier in tiers]
    finite = [end for end in ends[:-1] if end is not None]
    if not tiers or ends[-1] is not None or len(finite) < len(ends) - 1 or finite != sorted(set(finite)):
        raise ValueError(f"{name} is a list of tiers whose up_to_gb ascends, and the last of which has none")
    if any(tier.price_per_gb_month < 0 for tier in tiers):
        raise ValueError(f"a price of {name} is below 0")
    return tiers
