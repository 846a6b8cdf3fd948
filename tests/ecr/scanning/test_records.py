"""Records in the OSV schema: what is taken, what is refused, and with which reason. Nothing raises."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.ecr.scanning.advisories.records import RecordRefused, read_record
from tests.ecr.scanning.osv import affecting, fixed_in, record

GOOD = fixed_in("CVE-2024-0001", "PyPI", "x", "2")
ZERO = ("introduced", "0")


def changed(**members: Any) -> dict[str, Any]:
    return {**GOOD, **members}


def ranged(found: Any) -> dict[str, Any]:
    return changed(affected=[{"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": found}])


REFUSED = [
    (None, "it is not a JSON object"),
    ([], "it is not a JSON object"),
    ("CVE-2024-0001", "it is not a JSON object"),
    ({}, "id is missing"),
    (changed(id=7), "id: it is missing or no identifier"),
    (changed(id=""), "id: it is missing or no identifier"),
    (changed(id="CVE 2024"), "id: it is missing or no identifier"),
    (changed(id="C" * 300), "id: it is missing or no identifier"),
    ({"id": "CVE-2024-0001"}, "modified is missing"),
    (changed(modified="1-01-01T00:00:00Z"), "modified is no time as RFC 3339 has it"),
    (changed(modified="yesterday"), "modified is no time as RFC 3339 has it"),
    (changed(modified=1700000000), "modified is no time as RFC 3339 has it"),
    (changed(modified="2024-13-01T00:00:00Z"), "modified is no time as RFC 3339 has it"),
    (changed(published="2024-01-01"), "published is no time as RFC 3339 has it"),
    (changed(withdrawn=True), "withdrawn is no time as RFC 3339 has it"),
    (changed(summary=["a"]), "summary is not a text"),
    (changed(details={}), "details is not a text"),
    (changed(aliases="CVE-1"), "aliases is not a list"),
    (changed(aliases=[1]), "aliases has entries that are no texts of up to 512 characters"),
    (changed(related=["x" * 600]), "related has entries that are no texts of up to 512 characters"),
    (changed(severity={}), "severity is not a list"),
    (changed(severity=["high"]), "severity[0] has no type and score that are texts"),
    (changed(severity=[{"type": "CVSS_V3", "score": 9.8}]), "severity[0] has no type and score that are texts"),
    (changed(references=[{"type": "WEB"}]), "references[0] has no type and url that are texts"),
    (changed(database_specific=[]), "database_specific is not an object"),
    (changed(affected={}), "affected is not a list"),
    (changed(affected=["x"]), "affected[0] is not an object"),
    (changed(affected=[{"versions": ["1"]}]), "affected[0].package is missing"),
    (changed(affected=[{"package": "x"}]), "affected[0].package is not an object"),
    (
        changed(affected=[{"package": {"name": "x"}}]),
        "affected[0].package.ecosystem is missing or no text of up to 512 characters",
    ),
    (
        changed(affected=[{"package": {"ecosystem": "PyPI", "name": ""}}]),
        "affected[0].package.name is missing or no text of up to 512 characters",
    ),
    (
        changed(affected=[affecting("PyPI", "x", ZERO, versions=[None])]),
        "affected[0].versions has entries that are no texts of up to 512 characters",
    ),
    (
        changed(affected=[affecting("PyPI", "x", ZERO, ecosystem_specific="")]),
        "affected[0].ecosystem_specific is not an object",
    ),
    (ranged({}), "affected[0].ranges is not a list"),
    (ranged([1]), "affected[0].ranges[0] is not an object"),
    (ranged([{"type": "FANCY", "events": []}]), "affected[0].ranges[0].type is not SEMVER, ECOSYSTEM, GIT"),
    (ranged([{"type": "SEMVER"}]), "affected[0].ranges[0].events has no introduced"),
    (
        ranged([{"type": "SEMVER", "events": [{"introduced": "0", "fixed": "1"}]}]),
        "affected[0].ranges[0].events[0] is not an object of one member",
    ),
    (
        ranged([{"type": "SEMVER", "events": [{"introduced": "0"}, {"repaired": "1"}]}]),
        "affected[0].ranges[0].events[1] is not introduced, fixed, last_affected, limit",
    ),
    (
        ranged([{"type": "SEMVER", "events": [{"introduced": 0}]}]),
        "affected[0].ranges[0].events[0].introduced is no version",
    ),
    (ranged([{"type": "SEMVER", "events": [{"fixed": "1"}]}]), "affected[0].ranges[0].events has no introduced"),
]


@pytest.mark.parametrize(("document", "reason"), REFUSED)
def test_a_record_is_refused_with_its_reason(document: Any, reason: str):
    with pytest.raises(RecordRefused) as caught:
        read_record(document)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "document",
    [
        GOOD,
        record("GHSA-aaaa-bbbb-cccc"),
        changed(modified="0001-01-01T00:00:00Z"),
        changed(modified="2024-05-05T10:00:00.123456789Z"),
        changed(affected=None, aliases=None, details=None, severity=None),
        changed(affected=[{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]),
        changed(affected=[affecting("An ecosystem of next year:1", "x", ZERO)]),
        changed(affected=[{"package": {"ecosystem": "Red Hat:rhel_e4s:9.2::appstream", "name": "package1"}}]),
    ],
)
def test_a_record_of_the_schema_is_taken(document: dict[str, Any]):
    assert read_record(document).id == document["id"]


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = some.sampled_from(
    ("id", "modified", "published", "aliases", "severity", "affected", "references", "database_specific", "details")
)


@settings(max_examples=150, deadline=None)
@given(some.dictionaries(MEMBERS, JSON, max_size=3), JSON)
def test_whatever_stands_in_a_record_it_is_taken_or_refused(members: dict[str, Any], entry: Any):
    odd = ranged([{"type": "GIT", "events": entry}])
    for document in (changed(**members), changed(affected=[entry]), ranged([entry]), odd):
        assert outcome(document)


def outcome(document: Any) -> str:
    """The id, or the reason."""
    try:
        return read_record(document).id
    except RecordRefused as reason:
        return str(reason)


def test_the_store_takes_no_half_of_a_character_and_says_so(tmp_path: Path):
    half = chr(0xD800)
    broken = [
        fixed_in("CVE-2024-0001", "PyPI", "x", "2", details=half),
        fixed_in("CVE-2024-0002", "PyPI", half, "2"),
        fixed_in("CVE-2024-0003", "PyPI", "x", half),
        fixed_in("CVE-2024-0004", "PyPI", "x", "2", aliases=[half]),
        {"id": half},
    ]
    found = open_advisories(tmp_path).import_records("broken", [*broken, GOOD | {"id": "CVE-2024-0005"}, math.nan])
    assert found.records == 1
    assert [each.reason for each in found.refused[:4]] == ["it holds characters that are none"] * 4
    assert len(found.refused) == 6


def test_a_long_description_is_cut_and_too_many_entries_are_refused():
    assert len(read_record(changed(details="x" * 10_000)).body["details"]) == 4_096
    with pytest.raises(RecordRefused, match="aliases has more than 2000 entries"):
        read_record(changed(aliases=[f"CVE-2024-{n}" for n in range(2_001)]))
