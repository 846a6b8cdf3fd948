"""A bill as one HTML file: no script, nothing from elsewhere, for light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ecrsim import __version__
from ecrsim.cost.charts import GROUPS, Bar, bars, columns, group_amounts
from ecrsim.cost.table import NAMES, money, quantity, repository_of, saving_sentence, size
from ecrsim.reportpage import figures, section, table, whole

#: Rows of a table, and bars of a chart; the JSON has them all.
MAX_ROWS, MAX_BARS = 200, 12


def page(found: Mapping[str, Any]) -> str:
    """The whole file. Its numbers are those of the document."""
    name = escape(found["source"]["name"])
    prices = found["prices"]
    place = f" in {prices['region']}" if prices["region"] else ""
    days = f"{found['days']} day{'' if found['days'] == 1 else 's'}"
    until = found["to"][:16].replace("T", " ")
    about = f"{days} until {until} UTC, in {prices['currency']} at the prices of {prices['asOf']}{place}"
    body = [
        f"<h1>What {name} costs</h1>",
        f'<p class="dim">{escape(about)}</p>',
        *_figures(found),
        *_section("items", "By item", _items(found)),
        *_section("daily", "By day", _daily(found)),
        *_section("repositories", "By repository", _repositories(found)),
        *_section("prefixes", "By tag prefix", _prefixes(found)),
        *_section("tags", "By resource tag", _tags(found)),
        *_section("savings", "What would save most", _savings(found)),
        *_section("notes", "What is not known", _notes(found)),
        f'<p class="dim">Made by ecrsim {escape(__version__)}.</p>',
    ]
    return whole(f"{name}: cost", _STYLE, body)


def _section(anchor: str, title: str, content: Iterable[str]) -> Iterator[str]:
    """None where there is nothing to show."""
    lines = list(content)
    return section(anchor, title, lines) if lines else iter(())


def _figures(found: Mapping[str, Any]) -> Iterator[str]:
    currency = escape(found["prices"]["currency"])
    best = max((each["monthly"] for each in found["savings"]), default=0.0)
    shown = (
        (f"{money(found['total'])} {currency}", "in this time"),
        (f"{money(found['monthly']['total'])} {currency}", "a month of what is held now"),
        (f"{money(best)} {currency}", "saved a month by the best proposal"),
    )
    return figures(shown)


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()
) -> Iterator[str]:
    """The first rows of a long one."""
    yield from table(caption, head, rows[:MAX_ROWS], numbers)
    if len(rows) > MAX_ROWS:
        yield f'<p class="dim">The first {MAX_ROWS} of {len(rows):,}; the JSON has them all.</p>'


def _chart(found: Sequence[Bar], currency: str, title: str, name: str) -> Iterator[str]:
    """The greatest, and what is left in one bar."""
    shown = sorted((bar for bar in found if bar.amount > 0), key=lambda bar: -bar.amount)
    if len(shown) > MAX_BARS:
        rest = shown[MAX_BARS - 1 :]
        shown = [*shown[: MAX_BARS - 1], Bar(f"{len(rest)} more", sum(bar.amount for bar in rest))]
    if shown:
        yield f"<figure>{bars(shown, currency, title, name)}</figure>"


def _items(found: Mapping[str, Any]) -> Iterator[str]:
    charges = found["charges"]
    if not charges:
        yield "<p>Nothing was held or done.</p>"
        return
    currency = found["prices"]["currency"]
    yield from _chart([Bar(NAMES[each["item"]], each["amount"]) for each in charges], currency, "Cost by item", "items")
    rows = [
        [
            NAMES[each["item"]],
            quantity(each),
            each["unit"],
            money(each["amount"]) if each["isKnown"] else "unknown",
            escape(each["provenance"]),
            escape(found["prices"]["rates"][each["item"]]["source"]),
        ]
        for each in charges
    ]
    head = ("item", "quantity", "unit", escape(currency), "how the price is known", "by whom")
    yield from _table("Each item of the bill", head, rows, (1, 3))


def _daily(found: Mapping[str, Any]) -> Iterator[str]:
    currency = found["prices"]["currency"]
    legend = " ".join(f'<span><i class="swatch {name}"></i>{name}</span>' for name in GROUPS)
    yield f"<figure>{columns(found['daily'], currency)}<figcaption>{legend}</figcaption></figure>"
    rows = [
        [day["date"], *(money(amount) for amount in group_amounts(day["items"]).values()), money(day["amount"])]
        for day in found["daily"]
    ]
    yield "<details><summary>The numbers of each day</summary>"
    yield from _table("Each day", ("day", *GROUPS, "all"), rows, tuple(range(1, len(GROUPS) + 2)))
    yield "</details>"


def _repositories(found: Mapping[str, Any]) -> Iterator[str]:
    named = [(repository_of(each), each) for each in found["repositories"]]
    chart = [Bar(name, each["amount"]) for name, each in named]
    yield from _chart(chart, found["prices"]["currency"], "Cost by repository", "repositories")
    rows = [
        [
            escape(name) + ("" if each["isThere"] else ' <span class="dim">deleted</span>'),
            f"{each['images']:,}",
            size(each["standardBytes"]),
            size(each["archiveBytes"]),
            money(each["amount"]),
        ]
        for name, each in named
    ]
    if rows:
        head = ("repository", "images", "standard", "archive", escape(found["prices"]["currency"]))
        yield from _table("Each repository", head, rows, (1, 2, 3, 4))


def _prefixes(found: Mapping[str, Any]) -> Iterator[str]:
    named = [(f"{repository_of(each)} {each['tagPrefix']}", each["amount"]) for each in found["tagPrefixes"]]
    chart = [Bar(*each) for each in named]
    yield from _chart(chart, found["prices"]["currency"], "Cost of storage by tag prefix", "prefixes")
    if named:
        rows = [[escape(name), money(amount)] for name, amount in named]
        head = ("prefix", escape(found["prices"]["currency"]))
        yield from _table("Storage of each tag prefix", head, rows, (1,))


def _tags(found: Mapping[str, Any]) -> Iterator[str]:
    named = [(f"{each['key']}={each['value']}", each) for each in found["resourceTags"]]
    chart = [Bar(name, each["amount"]) for name, each in named]
    yield from _chart(chart, found["prices"]["currency"], "Cost by resource tag", "tags")
    if named:
        rows = [[escape(name), f"{each['repositories']:,}", money(each["amount"])] for name, each in named]
        head = ("tag", "repositories", escape(found["prices"]["currency"]))
        yield from _table("Each resource tag", head, rows, (1, 2))


def _savings(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["savings"]:
        yield "<p>Nothing that is tried would save anything.</p>"
        return
    rows = []
    for each in found["savings"]:
        text = escape(saving_sentence(each))
        if each["lifecyclePolicy"] is not None:
            policy = escape(json.dumps(each["lifecyclePolicy"], indent=2))
            text += f"<details><summary>the policy</summary><pre>{policy}</pre></details>"
        rows.append([money(each["monthly"]), text])
    yield from _table("Proposals, which may be about the same bytes", ("a month", "what to do"), rows, (0,))


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    if found["notes"]:
        yield f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in found['notes'])}</ul>"


_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1f2328; --soft: #eef1f4; --line: #c9d1d9; --dim: #57606a;
  --storage: #3572b0; --transfer: #b7791f; --scans: #7a3e9d; --keys: #2f7d4f }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e6edf3; --soft: #1f242b; --line: #3d444d;
  --dim: #9aa4af; --storage: #5b9bd8; --transfer: #d9a441; --scans: #c792ea; --keys: #6fc28f } }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 64rem; margin: 2.5rem auto; padding: 0 1rem;
  background: var(--back); color: var(--text) }
h1 { margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.dim, caption, figcaption { color: var(--dim) }
pre { overflow-x: auto; background: var(--soft); padding: .5rem .75rem }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0 }
.figures div { background: var(--soft); border-radius: 6px; padding: .6rem 1rem; flex: 1 1 9rem;
  display: flex; flex-direction: column-reverse }
.figures dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums } .figures dt { color: var(--dim) }
figure { margin: 1rem 0; overflow-x: auto }
svg { width: 100%; min-width: 40rem; height: auto; font: 12px system-ui, sans-serif }
svg .grid { stroke: var(--line); stroke-width: 1 } svg text { fill: var(--dim) } svg .label { fill: var(--text) }
svg .bar, svg .storage { fill: var(--storage) } svg .transfer { fill: var(--transfer) }
svg .scans { fill: var(--scans) } svg .keys { fill: var(--keys) }
figcaption span { margin-right: 1rem; white-space: nowrap }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .35em; vertical-align: -.05em }
.swatch.storage { background: var(--storage) } .swatch.transfer { background: var(--transfer) }
.swatch.scans { background: var(--scans) } .swatch.keys { background: var(--keys) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
caption { text-align: left; padding: .25rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
"""
