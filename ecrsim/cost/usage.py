"""From facts to quantities of items: who used how much of what on which day. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ecrsim.core.durations import DAY
from ecrsim.cost.facts import Facts, Holder, Holding, Tallied, Usage
from ecrsim.cost.storage import held_usage, past_usage

#: Where a client is that pulls: what is free, what leaves a region, what leaves AWS.
SAME_REGION, CROSS_REGION, INTERNET = "same-region", "cross-region", "internet"
DESTINATIONS = (INTERNET, SAME_REGION, CROSS_REGION)

#: Measures of the tally that are items as they are, each time one unit.
_COUNTED = {
    "basic-scan": "scan_basic",
    "enhanced-scan": "scan_enhanced_initial",
    "enhanced-rescan": "scan_enhanced_rescan",
    "signature": "signature",
    "kms-request": "kms_request",
}
_OF_PRIVATE = {
    SAME_REGION: "transfer_same_region",
    CROSS_REGION: "transfer_cross_region",
    INTERNET: "transfer_internet",
}


class Units(NamedTuple):
    """How quantities are counted: the month and the gigabyte of the prices, and the archive's minimum."""

    days_per_month: float
    bytes_per_gb: int
    archive_minimum_days: int
    archive_ended_by: Sequence[str]

    @property
    def byte_months(self) -> float:
        """Bytes times milliseconds that are a gigabyte-month."""
        return self.bytes_per_gb * self.days_per_month * DAY


def usages(facts: Facts, units: Units, pulls_from: str) -> Iterator[Usage]:
    """All quantities in the window. `pulls_from`: where clients are of whom nothing else is known."""
    minimum = units.archive_minimum_days * DAY
    for holding in facts.holdings:
        yield from held_usage(holding, facts.window, units.byte_months)
    yield from past_usage(facts.past, facts.window, units.byte_months, minimum, units.archive_ended_by)
    for tallied in facts.tallied:
        if tallied.day in facts.window.days:
            yield from _done(tallied, units.bytes_per_gb, pulls_from)
    yield from _keys(facts, units)


def transfer_item(tallied: Tallied, pulls_from: str) -> str | None:
    """The item that bytes of a pull or a copy are billed as; None for what is neither."""
    if tallied.measure == "replication":
        return _OF_PRIVATE[SAME_REGION if tallied.destination == tallied.holder.region else CROSS_REGION]
    if tallied.measure not in ("pull", "anonymous-pull"):
        return None
    place = tallied.destination or pulls_from
    if place not in _OF_PRIVATE:
        # The name of a region.
        place = SAME_REGION if place == tallied.holder.region else CROSS_REGION
    if tallied.holder.kind == "private":
        return _OF_PRIVATE[place]
    if place != INTERNET:
        return "public_transfer_aws"
    return "public_transfer_anonymous" if tallied.measure == "anonymous-pull" else "public_transfer_authenticated"


def _done(tallied: Tallied, bytes_per_gb: int, pulls_from: str) -> Iterator[Usage]:
    item = transfer_item(tallied, pulls_from)
    if item is not None:
        yield Usage(item, tallied.holder, "", tallied.day, tallied.size / bytes_per_gb)
    elif tallied.measure == "restore":
        yield Usage("archive_retrieval", tallied.holder, "", tallied.day, tallied.size / bytes_per_gb)
    elif tallied.measure in _COUNTED:
        yield Usage(_COUNTED[tallied.measure], tallied.holder, "", tallied.day, tallied.times)


def customer_keys(holdings: Sequence[Holding]) -> Mapping[str, list[Holding]]:
    """The repositories of each KMS key that a customer pays for, by its ARN."""
    found: dict[str, list[Holding]] = defaultdict(list)
    for holding in holdings:
        if holding.encryption_type != "AES256" and holding.kms_key and not holding.is_key_managed:
            found[holding.kms_key].append(holding)
    return found


def _keys(facts: Facts, units: Units) -> Iterator[Usage]:
    """A key is paid for from the first repository on that has it; its repositories share it evenly."""
    window = facts.window
    for of_key in customer_keys(facts.holdings).values():
        since = min(window.since if each.created_at is None else each.created_at for each in of_key)
        for day in window.days:
            begin, end = max(since, window.since, day * DAY), min(window.until, (day + 1) * DAY)
            for each in of_key if end > begin else ():
                quantity = (end - begin) / DAY / units.days_per_month / len(of_key)
                yield Usage("kms_key", each.holder, "", day, quantity)


def doubly_encrypted(found: Sequence[Usage], holdings: Sequence[Holding]) -> Iterator[Usage]:
    """The gigabyte-months of repositories with KMS_DSSE, for which there is a price of its own."""
    twice: set[Holder] = {each.holder for each in holdings if each.encryption_type == "KMS_DSSE"}
    for usage in found:
        if usage.holder in twice and usage.item in ("standard", "archive"):
            yield usage._replace(item="kms_dsse")
