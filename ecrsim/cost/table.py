"""A bill for a terminal of 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH = 100
#: Rows of each part; the JSON has them all.
MAX_ROWS = 20
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

#: The items in words.
NAMES = {
    "standard": "storage",
    "archive": "archive storage",
    "archive_minimum": "archived images that went early",
    "archive_retrieval": "restores from the archive",
    "transfer_in": "transfer in",
    "transfer_same_region": "pulls and copies within the region",
    "transfer_cross_region": "pulls and copies to other regions",
    "transfer_internet": "pulls from the internet",
    "scan_basic": "basic scans",
    "scan_enhanced_initial": "enhanced scans",
    "scan_enhanced_rescan": "enhanced scans again",
    "signature": "signatures",
    "kms_key": "KMS keys",
    "kms_request": "requests to KMS",
    "kms_dsse": "double encryption",
    "public_storage": "ECR Public: storage",
    "public_transfer_anonymous": "ECR Public: pulls without credentials",
    "public_transfer_authenticated": "ECR Public: pulls with credentials",
    "public_transfer_aws": "ECR Public: pulls from AWS",
}


def size(count: float) -> str:
    """`512 B`, `1.5 GiB`."""
    amount = float(count)
    for unit in _UNITS:
        if abs(amount) < 1023.95 or unit == _UNITS[-1]:
            break
        amount /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def money(amount: float) -> str:
    """With cents; what is less than half a cent keeps the digits that say how much."""
    return f"{amount:,.2f}" if amount == 0 or abs(amount) >= 0.005 else f"{amount:.6f}"


def quantity(charge: Mapping[str, Any]) -> str:
    amount = charge["quantity"]
    return f"{amount:,.0f}" if float(amount).is_integer() else f"{amount:,.6g}"


def repository_of(found: Mapping[str, Any]) -> str:
    """`app`, and where it is, as a host does: `111122223333.us-east-1/app`; `public/app`."""
    place = "public" if found["kind"] == "public" else f"{found['registryId']}.{found['region']}"
    return f"{place}/{found['repositoryName']}"


def table(found: Mapping[str, Any]) -> str:
    """The whole table, with a newline at its end."""
    lines = [
        *_head(found),
        "",
        *_charges(found),
        *_part("repository", "images", _repositories(found)),
        *_part("tag prefix", "", _prefixes(found)),
        *_part("resource tag", "repositories", _resource_tags(found)),
        *_savings(found),
        *_notes(found),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    prices = found["prices"]
    place = f" in {prices['region']}" if prices["region"] else ""
    until = found["to"][:16].replace("T", " ")
    yield f"{found['source']['name']}: {found['days']} day{_s(found['days'])} until {until} UTC"
    yield f"{prices['currency']} at the prices of {prices['asOf']}{place}"


def _charges(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'':38}  {'quantity':>12}  {'':9}  {'amount':>12}  price"
    for charge in found["charges"]:
        amount = money(charge["amount"]) if charge["isKnown"] else "unknown"
        yield (
            f"{NAMES[charge['item']]:38}  {quantity(charge):>12}  {charge['unit']:9}  {amount:>12}  "
            f"{charge['provenance']}"
        )
    yield f"{'total':38}  {'':12}  {'':9}  {money(found['total']):>12}"
    yield f"{'a month of what is held now':38}  {'':12}  {'':9}  {money(found['monthly']['total']):>12}"


def _part(head: str, second: str, rows: Sequence[tuple[str, str, float]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"{head:56}  {second:>12}  {'amount':>12}"
    for name, count, amount in rows[:MAX_ROWS]:
        yield f"{_cut(name, 56):56}  {count:>12}  {money(amount):>12}"
    if len(rows) > MAX_ROWS:
        rest = sum(amount for _, _, amount in rows[MAX_ROWS:])
        yield f"{f'{len(rows) - MAX_ROWS} more':56}  {'':>12}  {money(rest):>12}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"...{text[-(width - 3) :]}"


def _repositories(found: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    return [(repository_of(each), f"{each['images']:,}", each["amount"]) for each in found["repositories"]]


def _prefixes(found: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    return [(f"{repository_of(each)} {each['tagPrefix']}", "", each["amount"]) for each in found["tagPrefixes"]]


def _resource_tags(found: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    return [
        (f"{each['key']}={each['value']}", f"{each['repositories']:,}", each["amount"])
        for each in found["resourceTags"]
    ]


def saving_sentence(each: Mapping[str, Any]) -> str:
    """What to do, where, and what it takes away."""
    places = each["repositories"]
    where = f" in {repository_of(places[0])}" if len(places) == 1 else ""
    images = f"{each['images']:,} image{_s(each['images'])}, " if each["images"] else ""
    text = f"{each['message']}{where} ({images}{size(each['bytes'])})"
    return f"{text}. {each['note']}" if each["note"] else text


def _savings(found: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    if not found["savings"]:
        yield "nothing that is tried would save anything"
        return
    yield "what would save most, a month:"
    for each in found["savings"][:MAX_ROWS]:
        wrapped = textwrap.wrap(saving_sentence(each), WIDTH - 14, break_on_hyphens=False)
        yield f"{money(each['monthly']):>12}  {wrapped[0]}"
        yield from (f"{'':12}  {rest}" for rest in wrapped[1:])


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    if found["notes"]:
        yield ""
    for note in found["notes"]:
        yield from textwrap.wrap(note, WIDTH, break_on_hyphens=False)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
