"""The result of `ecrsim scan` as a table, as JSON, as SARIF 2.1.0 and as one HTML file. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from ecrsim import __version__
from ecrsim.core.printable import printable

Found = Mapping[str, Any]

_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED")
_HEADS = ("SEVERITY", "PACKAGE", "INSTALLED", "FIXED", "CVE", "LAYER")
#: SARIF's own levels, and the number by which code scanning of GitHub ranks a rule that has no score.
_LEVELS = {"CRITICAL": "error", "HIGH": "error", "MEDIUM": "warning"}
_RANKS = {"CRITICAL": "9.5", "HIGH": "8.0", "MEDIUM": "5.5", "LOW": "3.0"}


def image_of(found: Found) -> str:
    tags = found["imageTags"]
    return f"{found['repositoryName']}:{tags[0]}" if tags else f"{found['repositoryName']}@{found['imageDigest']}"


def _open(found: Found) -> list[Mapping[str, Any]]:
    return [each for each in found["vulnerabilities"] if each["suppressed"] is None]


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    package = each["package"]
    name = package["name"] if not package["namespace"] or package["type"] in ("deb", "rpm", "apk") else _whole(package)
    layer = package["layer"].partition(":")[2][:12]
    return each["severity"], name, package["version"], each["fixed_version"] or "-", each["id"], layer


def _whole(package: Mapping[str, Any]) -> str:
    return f"{package['namespace']}{':' if package['type'] == 'maven' else '/'}{package['name']}"


def _sum(found: Found) -> str:
    """`2 vulnerabilities: 1 CRITICAL, 1 LOW`."""
    counts = Counter(each["severity"] for each in _open(found))
    number = sum(counts.values())
    hidden = len(found["vulnerabilities"]) - number
    listed = ", ".join(f"{counts[name]} {name}" for name in _SEVERITIES if counts[name])
    text = f"{number} vulnerabilit{'y' if number == 1 else 'ies'}" + (f": {listed}" if listed else "")
    return text + (f"; {hidden} of no concern" if hidden else "")


# --- table and JSON ---------------------------------------------------------------------------------------------------


def table(found: Found) -> str:
    """Columns as wide as they need to be, the most severe first."""
    rows = [_HEADS, *(tuple(printable(cell) for cell in _row(each)) for each in _open(found))]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    system = found["system"] or "no operating system"
    head = printable(f"{image_of(found)} ({system}), advisories of {found['advisoriesUpdatedAt'][:10]}")
    return "\n".join([head, "", *(lines if len(rows) > 1 else []), *([""] if len(rows) > 1 else []), _sum(found)])


def as_json(found: Found) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


# --- SARIF ------------------------------------------------------------------------------------------------------------


def sarif(found: Found) -> str:
    """One rule for each vulnerability, one result for each package; what is suppressed says why."""
    rules: dict[str, dict[str, Any]] = {}
    for each in found["vulnerabilities"]:
        rules.setdefault(each["id"], _rule(each))
    results = [_result(found, each, list(rules).index(each["id"])) for each in found["vulnerabilities"]]
    driver = {
        "name": "ecrsim",
        "version": __version__,
        "rules": list(rules.values()),
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _rule(each: Mapping[str, Any]) -> dict[str, Any]:
    scores = [score["score"] for score in each["scores"]]
    rank = f"{max(scores):.1f}" if scores else _RANKS.get(each["severity"], "0.0")
    rule = {
        "id": each["id"],
        "shortDescription": {"text": each["title"] or each["id"]},
        "fullDescription": {"text": each["description"] or each["title"] or each["id"]},
        "defaultConfiguration": {"level": _LEVELS.get(each["severity"], "note")},
        "properties": {"security-severity": rank, "tags": ["vulnerability", "security", each["severity"]]},
    }
    return rule | ({"helpUri": each["source_url"]} if each["source_url"] else {})


def _result(found: Found, each: Mapping[str, Any], place: int) -> dict[str, Any]:
    severity, name, installed, fixed, identity, _ = _row(each)
    mend = f"fixed in {fixed}" if each["fixed_version"] else "no fix"
    result: dict[str, Any] = {
        "ruleId": identity,
        "ruleIndex": place,
        "level": _LEVELS.get(severity, "note"),
        "message": {"text": f"{name} {installed}: {identity}, {severity}, {mend}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": each["package"]["path"] or found["repositoryName"]},
                    "region": {"startLine": 1},
                },
                "message": {"text": f"{image_of(found)}, layer {each['package']['layer']}"},
            }
        ],
    }
    if each["suppressed"] is not None:
        result["suppressions"] = [{"kind": "external", "justification": each["suppressed"]}]
    return result


# --- HTML -------------------------------------------------------------------------------------------------------------


def html(found: Found) -> str:
    """One file: no script, nothing from elsewhere, for light and dark."""
    rows = "\n".join(_html_row(each) for each in _open(found))
    hidden = [each for each in found["vulnerabilities"] if each["suppressed"] is not None]
    times = f"{found['scannedAt']}, advisories of {found['advisoriesUpdatedAt']}"
    about = f"{found['imageDigest']}, {found['system'] or 'no operating system'}, {times}"
    body = [
        f"<h1>{escape(image_of(found))}</h1>",
        f"<p>{escape(about)}</p>",
        f"<p><b>{escape(_sum(found))}</b></p>",
        f"<table><thead><tr>{_cells(_HEADS, 'th')}</tr></thead><tbody>\n{rows}\n</tbody></table>" if rows else "",
        *_hidden(hidden),
        f"<p>Made by ecrsim {escape(__version__)}.</p>",
    ]
    return _PAGE.format(title=escape(image_of(found)), body="\n".join(each for each in body if each))


def _html_row(each: Mapping[str, Any]) -> str:
    severity, name, installed, fixed, identity, layer = map(escape, _row(each))
    link = each["source_url"]
    if link.startswith(("https://", "http://")):
        identity = f'<a href="{escape(link)}">{identity}</a>'
    title = f"<br><small>{escape(each['title'])}</small>" if each["title"] else ""
    cells = (f'<b class="{severity.lower()}">{severity}</b>', name, installed, fixed, identity + title, layer)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _hidden(hidden: Sequence[Mapping[str, Any]]) -> list[str]:
    if not hidden:
        return []
    rows = [f"<li>{escape(each['id'])}, {escape(_row(each)[1])}: {escape(each['suppressed'])}</li>" for each in hidden]
    return ["<h2>Of no concern</h2>", "<ul>", *rows, "</ul>"]


def _cells(texts: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
.critical, .high {{ color: light-dark(#b00020, #ff8a80); }}
.medium {{ color: light-dark(#8a5300, #ffcc80); }}
</style></head><body>
{body}
</body></html>"""

FORMATS: Mapping[str, Callable[[Found], str]] = {"table": table, "json": as_json, "sarif": sarif, "html": html}
