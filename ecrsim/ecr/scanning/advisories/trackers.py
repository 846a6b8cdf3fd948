"""What distributions publish in forms of their own, as records in the OSV schema. Pure: JSON in, records out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ecrsim.ecr.scanning.advisories.records import RecordRefused

#: Debian's releases by their code names; others of the tracker, such as sid, are no release that an image is of.
_RELEASES = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "duke": "15",
}
#: How the tracker's JSON begins: a source package, and in it what it has had.
DEBIAN = re.compile(r'\s*\{\s*"[a-z0-9][a-z0-9+.-]*"\s*:\s*\{\s*"(?:CVE|TEMP)-')
_IDS = re.compile(r"(?:CVE-\d{4}-\d{4,19}|GHSA(?:-[a-z0-9]{4}){3}|[A-Z][A-Z0-9]*-[A-Za-z0-9.:-]+)")


def of_debian(source: str, found: Any, modified: str) -> Iterator[dict[str, Any] | RecordRefused]:
    """What Debian's security tracker says of one source package, a record for each CVE and release that it affects."""
    if not isinstance(found, dict):
        yield RecordRefused(f"{source} is not an object of CVEs")
        return
    for name, entry in found.items():
        releases = entry.get("releases") if isinstance(entry, dict) else None
        if not isinstance(releases, dict):
            yield RecordRefused(f"{source}: {name} has no releases")
            continue
        affected = [each for code, release in releases.items() if (each := _debian_release(source, code, release))]
        if not affected:
            continue
        description = entry.get("description")
        yield {
            "id": f"DEBIAN-{name}",
            "modified": modified,
            "upstream": [name],
            "details": description if isinstance(description, str) else "",
            "affected": affected,
            "references": [{"type": "ADVISORY", "url": f"https://security-tracker.debian.org/tracker/{name}"}],
        }


def _debian_release(source: str, code: str, release: Any) -> dict[str, Any] | None:
    """None for a release that is not affected, or of which nobody knows."""
    number = _RELEASES.get(code)
    if number is None or not isinstance(release, dict):
        return None
    events = [{"introduced": "0"}]
    fixed = release.get("fixed_version")
    if release.get("status") == "resolved":
        if not isinstance(fixed, str) or fixed == "0":
            return None
        events.append({"fixed": fixed})
    elif release.get("status") != "open":
        return None
    urgency = release.get("urgency")
    return {
        "package": {"ecosystem": f"Debian:{number}", "name": source},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "ecosystem_specific": {"urgency": urgency} if isinstance(urgency, str) else {},
    }


def is_alpine(document: Any) -> bool:
    """Whether it is a secdb, of Alpine or of who has the same form."""
    if not isinstance(document, dict) or not isinstance(document.get("packages"), list):
        return False
    return "distroversion" in document or "urlprefix" in document


def of_alpine(document: dict[str, Any], modified: str) -> Iterator[dict[str, Any] | RecordRefused]:
    """What a secdb says, a record for each CVE of each package."""
    ecosystem = _ecosystem(document)
    if ecosystem is None:
        yield RecordRefused("distroversion is missing, and urlprefix is neither Wolfi's nor Chainguard's")
        return
    for place, each in enumerate(document["packages"]):
        package = each.get("pkg") if isinstance(each, dict) else None
        name = package.get("name") if isinstance(package, dict) else None
        fixes = package.get("secfixes") if isinstance(package, dict) else None
        if not isinstance(name, str) or not isinstance(fixes, dict):
            yield RecordRefused(f"packages[{place}] has no pkg with name and secfixes")
            continue
        for version, texts in fixes.items():
            if version != "0":
                yield from _secfix(ecosystem, name, version, texts, modified)


def _ecosystem(document: dict[str, Any]) -> str | None:
    version, prefix = document.get("distroversion"), str(document.get("urlprefix", ""))
    for word, name in (("wolfi", "Wolfi"), ("chainguard", "Chainguard")):
        if word in prefix:
            return name
    return f"Alpine:{version}" if isinstance(version, str) and version else None


def _secfix(
    ecosystem: str, name: str, version: str, texts: Any, modified: str
) -> Iterator[dict[str, Any] | RecordRefused]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        yield RecordRefused(f"{name}: secfixes of {version} are no list of texts")
        return
    for text in texts:
        # An entry may name several, with remarks behind them.
        names = [word for word in text.split() if _IDS.fullmatch(word)]
        if not names:
            yield RecordRefused(f"{name}: {text[:80]!r} names no vulnerability")
        for identity in names:
            yield {
                "id": f"{ecosystem.partition(':')[0].upper()}-{identity}",
                "modified": modified,
                "upstream": [identity],
                "affected": [
                    {
                        "package": {"ecosystem": ecosystem, "name": name},
                        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": version}]}],
                    }
                ],
            }
