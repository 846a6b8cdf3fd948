"""The store of advisories: looked up by an index, changed aside, replaced whole, seen by everybody."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ecrsim.ecr.scanning.advisories import (
    Advisories,
    AdvisoriesBusy,
    AdvisoriesDamaged,
    RecordsRefused,
    open_advisories,
)
from ecrsim.ecr.scanning.advisories.replacing import FILE, alone
from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.matching import match
from tests.ecr.scanning.osv import bill, fixed_in, record

OPENSSL = fixed_in("CVE-2024-0001", "Debian:12", "alpha", "3.0.11-1")
ZLIB = fixed_in("CVE-2024-0002", "Debian:12", "beta", "2")


@pytest.fixture(name="advisories")
def advisories_of_a_directory(tmp_path: Path) -> Advisories:
    return open_advisories(tmp_path)


def ids(advisories: Advisories, name: str) -> list[str]:
    found = advisories.snapshot()
    return [found.record(each.record).id for each in found.about("Debian:12", name)]


def test_sources_stand_side_by_side_and_one_is_replaced_alone(advisories: Advisories):
    advisories.import_records("one", [OPENSSL, ZLIB])
    advisories.import_records("two", [OPENSSL])
    assert ids(advisories, "alpha") == ["CVE-2024-0001"] * 2
    advisories.import_records("one", [ZLIB])
    assert [advisories.record(each.record).source for each in advisories.about("Debian:12", "alpha")] == ["two"]
    assert [(each.name, each.kind, each.records) for each in advisories.sources()] == [
        ("two", "imported", 1),
        ("one", "imported", 1),
    ]
    assert advisories.remove("two")
    assert ids(advisories, "alpha") == []
    assert advisories.find("CVE-2024-0001") == []
    assert not advisories.remove("two")


def test_what_ships_is_there_for_want_of_anything_else(advisories: Advisories):
    assert [(each.name, each.kind) for each in advisories.sources()] == [("shipped", "shipped")]
    assert advisories.find("CVE-2021-44228")
    advisories.add(ZLIB)
    assert [each.name for each in advisories.sources()] == ["shipped", "added"]
    advisories.import_records("mine", [OPENSSL])
    assert [each.name for each in advisories.sources()] == ["added", "mine"]
    advisories.remove("mine")
    advisories.remove("added")
    assert [each.name for each in advisories.sources()] == ["shipped"]
    advisories.remove("shipped")
    assert advisories.sources() == []
    assert advisories.find("CVE-2021-44228") == []


def test_the_revision_is_another_one_after_each_change_and_the_same_without_one(advisories: Advisories, tmp_path: Path):
    elsewhere = open_advisories(tmp_path)
    statement = {"vulnerability": {"name": "CVE-1"}, "products": ["pkg:oci/app"], "status": "fixed"}
    vex = {"@context": "https://openvex.dev/ns/v0.2.0", "statements": [statement]}
    changes = [
        lambda: elsewhere.import_records("one", [OPENSSL]),
        lambda: elsewhere.import_records("one", [OPENSSL]),
        lambda: elsewhere.add(ZLIB),
        lambda: elsewhere.ignore("CVE-2024-0001"),
        lambda: elsewhere.heed("CVE-2024-0001"),
        lambda: elsewhere.put_document("vex.json", vex),
        lambda: elsewhere.remove("one"),
        elsewhere.forget,
    ]
    seen = [advisories.revision]
    for change in changes:
        change()
        assert advisories.revision == advisories.revision == elsewhere.revision
        seen.append(advisories.revision)
    assert len(set(seen)) == len(changes) + 1
    elsewhere.heed("CVE-2024-0001")
    elsewhere.forget()
    assert advisories.revision == seen[-1]


def test_a_scan_under_way_goes_on_with_what_it_began_with(advisories: Advisories):
    advisories.import_records("one", [OPENSSL])
    held = advisories.snapshot()
    advisories.import_records("one", [ZLIB])
    assert [held.record(each.record).id for each in held.about("Debian:12", "alpha")] == ["CVE-2024-0001"]
    assert ids(advisories, "alpha") == []


def test_many_threads_look_up_while_one_replaces(advisories: Advisories):
    advisories.import_records("one", [OPENSSL])
    image = bill(Package("deb", "alpha", "3.0.10-1"))
    wrong: list[object] = []
    done = threading.Event()

    def scan() -> None:
        while not done.is_set():
            found = [each.id for each in match(image, advisories)]
            if found != ["CVE-2024-0001"]:
                wrong.append(found)

    threads = [threading.Thread(target=scan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        advisories.import_records("one", [OPENSSL, ZLIB] * (number % 2) or [OPENSSL])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_look_up_is_an_index_look_up(advisories: Advisories, tmp_path: Path):
    advisories.import_records("one", [OPENSSL])
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        for statement, index in (
            ("SELECT record FROM affected WHERE ecosystem = 'x' AND name = 'y'", "affected_by_name"),
            ("SELECT record FROM names WHERE name = 'y'", "names_by_name"),
            ("SELECT body FROM records WHERE number = 1", "INTEGER PRIMARY KEY"),
        ):
            (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
            assert plan[3].startswith("SEARCH"), plan
            assert index in plan[3]
    connection.close()


def test_the_file_is_its_owners_alone(advisories: Advisories, tmp_path: Path):
    advisories.add(OPENSSL)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_record_that_is_refused_leaves_everything_as_it_was(advisories: Advisories):
    advisories.add(OPENSSL)
    before = advisories.revision
    with pytest.raises(RecordsRefused, match=r"record 2 \(CVE-9\): modified is missing"):
        advisories.add(ZLIB, {"id": "CVE-9"})
    assert advisories.revision == before
    assert ids(advisories, "beta") == []


def test_of_an_import_the_others_are_in_and_each_refused_one_is_listed(advisories: Advisories):
    found = advisories.import_records("mine", [OPENSSL, {"id": "CVE-9"}, OPENSSL, "x", ZLIB], place="feed.json")
    assert found.records == 2
    assert found.refused == advisories.refused("mine")
    assert [(each.place, each.id, each.reason) for each in found.refused] == [
        ("feed.json", "CVE-9", "modified is missing"),
        ("feed.json", "CVE-2024-0001", "a record of the same id came before"),
        ("feed.json", "", "it is not a JSON object"),
    ]
    assert advisories.refused("another") == []


def test_a_record_that_is_added_again_replaces_itself(advisories: Advisories):
    advisories.add(OPENSSL, ZLIB)
    advisories.add(fixed_in("CVE-2024-0001", "Debian:12", "alpha", "3.0.12-1", aliases=["GHSA-aaaa-bbbb-cccc"]))
    (about,) = advisories.about("Debian:12", "alpha")
    assert about.ranges[0].events[1] == ("fixed", "3.0.12-1")
    assert [each.id for each in advisories.find("GHSA-aaaa-bbbb-cccc")] == ["CVE-2024-0001"]
    assert {each.name: each.records for each in advisories.sources()}["added"] == 2


def test_a_reset_forgets_what_was_added_and_not_what_was_imported(advisories: Advisories):
    advisories.import_records("mine", [OPENSSL])
    advisories.add(ZLIB)
    advisories.ignore("CVE-2024-0001")
    advisories.forget()
    assert [each.name for each in advisories.sources()] == ["mine"]
    assert advisories.ignored() == []


@pytest.mark.parametrize(
    ("repository", "until", "asked", "now", "holds"),
    [
        ("", None, "app", 5.0, True),
        ("app", None, "app", 5.0, True),
        ("app", None, "web", 5.0, False),
        ("", 6.0, "app", 5.0, True),
        ("", 5.0, "app", 5.0, False),
    ],
)
def test_what_is_ignored_is_so_in_its_repository_until_its_time(
    advisories: Advisories, repository: str, until: float | None, asked: str, now: float, holds: bool
):
    advisories.ignore("CVE-2024-0001", repository=repository, until=until, reason="not reachable")
    (one,) = advisories.ignored()
    assert one.holds(("GHSA-aaaa-bbbb-cccc", "CVE-2024-0001"), asked, now) is holds
    assert not one.holds(("CVE-2024-0002",), asked, now)
    assert one.reason == "not reachable"


def test_the_second_who_changes_is_told_that_there_is_a_first(advisories: Advisories, tmp_path: Path):
    script = "from ecrsim.ecr.scanning.advisories.replacing import alone; import pathlib, sys\n"
    script += f"with alone(pathlib.Path({str(tmp_path)!r}), 0): print('mine', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(AdvisoriesBusy), alone(tmp_path, 0):
            pass
        other.kill()
    advisories.add(OPENSSL)
    assert ids(advisories, "alpha") == ["CVE-2024-0001"]


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 200])
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(AdvisoriesDamaged, match="import the advisories anew"):
        open_advisories(tmp_path).sources()


def test_nothing_of_what_ships_is_refused_and_all_of_it_can_be_found(tmp_path: Path):
    found = open_advisories(tmp_path)
    (source,) = found.sources()
    assert source.records > 0
    assert source.refused == 0
    assert found.updated_at > 1_700_000_000
    assert record("CVE-2021-44228")["id"] in found.find("GHSA-jfh8-c2jp-5v3q")[0].aliases
