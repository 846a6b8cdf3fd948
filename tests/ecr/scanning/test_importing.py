"""Imports: archives, directories, Debian's tracker, Alpine's secdb; broken ones, killed ones, and real ones."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecrsim.ecr.scanning.advisories import Advisories, importing, open_advisories, places
from ecrsim.ecr.scanning.advisories import archive as zip_archive
from ecrsim.ecr.scanning.advisories.importing import Done, import_files
from ecrsim.ecr.scanning.advisories.replacing import FILE, IMPORTED
from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.matching import match
from tests.ecr.scanning.osv import BOOKWORM, bill, fixed_in

#: Real records, where the checkout stands beside them.
REAL = Path(__file__).parents[4] / "shared" / "data" / "advisories"


@pytest.fixture(name="advisories")
def advisories_of_a_directory(tmp_path: Path) -> Advisories:
    return open_advisories(tmp_path / "data")


def records(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [fixed_in(f"CVE-2024-{number:05}", "PyPI", f"p{number}", "2") for number in range(first, first + count)]


def write_zip(file: Path, members: dict[str, Any], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, document in members.items():
            archive.writestr(name, document if isinstance(document, str | bytes) else json.dumps(document))
    return file


def export(file: Path, found: list[dict[str, Any]], **more: Any) -> Path:
    """As OSV exports: a file a record."""
    return write_zip(file, {f"{each['id']}.json": each for each in found}, **more)


def bring(advisories: Advisories, path: Path, source: str = "osv") -> Done:
    return import_files(advisories, source, path, lambda *_: None)


def reasons(advisories: Advisories) -> list[tuple[str, str]]:
    return [(each.place, each.reason) for each in advisories.refused()]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_an_export_of_osv(advisories: Advisories, tmp_path: Path, method: int):
    told: list[tuple[int, int | None]] = []
    file = export(tmp_path / "all.zip", records(30), method=method)
    assert import_files(advisories, "osv", file, lambda *now: told.append(now)) == Done("osv", 30, 0, 0)
    assert told == [(30, 30)]
    assert len(advisories.about("PyPI", "p30")) == 1
    assert advisories.sources()[0].place == str(file)


def test_an_archive_of_more_than_65535_files(advisories: Advisories, tmp_path: Path):
    """Those have an end of 64 bits; all but one of these are no records."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for number in range(66_000):
            archive.writestr(f"{number}.txt", b"")
        archive.writestr("CVE-2024-00001.json", json.dumps(records(1)[0]))
    assert bring(advisories, tmp_path / "all.zip") == Done("osv", 1, 0, 0)


def test_an_archive_whose_offsets_have_64_bits(tmp_path: Path):
    """As one has that is larger than 4 GiB: sizes and offset stand in the extra field."""
    extra = struct.pack("<HHQQQ", 1, 24, 5_000_000_000, 4_900_000_000, 6_000_000_000)
    sizes = (7, 0xFFFFFFFF, 0xFFFFFFFF)
    head = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, 45, 0, 8, 0, 0, *sizes, 5, 28, 0, 0, 0, 0, 0xFFFFFFFF)
    directory = head + b"a.txt" + extra
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)
    (tmp_path / "big.zip").write_bytes(directory + end)
    with (tmp_path / "big.zip").open("rb") as stream:
        (member,) = zip_archive.members(stream)
    assert (member.size, member.compressed, member.offset) == (5_000_000_000, 4_900_000_000, 6_000_000_000)


def test_a_directory_of_records_and_archives(advisories: Advisories, tmp_path: Path):
    (tmp_path / "feed" / "more").mkdir(parents=True)
    one, two, *rest = records(10)
    (tmp_path / "feed" / "one.json").write_text(json.dumps(one))
    (tmp_path / "feed" / "more" / "two.json").write_text(json.dumps([two]))
    (tmp_path / "feed" / "README.md").write_text("no record")
    export(tmp_path / "feed" / "rest.zip", rest)
    assert bring(advisories, tmp_path / "feed") == Done("osv", 10, 0, 0)


@pytest.mark.parametrize("wrap", [lambda found: found, lambda found: {"records": found}])
def test_a_list_of_records(advisories: Advisories, tmp_path: Path, wrap: Callable[[Any], Any]):
    (tmp_path / "list.json").write_text(json.dumps(wrap(records(5))))
    assert bring(advisories, tmp_path / "list.json").records == 5


