"""A forecast for a terminal of 100 columns: the days on which something goes, the rules, the warnings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ecrsim.cost.table import size
from ecrsim.simulator.document import SIZES_COUNT_TWICE

WIDTH = 100
_VERBS = {"EXPIRE": "expires", "TRANSITION": "archives"}


def table(found: Mapping[str, Any]) -> str:
    """The whole table, with a newline at its end."""
    lines = [*_head(found), "", *_days(found), "", *_rules(found), "", *_totals(found)]
    if found["warnings"]:
        lines += ["", *_warnings(found["warnings"])]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    days = len(found["days"])
    yield f"{found['source']['name']}: {days} day{_s(days)} from {found['from'][:16].replace('T', ' ')} UTC"
    yield from _wrapped(pushes_sentence(found["pushes"]))


def pushes_sentence(pushes: Mapping[str, Any]) -> str:
    """How many pushes are expected, and why."""
    rate = f"{pushes['perDay']:.3g}"
    past = pushes["history"]
    if pushes["basis"] == "given":
        text = f"expected pushes: {rate} a day, as given"
    else:
        text = (
            f"expected pushes: {rate} a day, as from {past['from'][:10]} to {past['to'][:10]} "
            f"({past['pushes']} push{'' if past['pushes'] == 1 else 'es'})"
        )
    if not pushes["perDay"]:
        return text
    families = pushes["tagFamilies"]
    tags = ", ".join(families[:5]) + (", ..." if len(families) > 5 else "")
    return f"{text}, of {size(pushes['imageSizeInBytes'])} each, tagged {tags or 'with nothing'}"


def _days(found: Mapping[str, Any]) -> Iterator[str]:
    archived = bool(found["start"]["archived"]["images"]) or any(day["archived"]["images"] for day in found["days"])
    head = f"{'day':>4}  {'date':10}  {'pushed':>6}  {'images':>8}  {'size':>9}"
    head += f"  {'archived':>8}  {'size':>9}" if archived else ""
    yield f"{head}  {'cost':>7}  rule:-expired >archived"
    if not any(day["actions"] or day["pushed"] for day in found["days"]):
        yield from _quiet(found["days"])
        return
    quiet: list[Mapping[str, Any]] = []
    for day in found["days"]:
        if day["actions"]:
            yield from _quiet(quiet)
            quiet = []
            yield from _busy(day, archived=archived)
        elif day["pushed"]:
            # A day on which nothing happens at all is no line of its own, nor part of one.
            quiet.append(day)
    yield from _quiet(quiet)


def _quiet(days: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Days on which nothing goes, in one line."""
    if not days:
        return
    first, last = days[0], days[-1]
    name = f"{first['day']:>4}" if first is last else f"{first['day']:>4} to {last['day']}"
    pushed = sum(day["pushed"] for day in days)
    text = f"{name}: nothing goes"
    if pushed:
        text += f", {pushed} pushed"
    images, stored = last["active"]["images"], last["active"]["bytes"]
    yield f"{text}; {images} image{_s(images)} of {size(stored)}"


def _busy(day: Mapping[str, Any], *, archived: bool) -> Iterator[str]:
    line = f"{day['day']:>4}  {day['at'][:10]}  {day['pushed']:>6}  {day['active']['images']:>8}"
    line += f"  {size(day['active']['bytes']):>9}"
    if archived:
        line += f"  {day['archived']['images']:>8}  {size(day['archived']['bytes']):>9}"
    line += f"  {day['cost']:>7.2f}  "
    marks = " ".join(map(_mark, day["actions"]))
    wrapped = textwrap.wrap(marks, max(WIDTH - len(line), 20))
    yield line + wrapped[0]
    yield from (" " * len(line) + rest for rest in wrapped[1:])


def _mark(action: Mapping[str, Any]) -> str:
    """`1:-113`, rule 1 expires 113; `3:>90`, rule 3 archives 90; `subject:-2`, they go with their subject."""
    sign = "-" if action["action"] == "EXPIRE" else ">"
    return f"{'subject' if action['rulePriority'] is None else action['rulePriority']}:{sign}{action['images']}"


def action_sentence(action: Mapping[str, Any]) -> str:
    """`rule 1 expires 3 (1.2 GiB)`."""
    who = "with their subject" if action["rulePriority"] is None else f"rule {action['rulePriority']}"
    verb = _VERBS[action["action"]]
    if action["rulePriority"] is None:
        return f"{action['images']} {'expire' if verb == 'expires' else 'are archived'} {who}"
    return f"{who} {verb} {action['images']} ({size(action['bytes'])})"


def _rules(found: Mapping[str, Any]) -> Iterator[str]:
    yield "rule  matches now   expires  archives       size  days     what it does"
    for rule in found["rules"]:
        line = f"{rule['rulePriority']:>4}  {rule['matchingNow']:>11}  {_tally(rule)}  "
        wrapped = textwrap.wrap(rule["sentence"], WIDTH - len(line))
        yield line + wrapped[0]
        yield from (" " * len(line) + rest for rest in wrapped[1:])
    followers = found["followers"]
    if followers["firstDay"] is not None:
        yield f"   -  {'':>11}  {_tally(followers)}  what follows its subject"


def _tally(rule: Mapping[str, Any]) -> str:
    return f"{rule['expiredImages']:>8}  {rule['archivedImages']:>8}  {size(rule['bytes']):>9}  {days_of(rule):7}"


def days_of(rule: Mapping[str, Any]) -> str:
    """`1-90`: the first and the last day on which the rule acts."""
    first, last = rule["firstDay"], rule["lastDay"]
    if first is None:
        return "never"
    return str(first) if first == last else f"{first}-{last}"


def _totals(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _wrapped(totals_sentence(found))
    yield from _wrapped(SIZES_COUNT_TWICE)


def totals_sentence(found: Mapping[str, Any]) -> str:
    totals, prices = found["totals"], found["prices"]
    currency = prices["currency"]
    return (
        f"{totals['expiredImages']} expired, {totals['archivedImages']} archived; {size(totals['bytesFreed'])} freed. "
        f"Storage costs {totals['cost']:.2f} {currency} in this time instead of "
        f"{totals['costWithoutPolicy']:.2f}: {totals['saved']:.2f} {currency} saved, at the prices of "
        f"{prices['asOf']}{' in ' + prices['region'] if prices['region'] else ''}."
    )


def _warnings(hints: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for hint in hints:
        yield from textwrap.wrap(f"{hint['level'].upper()}: {hint['message']}", WIDTH, subsequent_indent="  ")


def story(found: Mapping[str, Any]) -> str:
    """The explanation of one image, for `--explain`."""
    told, days = found["explanation"], len(found["days"])
    tags = ", ".join(told["imageTags"]) or "no tag"
    lines = [told["imageDigest"], f"  {tags}; pushed {told['imagePushedAt'][:16].replace('T', ' ')} UTC", "", "now:"]
    for sentence in told["now"]:
        lines += textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="    ")
    lines += ["", f"within {days} day{_s(days)}:"]
    for fate in fates(told):
        lines += textwrap.wrap(fate, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def fates(told: Mapping[str, Any]) -> list[str]:
    """The story of an image: one sentence for each change, and whether it is still there at the end."""
    found = [f"Day {each['day']}: {each['reason']}" for each in told["departures"]]
    return [*found, "It stays."] if told["stays"] else found


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
