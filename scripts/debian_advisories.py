#!/usr/bin/env python3
"""Make advisories of the changelogs that Debian's packages carry, in the OSV schema.

Each `changelog.Debian.gz` below /usr/share/doc names the CVEs that a version fixed. What was uploaded to one release of
Debian (`bookworm`, `bookworm-security`) becomes a record: everything before that version has the CVE. Run on any Debian
with the packages of interest installed, or on a directory of unpacked ones:

    scripts/debian_advisories.py --output ecrsim/ecr/scanning/advisories/shipped/debian-12.json

Facts alone are taken over, the CVE, the source, the version and the day; the sentences are this script's own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = re.compile(r"(?P<source>[a-z0-9][a-z0-9+.-]+) \((?P<version>[^()\s]+)\) (?P<distributions>[^;]+);")
_TAIL = re.compile(r" -- .*>  (?P<date>.+)")
_CVE = re.compile(r"CVE-\d{4}-\d{4,7}")
#: An item that tells of a CVE which the version does not fix.
_NO_FIX = re.compile(
    r"\b(?:not affected|not vulnerable|revert|regression|introduced by|does not affect)", re.IGNORECASE
)


class Fix(NamedTuple):
    """A CVE that a version of a source package fixed, on a day."""

    cve: str
    source: str
    version: str
    date: datetime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--code", default="bookworm", help="the release's code name (default: bookworm)")
    parser.add_argument("--release", default="12", help="its number (default: 12)")
    parser.add_argument("--docs", type=Path, default=Path("/usr/share/doc"), help="where the changelogs are")
    parser.add_argument("--since", type=int, default=2020, help="CVEs from this year on: older ones are told of again")
    parser.add_argument("--without", nargs="*", default=["chromium", "linux"], help="sources that are left out")
    parser.add_argument("--output", type=Path, help="write there and not to standard output")
    options = parser.parse_args()
    found: dict[tuple[str, str], Fix] = {}
    for path in sorted(options.docs.glob("*/changelog*.gz")):
        for fix in fixes(path, options.code):
            # The changelog begins with the newest: the oldest version that names a CVE is the one that fixed it.
            known = found.get((fix.cve, fix.source))
            is_meant = fix.source not in options.without and int(fix.cve[4:8]) >= options.since
            if is_meant and (known is None or fix.date < known.date):
                found[fix.cve, fix.source] = fix
    text = json.dumps(document(sorted(found.values()), options), indent=1, ensure_ascii=False) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")
    sys.stderr.write(f"{len(found)} fixes in {len({fix.source for fix in found.values()})} source packages\n")
    return 0


def fixes(path: Path, code: str) -> Iterator[Fix]:
    """What the uploads to one release fixed, as one changelog tells it."""
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
    except (OSError, EOFError):
        return
    head: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.splitlines():
        found, end = _HEAD.match(line), _TAIL.match(line)
        if found is not None:
            head, lines = found, []
        elif end is not None and head is not None:
            places = head["distributions"].split()
            if any(place.partition("-")[0] == code for place in places):
                date = parsedate_to_datetime(end["date"]).astimezone(UTC)
                for cve in named("\n".join(lines)):
                    yield Fix(cve, head["source"], head["version"], date)
            head = None
        else:
            lines.append(line)


def named(text: str) -> list[str]:
    """The CVEs of the items of an entry, those left out that the entry does not fix."""
    items = re.split(r"\n\s+(?=[*+-] )", f"\n{text}")
    return [cve for item in items if not _NO_FIX.search(item) for cve in _CVE.findall(item)]


def document(found: list[Fix], options: argparse.Namespace) -> dict[str, Any]:
    """A file of the set that ships: one record for each CVE, with all sources that had it."""
    by_cve: dict[str, list[Fix]] = {}
    for fix in found:
        by_cve.setdefault(fix.cve, []).append(fix)
    newest = max((fix.date for fix in found), default=datetime.fromtimestamp(0, UTC))
    return {
        "date": newest.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "provenance": f"Made by scripts/debian_advisories.py of the changelogs of Debian {options.release}'s packages.",
        "records": [record(cve, each, options.release) for cve, each in sorted(by_cve.items())],
    }


def record(cve: str, found: list[Fix], release: str) -> dict[str, Any]:
    said = [f"{fix.source} {fix.version} ({fix.date:%Y-%m-%d})" for fix in found]
    return {
        "id": f"DEBIAN-{cve}",
        "modified": max(fix.date for fix in found).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "published": min(fix.date for fix in found).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "upstream": [cve],
        "details": f"Debian {release} fixed {cve} in {', '.join(said)}, as the changelog of the package tells.",
        "affected": [
            {
                "package": {"ecosystem": f"Debian:{release}", "name": fix.source},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fix.version}]}],
            }
            for fix in found
        ],
        "references": [{"type": "ADVISORY", "url": f"https://security-tracker.debian.org/tracker/{cve}"}],
    }


if __name__ == "__main__":
    sys.exit(main())