def test_nothing_is_brought_from_nowhere(advisories: Advisories, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(places.NoPlace, match=r"has no \.json and no \.zip in it"):
        bring(advisories, tmp_path / "empty")
    with pytest.raises(places.NoPlace, match="No such file or directory"):
        bring(advisories, tmp_path / "missing.zip")


# --- what is broken ---------------------------------------------------------------------------------------------------


def test_each_broken_file_of_an_archive_is_refused_with_its_reason(advisories: Advisories, tmp_path: Path):
    good, other = records(2)
    deep = "[" * 5_000
    members = {
        "good.json": good,
        "text.json": "{",
        "deep.json": deep,
        "utf.json": b'{"id": "\xff"}',
        "other.json": other,
    }
    file = write_zip(tmp_path / "all.zip", members)
    assert bring(advisories, file) == Done("osv", 2, 3, 0)
    found = dict(reasons(advisories))
    assert set(found) == {"text.json", "deep.json", "utf.json"}
    assert all(reason.startswith("it is not JSON: ") for reason in found.values())


def damaged(content: bytes, what: str) -> bytes:
    directory = content.index(b"PK\x01\x02")
    changed = bytearray(content)
    if what == "bytes":
        changed[60] ^= 0xFF
    elif what == "encrypted":
        changed[directory + 8] |= 1
    elif what == "method":
        changed[directory + 10] = 14
    elif what == "place":
        changed[directory + 42] = 7
    elif what == "size":
        changed[directory + 24 : directory + 28] = (1).to_bytes(4, "little")
    elif what == "bomb":
        changed[directory + 24 : directory + 28] = (1 << 30).to_bytes(4, "little")
    return bytes(changed)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("bytes", "its bytes are damaged"),
        ("encrypted", "it is encrypted"),
        ("method", "it is compressed by method 14, which is not read"),
        ("place", "it is not where the directory of the archive says"),
        ("size", "its bytes are damaged"),
        ("bomb", "it has more than 16777216 bytes"),
    ],
)
def test_a_file_of_an_archive_that_cannot_be_read(advisories: Advisories, tmp_path: Path, what: str, reason: str):
    file = export(tmp_path / "all.zip", records(2))
    file.write_bytes(damaged(file.read_bytes(), what))
    assert bring(advisories, file) == Done("osv", 1, 1, 0)
    assert reasons(advisories) == [("CVE-2024-00001.json", reason)]


def cut(content: bytes) -> bytes:
    return content[:-40]


def with_lost_directory(content: bytes) -> bytes:
    place = content.rindex(b"PK\x01\x02")
    return content[:place] + b"PK\x09\x09" + content[place + 4 :]


@pytest.mark.parametrize(
    ("change", "taken", "reason"),
    [
        (cut, 0, "the archive is broken: it has no end of a zip archive"),
        (with_lost_directory, 2, "the archive is broken: its directory is damaged"),
        (lambda content: content[:2], 0, "the archive is broken: it has no end of a zip archive"),
    ],
)
def test_an_archive_that_is_broken(
    advisories: Advisories, tmp_path: Path, change: Callable[[bytes], bytes], taken: int, reason: str
):
    file = export(tmp_path / "all.zip", records(3))
    file.write_bytes(change(file.read_bytes()))
    assert bring(advisories, file).records == taken
    assert reasons(advisories)[-1] == ("all.zip", reason)


# --- distributions' own forms -----------------------------------------------------------------------------------------

TRACKER = {
    "openssl": {
        "CVE-2024-10001": {
            "description": "Reads too far.",
            "releases": {
                "bookworm": {"status": "resolved", "fixed_version": "3.0.13-1~deb12u1", "urgency": "medium"},
                "trixie": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
                "sid": {"status": "resolved", "fixed_version": "3.2.0-1", "urgency": "medium"},
            },
        },
        "CVE-2024-10002": {"releases": {"bookworm": {"status": "open", "urgency": "not yet assigned"}}},
        "CVE-2024-10003": {"releases": {"bookworm": {"status": "undetermined"}}},
        "CVE-2024-10004": {"scope": "local"},
    },
    "zlib": {"CVE-2024-10001": {"releases": {"bookworm": {"status": "open", "urgency": "low"}}}},
}


