"""Which packages of an image are vulnerable, by what: a bill and a look-up in, vulnerabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cmp_to_key
from typing import NamedTuple

from ecrsim.ecr.scanning.advisory import Advisory, Affected, LookUp, Range
from ecrsim.ecr.scanning.bill import Bill, OperatingSystem, Package
from ecrsim.ecr.scanning.ecosystems import Key, keys_of
from ecrsim.ecr.scanning.naming import names_of, source_of, url_of
from ecrsim.ecr.scanning.severity import score_of, severity_of_scores, severity_of_word
from ecrsim.ecr.scanning.versions import is_before, version_of
from ecrsim.ecr.scanning.vulnerability import SEVERITIES, Score, Vulnerability

#: Of two events at one version the one that ends a range comes last.
_ENDS = {"introduced": 0, "last_affected": 1, "limit": 1, "fixed": 1}
_DISTRIBUTIONS_OF_BINARIES = ("SUSE", "openSUSE")


class Hit(NamedTuple):
    """One advisory that is about the version of a package."""

    advisory: Advisory
    affected: Affected
    fixed_version: str | None


def match(bill: Bill, advisories: LookUp) -> list[Vulnerability]:
    """Every vulnerability of every package, the most severe first, then by id and package.

    The records of several sources about one CVE are merged into one Vulnerability of a package. Severity is the
    distribution's own, else by CVSS, else UNDEFINED.
    """
    known = advisories.snapshot()
    found = [one for package in bill.packages for one in vulnerabilities_of(package, bill.system, known)]
    order = {name: place for place, name in enumerate(SEVERITIES)}
    return sorted(found, key=lambda one: (order[one.severity], one.id, one.package.name, one.package.path))


def vulnerabilities_of(package: Package, system: OperatingSystem | None, known: LookUp) -> Iterator[Vulnerability]:
    """Those of one package, each once."""
    for name, hits in _grouped(list(_hits(package, keys_of(package, system), known))).items():
        yield _merged(name, package, hits, known)


def _grouped(hits: list[Hit]) -> dict[str, list[Hit]]:
    """Hits by CVE. A record without a CVE joins one that it has an alias in common with: a GO-… and its GHSA-…."""
    groups: dict[str, list[Hit]] = {}
    known_as: dict[str, str] = {}
    nameless = []
    for hit in hits:
        names = names_of(hit.advisory)
        if not names[0].startswith("CVE-"):
            nameless.append(hit)
            continue
        for name in names:
            groups.setdefault(name, []).append(hit)
        if len(names) == 1:
            known_as.update(dict.fromkeys((hit.advisory.id, *hit.advisory.aliases), names[0]))
    for hit in nameless:
        texts = (hit.advisory.id, *hit.advisory.aliases, *hit.advisory.upstream)
        name = next((known_as[text] for text in texts if text in known_as), names_of(hit.advisory)[0])
        groups.setdefault(name, []).append(hit)
        known_as.update((text, known_as.get(text, name)) for text in texts)
    return groups


def _hits(package: Package, keys: list[Key], known: LookUp) -> Iterator[Hit]:
    """The advisories that are about this version; of what one record says in several places the nearest decides."""
    decided: set[int] = set()
    for key in keys:
        here: set[int] = set()
        for affected in known.about(key.ecosystem, key.name):
            if affected.record in decided or not _is_meant(affected, package):
                continue
            here.add(affected.record)
            is_affected, fixed_version = judge(affected, key.version)
            if is_affected:
                advisory = known.record(affected.record)
                if advisory.withdrawn is None:
                    yield Hit(advisory, affected, fixed_version)
        decided |= here


def _is_meant(affected: Affected, package: Package) -> bool:
    """SUSE names a source and those of its binary packages that the flaw is in."""
    if not affected.binaries or not affected.ecosystem.startswith(_DISTRIBUTIONS_OF_BINARIES):
        return True
    return package.name in affected.binaries


# --- one version against one advisory ---------------------------------------------------------------------------------


def judge(affected: Affected, version: str) -> tuple[bool, str | None]:
    """Whether the version is affected, and the lowest version that mends it in its branch (OSV's evaluation)."""
    fixed_version: str | None = None
    is_affected = _is_enumerated(affected, version)
    for each in affected.ranges:
        inside, fixed = _in_range(affected.ecosystem, each, version)
        if inside:
            is_affected = True
            if fixed is not None and (fixed_version is None or is_before(affected.ecosystem, fixed, fixed_version)):
                fixed_version = fixed
    if is_affected and fixed_version is None:
        fixed_version = _next_fix(affected, version)
    return is_affected, fixed_version if is_affected else None


def _is_enumerated(affected: Affected, version: str) -> bool:
    if version in affected.versions:
        return True
    mine = version_of(affected.ecosystem, version)
    return mine is not None and any(mine == version_of(affected.ecosystem, text) for text in affected.versions)


def _in_range(ecosystem: str, found: Range, version: str) -> tuple[bool, str | None]:
    limits = [text for kind, text in found.events if kind == "limit"]
    if limits and "*" not in limits and not any(is_before(ecosystem, version, limit) for limit in limits):
        return False, None
    if version_of(ecosystem, version) is None:
        return False, None
    inside = False
    fixed: str | None = None
    for kind, text in _in_order(ecosystem, found.events):
        is_reached = text == "0" or is_before(ecosystem, version, text) is False
        if kind == "last_affected":
            inside = inside and not is_before(ecosystem, text, version)
        elif is_reached and kind != "limit":
            inside = kind == "introduced"
        elif kind == "fixed" and inside and fixed is None:
            fixed = text
    return inside, fixed if inside else None


def _in_order(ecosystem: str, events: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Events by their versions, those without a version that can be compared left out."""

    def order(one: tuple[str, str], other: tuple[str, str]) -> int:
        if one[1] == other[1]:
            return _ENDS[one[0]] - _ENDS[other[0]]
        if one[1] == "0" or other[1] == "0":
            return -1 if one[1] == "0" else 1
        if is_before(ecosystem, one[1], other[1]):
            return -1
        return 1 if is_before(ecosystem, other[1], one[1]) else _ENDS[one[0]] - _ENDS[other[0]]

    usable = [(kind, text) for kind, text in events if text == "0" or version_of(ecosystem, text) is not None]
    return sorted(usable, key=cmp_to_key(order))


def _next_fix(affected: Affected, version: str) -> str | None:
    """For a version that is enumerated only: the lowest fix of all ranges behind it."""
    fixes = [text for each in affected.ranges for kind, text in each.events if kind == "fixed"]
    later = [(kind, text) for kind, text in (("fixed", fix) for fix in fixes)]
    ordered = [text for _, text in _in_order(affected.ecosystem, tuple(later))]
    return next((text for text in ordered if is_before(affected.ecosystem, version, text)), None)


# --- one vulnerability of several records -----------------------------------------------------------------------------


def _merged(name: str, package: Package, hits: list[Hit], known: LookUp) -> Vulnerability:
    hits = sorted(hits, key=lambda hit: (_preference(name, hit), hit.advisory.id, hit.advisory.source))
    records = list(dict.fromkeys(hit.advisory for hit in hits))
    first = records[0]
    vendor = _vendor_severity(package, hits)
    scores = _scores(hits)
    if not scores and name.startswith("CVE-"):
        # A distribution's record often has no score, where that of NVD or GitHub has one.
        scores = _scores_of_records(known.find(name))
    own = severity_of_word(vendor) if package.of_system else None
    severity = own or severity_of_scores(scores) or severity_of_word(vendor) or "UNDEFINED"
    urls = [url for record in records for _, url in record.references]
    names = [text for each in records for text in (each.id, *each.aliases, *each.upstream)]
    return Vulnerability(
        id=name,
        package=package,
        fixed_version=next((hit.fixed_version for hit in hits if hit.fixed_version is not None), None),
        severity=severity,
        vendor_severity=vendor,
        title=next((record.summary for record in records if record.summary), f"{name} - {package.name}"),
        description=next((record.details for record in records if record.details), first.summary),
        source=source_of(first, hits[0].affected.ecosystem),
        source_url=url_of(name, first, hits[0].affected.ecosystem),
        scores=scores,
        reference_urls=tuple(dict.fromkeys(urls)),
        related=tuple(text for text in dict.fromkeys(names) if text != name),
        published=min((each.published for each in records if each.published is not None), default=None),
        modified=max((each.modified for each in records if each.modified is not None), default=None),
        exploit_available=any(kind == "EVIDENCE" for each in records for kind, _ in each.references),
    )


def _preference(name: str, hit: Hit) -> int:
    """The record of the CVE itself first, then those about it, then those about several."""
    record = hit.advisory
    if record.id.endswith(name):
        return 0
    return 1 if name in record.aliases and len(names_of(record)) == 1 else 2


def _vendor_severity(package: Package, hits: list[Hit]) -> str:
    words = [word for hit in hits for word in (hit.affected.vendor_severity, hit.advisory.vendor_severity) if word]
    telling = [word for word in words if severity_of_word(word) is not None]
    return next(iter(telling or words), "")


def _scores(hits: list[Hit]) -> tuple[Score, ...]:
    found = [
        score_of(vector, source_of(hit.advisory, hit.affected.ecosystem))
        for hit in hits
        for _, vector in (*hit.affected.vectors, *hit.advisory.vectors)
    ]
    return _once(found)


def _scores_of_records(records: Iterable[Advisory]) -> tuple[Score, ...]:
    live = (each for each in records if each.withdrawn is None)
    return _once(score_of(vector, source_of(each, "")) for each in live for _, vector in each.vectors)


def _once(scores: Iterable[Score | None]) -> tuple[Score, ...]:
    """Each vector once, the versions in their order."""
    found = {score.vector: score for score in scores if score is not None}
    return tuple(sorted(found.values(), key=lambda score: (score.version, -score.score, score.vector)))
