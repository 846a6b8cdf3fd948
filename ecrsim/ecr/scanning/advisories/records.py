"""Records in the OSV schema (1.7), checked and made small: what is refused has a reason, and nothing raises."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ecrsim.ecr.scanning.ecosystems import ecosystem_key, name_key

#: Characters of a description that are kept; a longer one is cut.
_DETAILS = 4_096
_SUMMARY = 512
#: Bounds on what one record may hold.
_MOST_AFFECTED = 20_000
_MOST_VERSIONS = 50_000
_MOST_EVENTS = 5_000
_MOST_REFERENCES = 200
_MOST_NAMES = 2_000
_LONGEST_TEXT = 512

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{2,254}")
_EVENTS = ("introduced", "fixed", "last_affected", "limit")
_RANGES = ("SEMVER", "ECOSYSTEM", "GIT")
_VECTORS = ("CVSS_V2", "CVSS_V3", "CVSS_V4")
#: Ecosystems in which every version compares, so that an enumeration beside a range of versions says nothing more.
_COMPARABLE = (
    *("Debian", "Ubuntu", "Alpine", "Wolfi", "Chainguard", "Red Hat", "Rocky Linux", "AlmaLinux", "Amazon Linux"),
    *("SUSE", "openSUSE", "Oracle Linux", "Photon OS", "Azure Linux", "Fedora", "Echo", "MinimOS", "Mageia"),
)
#: How AlmaLinux, Rocky and Oracle write their own severity: the first word of the summary.
_WORD_FIRST = re.compile(r"(Critical|Important|Moderate|Low): ")


class RecordRefused(ValueError):
    """The record is not taken; the text says why."""


class About(NamedTuple):
    """What a record says of one package: `body` is what an Affected is made of."""

    ecosystem: str
    name: str
    body: dict[str, Any]


class Record(NamedTuple):
    """A record that was taken. `names`: all that it is found by. `body` is what an Advisory is made of."""

    id: str
    names: tuple[str, ...]
    body: dict[str, Any]
    about: list[About]


def read_record(document: Any) -> Record:
    """The record of a document in the OSV schema. RecordRefused."""
    if not isinstance(document, dict):
        raise RecordRefused("it is not a JSON object")
    identity = document.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise RecordRefused("id: it is missing or no identifier" if "id" in document else "id is missing")
    body: dict[str, Any] = {
        "summary": _text(document, "summary")[:_SUMMARY],
        "details": _text(document, "details")[:_DETAILS],
        "modified": _time(document, "modified", required=True),
        "published": _time(document, "published"),
        "withdrawn": _time(document, "withdrawn"),
    }
    for member in ("aliases", "upstream", "related"):
        body[member] = _texts(document, member, _MOST_NAMES)
    vectors, word = _severities(document, "severity")
    body["vectors"] = vectors
    specific = _object(document, "database_specific", "")
    first = _WORD_FIRST.match(body["summary"])
    body["vendor_severity"] = word or _word(specific, "severity") or (first[1] if first else "")
    body["references"] = _references(document)
    names = tuple(dict.fromkeys([identity, *body["aliases"], *body["upstream"]]))
    about: list[About] = []
    entries = _list(document, "affected", "", _MOST_AFFECTED)
    for place, entry in enumerate(entries):
        found = _affected(entry, f"affected[{place}]")
        if found is not None:
            about.append(found)
    return Record(identity, names, {name: value for name, value in body.items() if value}, about)


def _affected(entry: Any, where: str) -> About | None:
    """None for one that is about no package: commits of a repository alone."""
    if not isinstance(entry, dict):
        raise RecordRefused(f"{where} is not an object")
    ranges = [
        _range(each, f"{where}.ranges[{place}]") for place, each in enumerate(_list(entry, "ranges", where, 5_000))
    ]
    versions = _texts(entry, "versions", _MOST_VERSIONS, where)
    if "package" not in entry:
        if any(kind == "GIT" for kind, _ in ranges) or not (ranges or versions):
            return None
        raise RecordRefused(f"{where}.package is missing")
    package = _object(entry, "package", where)
    ecosystem = _short(package, "ecosystem", f"{where}.package")
    name = _short(package, "name", f"{where}.package")
    vectors, word = _severities(entry, "severity", where)
    specific = _object(entry, "ecosystem_specific", where)
    database = _object(entry, "database_specific", where)
    key = ecosystem_key(ecosystem)
    kept = [each for each in ranges if each[0] != "GIT"]
    if kept and key.partition(":")[0] in _COMPARABLE:
        versions = []
    body = {
        "ranges": kept,
        "versions": versions,
        "vectors": vectors,
        "vendor_severity": word
        or next(
            (_word(at, name) for at in (specific, database) for name in ("severity", "urgency") if _word(at, name)), ""
        ),
        "binaries": _binaries(specific),
    }
    return About(key, name_key(key, name), {name: value for name, value in body.items() if value})


def _range(found: Any, where: str) -> tuple[str, list[tuple[str, str]]]:
    if not isinstance(found, dict):
        raise RecordRefused(f"{where} is not an object")
    kind = found.get("type")
    if kind not in _RANGES:
        raise RecordRefused(f"{where}.type is not {', '.join(_RANGES)}")
    events = []
    for place, event in enumerate(_list(found, "events", where, _MOST_EVENTS)):
        if not isinstance(event, dict) or len(event) != 1:
            raise RecordRefused(f"{where}.events[{place}] is not an object of one member")
        ((name, version),) = event.items()
        if name not in _EVENTS:
            raise RecordRefused(f"{where}.events[{place}] is not {', '.join(_EVENTS)}")
        if not isinstance(version, str) or not 0 < len(version) <= _LONGEST_TEXT:
            raise RecordRefused(f"{where}.events[{place}].{name} is no version")
        events.append((name, version))
    if not any(name == "introduced" for name, _ in events):
        raise RecordRefused(f"{where}.events has no introduced")
    return kind, events


def _severities(owner: dict[str, Any], member: str, where: str = "") -> tuple[list[tuple[str, str]], str]:
    """The vectors of CVSS, and the word of a distribution where one of the entries is such."""
    vectors, word = [], ""
    for place, each in enumerate(_list(owner, member, where, 100)):
        path = _at(where, f"{member}[{place}]")
        if not isinstance(each, dict) or not all(isinstance(each.get(name), str) for name in ("type", "score")):
            raise RecordRefused(f"{path} has no type and score that are texts")
        kind, score = each["type"], each["score"][:_LONGEST_TEXT]
        if kind in _VECTORS:
            vectors.append((kind, score))
        else:
            word = word or score
    return vectors, word


def _references(document: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for place, each in enumerate(_list(document, "references", "", 100_000)):
        if not isinstance(each, dict) or not all(isinstance(each.get(name), str) for name in ("type", "url")):
            raise RecordRefused(f"references[{place}] has no type and url that are texts")
        found.append((each["type"], each["url"]))
    # What an advisory itself says comes first, where not all are kept.
    found.sort(key=lambda each: each[0] not in ("ADVISORY", "EVIDENCE"))
    return found[:_MOST_REFERENCES]


def _binaries(specific: dict[str, Any]) -> list[str]:
    """`[{"openssl": "3.0.8-1"}]` as SUSE has it. Anything else is nobody's list of binaries."""
    entries = specific.get("binaries")
    if not isinstance(entries, list):
        return []
    found = [name for each in entries if isinstance(each, dict) and "binary_name" not in each for name in each]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))[:_MOST_NAMES]


