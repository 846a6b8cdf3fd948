"""A forecast as one HTML file: no script, nothing from elsewhere, for light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ecrsim import __version__
from ecrsim.cost.table import size
from ecrsim.reportpage import figures, section, table, whole
from ecrsim.simulator.document import SIZES_COUNT_TWICE
from ecrsim.simulator.table import (
    action_sentence,
    days_of,
    fates,
    pushes_sentence,
    totals_sentence,
)
from ecrsim.simulator.timeline import timeline

#: Rows of the list of what goes at once; the JSON has them all.
MAX_LISTED = 200


def page(found: Mapping[str, Any]) -> str:
    """The whole file. Its numbers are those of the document."""
    name = escape(found["source"]["name"])
    days = len(found["days"])
    body = [
        f"<h1>{name}</h1>",
        f'<p class="dim">What the lifecycle policy does in {_counted(days)}, {_span(found)}</p>',
        *_warnings(found["warnings"]),
        *_figures(found),
        f"<figure>{timeline(found)}{_LEGEND}</figure>",
        f'<p class="dim">{escape(_sentence(pushes_sentence(found["pushes"])))} Pulls to come are not foreseen.</p>',
        *section("rules", "Rules", _rules(found)),
        *section("first", "What goes in the first run", _first_run(found)),
        *_story(found),
        *section("days", "Day by day", _days(found)),
        *section("money", "Money", _money(found)),
        f'<p class="dim">Made by ecrsim {escape(__version__)}.</p>',
    ]
    return whole(f"{name}: lifecycle forecast", _STYLE, body)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _time(text: str) -> str:
    return text[:16].replace("T", " ")


def _counted(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def _span(found: Mapping[str, Any]) -> str:
    return f"from {_time(found['from'])} to {_time(found['to'])} UTC"


def _warnings(hints: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not hints:
        return
    yield '<ul class="warnings" aria-label="warnings">'
    for hint in hints:
        yield f'<li class="{hint["level"]}"><strong>{hint["level"]}</strong> {escape(hint["message"])}</li>'
    yield "</ul>"


def _figures(found: Mapping[str, Any]) -> Iterator[str]:
    totals, currency = found["totals"], escape(found["prices"]["currency"])
    shown = (
        (f"{totals['expiredImages']:,}", "images expired"),
        (f"{totals['archivedImages']:,}", "images archived"),
        (size(totals["bytesFreed"]), "freed"),
        (f"{totals['saved']:,.2f} {currency}", "saved"),
    )
    return figures(shown)


def _rules(found: Mapping[str, Any]) -> Iterator[str]:
    def row(rule: Mapping[str, Any], name: str, text: str, matching: str) -> list[str]:
        return [
            name,
            escape(text),
            matching,
            f"{rule['expiredImages']:,}",
            f"{rule['archivedImages']:,}",
            size(rule["bytes"]),
            days_of(rule),
        ]

    rows = []
    for rule in found["rules"]:
        text = rule["sentence"] + (f" ({rule['description']})" if rule["description"] else "")
        rows.append(row(rule, str(rule["rulePriority"]), text, f"{rule['matchingNow']:,}"))
    if found["followers"]["firstDay"] is not None:
        rows.append(row(found["followers"], "-", "what follows its subject", ""))
    head = ("rule", "what it does", "matches now", "expires", "archives", "size", "days")
    yield from table("Rules in the order in which they claim images", head, rows, (2, 3, 4, 5))


def _first_run(found: Mapping[str, Any]) -> Iterator[str]:
    first = [each for each in found["departures"] if each["at"] == found["from"]]
    if not first:
        yield "<p>Nothing goes in the first run.</p>"
        return
    if len(first) > MAX_LISTED:
        yield f"<p>The first {MAX_LISTED} of {len(first):,} images; the JSON has them all.</p>"
    rows = [
        [
            f"<code>{escape(each['imageDigest'][:19])}</code>",
            escape(", ".join(each["imageTags"])) or '<span class="dim">none</span>',
            _time(each["imagePushedAt"]),
            size(each["imageSizeInBytes"]),
            {"EXPIRE": "expires", "TRANSITION": "is archived"}[each["action"]],
            escape(each["reason"]),
        ]
        for each in first[:MAX_LISTED]
    ]
    head = ("image", "tags", "pushed", "size", "", "why")
    yield from table("Images that go in the first run", head, rows, (3,))


def _story(found: Mapping[str, Any]) -> Iterator[str]:
    told = found["explanation"]
    if told is None:
        return
    content = [
        f"<p><code>{escape(told['imageDigest'])}</code> {escape(', '.join(told['imageTags']))}</p>",
        f"<ol>{''.join(f'<li>{escape(text)}</li>' for text in told['now'])}</ol>",
        f"<p>{escape(' '.join(fates(told)))}</p>",
    ]
    yield from section("story", "One image", content)


def _days(found: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [
            str(day["day"]),
            day["at"][:10],
            f"{day['pushed']:,}",
            f"{day['active']['images']:,}",
            size(day["active"]["bytes"]),
            f"{day['archived']['images']:,}",
            size(day["archived"]["bytes"]),
            f"{day['cost']:.2f}",
            f"{day['costWithoutPolicy']:.2f}",
            escape("; ".join(map(action_sentence, day["actions"]))),
        ]
        for day in found["days"]
        if day["pushed"] or day["actions"] or day is found["days"][-1]
    ]
    head = ("day", "date", "pushed", "images", "size", "archived", "size", "cost", "without policy", "what goes")
    yield "<details><summary>All the numbers of the timeline</summary>"
    yield from table(
        "The repository at the end of each day on which something happens, and of the last",
        head,
        rows,
        tuple(range(2, 9)),
    )
    yield "</details>"


def _money(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"<p>{escape(totals_sentence(found))}</p><p>{escape(SIZES_COUNT_TWICE)}</p>"
    prices = found["prices"]
    rows = []
    for name in ("standard", "archive"):
        for tier in prices[name]:
            upto = "" if tier["upToGb"] is None else f"up to {tier['upToGb']:,.0f} GB"
            rows.append([name, upto, f"{tier['pricePerGbMonth']:.3f}", escape(tier["provenance"])])
    head = ("storage class", "for", f"{escape(prices['currency'])} a GB and month", "how it is known")
    yield from table(f"Prices of {escape(prices['asOf'])}", head, rows, (2,))


_LEGEND = """<figcaption>
<span><i class="swatch active"></i>active</span> <span><i class="swatch archived"></i>archived</span>
<span><i class="swatch without"></i>without the policy</span>
<span><i class="dot expires"></i>a rule expires</span> <span><i class="dot archives"></i>archives</span>
<span><i class="dot both"></i>both</span>
</figcaption>"""

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1f2328; --soft: #eef1f4; --line: #c9d1d9; --dim: #57606a;
  --active: #3572b0; --archived: #b7791f; --danger: #b42318; --expires: #b42318; --both: #7a3e9d }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e6edf3; --soft: #1f242b; --line: #3d444d;
  --dim: #9aa4af; --active: #5b9bd8; --archived: #d9a441; --danger: #ff8a80; --expires: #ff8a80; --both: #c792ea } }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 64rem; margin: 2.5rem auto; padding: 0 1rem;
  background: var(--back); color: var(--text) }
h1 { margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.dim, caption, figcaption { color: var(--dim) }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere }
.warnings { list-style: none; padding: 0 }
.warnings li { background: var(--soft); border-left: 4px solid var(--line); padding: .4rem .75rem; margin: .4rem 0 }
.warnings .danger { border-color: var(--danger) } .warnings .danger strong { color: var(--danger) }
.warnings .warning { border-color: var(--archived) }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0 }
.figures div { background: var(--soft); border-radius: 6px; padding: .6rem 1rem; flex: 1 1 9rem;
  display: flex; flex-direction: column-reverse }
.figures dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums } .figures dt { color: var(--dim) }
figure { margin: 1rem 0; overflow-x: auto }
svg { width: 100%; min-width: 40rem; height: auto; font: 12px system-ui, sans-serif }
svg .grid { stroke: var(--line); stroke-width: 1 } svg text { fill: var(--dim) } svg .label { fill: var(--text) }
svg .active { fill: var(--active) } svg .archived { fill: var(--archived) }
svg .without { fill: none; stroke: var(--dim); stroke-width: 1.5; stroke-dasharray: 5 4 }
svg .expires { fill: var(--expires) } svg .archives { fill: var(--archived) } svg .both { fill: var(--both) }
figcaption span { margin-right: 1rem; white-space: nowrap }
.swatch, .dot { display: inline-block; width: .8em; height: .8em; margin-right: .35em; vertical-align: -.05em }
.dot { border-radius: 50% }
.swatch.active { background: var(--active) } .swatch.archived { background: var(--archived) }
.swatch.without { height: 0; border-top: 2px dashed var(--dim); vertical-align: .25em; width: 1.4em }
.dot.expires { background: var(--expires) } .dot.archives { background: var(--archived) }
.dot.both { background: var(--both) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
caption { text-align: left; padding: .25rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
"""