@pytest.mark.parametrize("limit", [zip_archive.MAX_MEMBER, 10], ids=["whole", "member by member"])
def test_debians_tracker(advisories: Advisories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int):
    monkeypatch.setattr(zip_archive, "MAX_MEMBER", limit)
    (tmp_path / "debian.json").write_text(json.dumps(TRACKER, indent=1))
    assert bring(advisories, tmp_path / "debian.json", "debian") == Done("debian", 2, 1, 0)
    assert reasons(advisories) == [("debian.json", "openssl: CVE-2024-10004 has no releases")]
    image = bill(
        Package("deb", "libssl3", "3.0.11-1", source_name="openssl"), Package("deb", "zlib1g", "1", source_name="zlib")
    )
    assert [(one.id, one.package.name, one.severity, one.fixed_version) for one in match(image, advisories)] == [
        ("CVE-2024-10001", "libssl3", "MEDIUM", "3.0.13-1~deb12u1"),
        ("CVE-2024-10001", "zlib1g", "LOW", None),
        ("CVE-2024-10002", "libssl3", "UNDEFINED", None),
    ]
    assert match(bill(*image.packages, system=OperatingSystem("debian", "13")), advisories) == []
    assert advisories.find("CVE-2024-10001")[0].details == "Reads too far."


@pytest.mark.parametrize(
    "text", ['{"openssl": {"CVE-2024-10001": {"releases": {}}}, "zlib"', '{"openssl": {"CVE-2024-1": 1} "x"']
)
def test_a_tracker_that_breaks_off(advisories: Advisories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setattr(zip_archive, "MAX_MEMBER", 10)
    (tmp_path / "debian.json").write_text(text)
    assert bring(advisories, tmp_path / "debian.json").records == 0
    assert reasons(advisories)[-1][1].startswith("it is not JSON: ")


def secdb(packages: list[Any], **more: Any) -> dict[str, Any]:
    return {"distroversion": "v3.21", "reponame": "main", "packages": packages, **more}


def fixes(name: str, **versions: Any) -> dict[str, Any]:
    return {"pkg": {"name": name, "secfixes": versions}}


def test_alpines_secdb(advisories: Advisories, tmp_path: Path):
    openssl = {
        "pkg": {
            "name": "openssl",
            "secfixes": {"3.3.2-r0": ["CVE-2024-20001 GHSA-aaaa-bbbb-cccc (+)"], "0": ["CVE-2024-20002"]},
        }
    }
    other = {"pkg": {"name": "nodejs", "secfixes": {"22.1.0-r0": ["CVE-2024-20001", "???"]}}}
    (tmp_path / "main.json").write_text(json.dumps(secdb([openssl, other, "x"])))
    done = bring(advisories, tmp_path / "main.json", "alpine")
    assert done == Done("alpine", 2, 2, 0)
    assert [reason for _, reason in reasons(advisories)] == [
        "nodejs: '???' names no vulnerability",
        "packages[2] has no pkg with name and secfixes",
    ]
    image = bill(
        Package("apk", "libssl3", "3.3.1-r3", source_name="openssl"), system=OperatingSystem("alpine", "3.21.0")
    )
    assert [(one.id, one.fixed_version, one.source) for one in match(image, advisories)] == [
        ("CVE-2024-20001", "3.3.2-r0", "ALPINE_CVE"),
        ("GHSA-aaaa-bbbb-cccc", "3.3.2-r0", "ALPINE_CVE"),
    ]


@pytest.mark.parametrize(
    ("prefix", "system"),
    [("https://packages.wolfi.dev/os", "wolfi"), ("https://packages.cgr.dev/chainguard", "chainguard")],
)
def test_the_secdb_of_who_has_the_same_form(advisories: Advisories, tmp_path: Path, prefix: str, system: str):
    found = {"urlprefix": prefix, "packages": [fixes("go", **{"1.22.1-r0": ["CVE-2024-20003"]})]}
    (tmp_path / "security.json").write_text(json.dumps(found))
    bring(advisories, tmp_path / "security.json")
    image = bill(Package("apk", "go", "1.22.0-r0"), system=OperatingSystem(system, "20230201"))
    assert [one.id for one in match(image, advisories)] == ["CVE-2024-20003"]


# --- killed, and gone on with -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """As if the process ended there."""


def kill_after(steps: int) -> Callable[[int, int | None], None]:
    def progress(done: int, _: int | None) -> None:
        if done >= steps:
            raise Killed

    return progress


@pytest.fixture(name="attempt")
def attempt_that_was_killed(advisories: Advisories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(importing, "_PIECE", 10)
    advisories.import_records("before", [fixed_in("CVE-2020-0001", "PyPI", "old", "2")])
    file = export(tmp_path / "all.zip", records(35))
    with pytest.raises(Killed):
        import_files(advisories, "osv", file, kill_after(20))
    return file


def test_a_killed_import_changes_nothing_and_is_gone_on_with(advisories: Advisories, attempt: Path):
    assert [each.name for each in advisories.sources()] == ["before"]
    assert bring(advisories, attempt) == Done("osv", 35, 0, 20)
    assert len(advisories.about("PyPI", "p1")) == len(advisories.about("PyPI", "p35")) == 1
    assert [each.name for each in advisories.sources()] == ["before", "osv"]
    assert not (advisories.directory / IMPORTED).exists()


@pytest.mark.parametrize("what", ["another file", "another source", "another neighbour", "a damaged attempt"])
def test_an_import_begins_anew_where_anything_is_another(advisories: Advisories, attempt: Path, what: str):
    source = "other" if what == "another source" else "osv"
    if what == "another file":
        export(attempt, records(35, first=2))
    elif what == "another neighbour":
        advisories.ignore("CVE-1")
    elif what == "a damaged attempt":
        (advisories.directory / IMPORTED).write_bytes(b"SQLite format 3\0 and then nothing")
    assert bring(advisories, attempt, source) == Done(source, 35, 0, 0)
    assert len(advisories.ignored()) == (what == "another neighbour")
    assert len(advisories.about("PyPI", "p10")) == 1


def test_an_import_of_the_same_again_replaces_it(advisories: Advisories, tmp_path: Path):
    file = export(tmp_path / "all.zip", records(5))
    bring(advisories, file)
    size = (advisories.directory / FILE).stat().st_size
    export(file, records(5, first=3))
    assert bring(advisories, file) == Done("osv", 5, 0, 0)
    assert advisories.about("PyPI", "p1") == []
    assert (advisories.directory / FILE).stat().st_size <= size * 1.5


# --- large ones -------------------------------------------------------------------------------------------------------

MEASURE = """
import pathlib, resource, sys
from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.ecr.scanning.advisories.importing import import_files
found = open_advisories(pathlib.Path(sys.argv[1]))
for name in sys.argv[2:]:
    done = import_files(found, "osv", pathlib.Path(name), lambda *_: None)
    print(done.records, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_a_large_import_needs_little_more_memory_than_a_small_one(tmp_path: Path):
    details = {"details": "It reads too far. " * 40, "aliases": ["GHSA-aaaa-bbbb-cccc"]}
    for count in (1_000, 40_000):
        export(tmp_path / f"{count}.zip", [each | details for each in records(count)])
    files = [str(tmp_path / f"{count}.zip") for count in (1_000, 40_000)]
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "data"), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (few, before), (many, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (few, many) == (1_000, 40_000)
    # SQLite's cache is 64 MiB.
    assert after - before < 100


# --- real ones --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="the real records are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "count", "refused"),
    [
        ("go", 4_291, []),
        ("mixed", 6, []),
        ("pypi", 2_660, [("PYSEC-2024-55.json", "modified is no time as RFC 3339 has it")]),
    ],
)
def test_real_archives_are_imported_whole(
    advisories: Advisories, name: str, count: int, refused: list[tuple[str, str]]
):
    assert bring(advisories, REAL / f"{name}.zip", name).records == count
    assert reasons(advisories) == refused


@pytest.mark.skipif(not REAL.is_dir(), reason="the real records are not beside the checkout")
def test_real_records_of_go_and_pypi_about_real_packages(advisories: Advisories):
    bring(advisories, REAL / "go.zip", "go")
    bring(advisories, REAL / "pypi.zip", "pypi")
    packages = Package("golang", "golang.org/x/net", "v0.22.0"), Package("pypi", "Django", "3.2.24")
    found = match(bill(*packages, system=BOOKWORM), advisories)
    fixed = {(one.id, one.package.name): one.fixed_version for one in found}
    assert fixed["CVE-2023-45288", "golang.org/x/net"] == "0.23.0"
    assert fixed["CVE-2024-27351", "Django"] == "3.2.25"
    assert ("CVE-2023-39325", "golang.org/x/net") not in fixed