# --- members ----------------------------------------------------------------------------------------------------------


def _at(where: str, member: str) -> str:
    return f"{where}.{member}" if where else member


def _text(owner: dict[str, Any], member: str) -> str:
    value = owner.get(member)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RecordRefused(f"{member} is not a text")
    return value


def _short(owner: dict[str, Any], member: str, where: str) -> str:
    value = owner.get(member)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise RecordRefused(f"{_at(where, member)} is missing or no text of up to {_LONGEST_TEXT} characters")
    return value


def _list(owner: dict[str, Any], member: str, where: str, most: int) -> list[Any]:
    value = owner.get(member)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RecordRefused(f"{_at(where, member)} is not a list")
    if len(value) > most:
        raise RecordRefused(f"{_at(where, member)} has more than {most} entries")
    return value


def _object(owner: dict[str, Any], member: str, where: str) -> dict[str, Any]:
    value = owner.get(member)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecordRefused(f"{_at(where, member)} is not an object")
    return value


def _texts(owner: dict[str, Any], member: str, most: int, where: str = "") -> list[str]:
    found = _list(owner, member, where, most)
    if not all(isinstance(each, str) and 0 < len(each) <= _LONGEST_TEXT for each in found):
        raise RecordRefused(f"{_at(where, member)} has entries that are no texts of up to {_LONGEST_TEXT} characters")
    return found


def _word(owner: dict[str, Any], member: str) -> str:
    value = owner.get(member)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _time(document: dict[str, Any], member: str, *, required: bool = False) -> float | None:
    """Seconds since 1970; None where it is absent, or of the year 1, as a time that was never set is written."""
    value = document.get(member)
    if value is None:
        if required:
            raise RecordRefused(f"{member} is missing")
        return None
    if not isinstance(value, str) or "T" not in value:
        raise RecordRefused(f"{member} is no time as RFC 3339 has it")
    try:
        moment = datetime.fromisoformat(value)
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        raise RecordRefused(f"{member} is no time as RFC 3339 has it") from None
    return seconds if moment.year > 1 else None


#: Makes a record of a document, or raises RecordRefused.
Reader = Callable[[Any], Record]
