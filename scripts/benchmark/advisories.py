"""Advisories of nobody's packages, as many as an export of OSV has.

`python -m benchmark.advisories FILE COUNT` writes the zip, in a process of its own since it takes 300 MB.
"""

import json
import random
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def make(file: Path, count: int) -> None:
    """An export as OSV's: a JSON file a record, of 1 to 3 KB, each about one or two packages."""
    chance = random.Random(5)  # noqa: S311 - the same records each time
    words = [f"{chance.getrandbits(40):x}" for _ in range(4_000)]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(count):
            archive.writestr(f"CVE-2026-{number}.json", json.dumps(advisory(number, count, words, chance)))


def advisory(number: int, count: int, words: Sequence[str], chance: random.Random) -> dict[str, Any]:
    fixed = f"1.{number % 97}.{number % 13}"
    events = [{"introduced": "0"}, {"fixed": fixed}]
    named = [("PyPI", f"package-{number * 7 % count // 4}"), ("npm", f"package-{number}")][: 1 + number % 2]
    return {
        "id": f"CVE-2026-{number}",
        "modified": "2026-01-02T03:04:05Z",
        "published": "2026-01-01T00:00:00Z",
        "aliases": [f"GHSA-{number % 9973:04x}-{number:08x}"],
        "summary": f"Reads too far in {words[number % len(words)]}.",
        "details": " ".join(chance.choices(words, k=chance.randint(40, 200))),
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "references": [{"type": "WEB", "url": f"https://example.test/{number}/{each}"} for each in range(3)],
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
                "versions": [f"1.{each}" for each in range(20)],
            }
            for ecosystem, name in named
        ],
    }


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
