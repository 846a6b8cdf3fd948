"""The set that ships: dated, whole, something for each distribution and language; and how Debian's part is made."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from ecrsim.ecr.scanning.advisories import Advisories, open_advisories
from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.matching import match
from tests.ecr.scanning.osv import BOOKWORM, bill

SCRIPT = Path(__file__).parents[3] / "scripts" / "debian_advisories.py"
FOLDER = resources.files("ecrsim.ecr.scanning.advisories") / "shipped"


@pytest.fixture(name="advisories", scope="module")
def advisories_as_they_ship(tmp_path_factory: pytest.TempPathFactory) -> Advisories:
    return open_advisories(tmp_path_factory.mktemp("data"))


def test_nothing_of_it_is_refused_and_it_is_some_hundred_records(advisories: Advisories):
    (source,) = advisories.sources()
    assert (source.name, source.kind, source.refused) == ("shipped", "shipped", 0)
    assert 300 < source.records < 1_000
    assert advisories.updated_at > 1_750_000_000


@pytest.mark.parametrize("file", sorted(each.name for each in FOLDER.iterdir()))
def test_each_file_of_it_says_of_when_and_from_whom_it_is(file: str):
    document = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    assert document["date"].startswith("20")
    assert len(document["provenance"]) > 40
    assert all(each.get("summary") or each.get("details") for each in document["records"])


# System, package, whether the newer version is mended, id and severity of one of its vulnerabilities.
FOUND = [
    ("debian 12", "deb libssl3 3.0.18-1~deb12u1 openssl", "3.0.19-1~deb12u2", "CVE-2025-69419", "HIGH"),
    ("debian 12", "deb libc6 2.36-9+deb12u2 glibc", "2.36-9+deb12u13", "CVE-2023-4911", "HIGH"),
    ("alpine 3.21.3", "apk libcrypto3 3.3.3-r0 openssl", "3.3.7-r0", "CVE-2026-31789", "CRITICAL"),
    ("alpine 3.21.3", "apk musl 1.2.5-r8 musl", "1.2.5-r11", "CVE-2025-26519", "HIGH"),
    ("amzn 2023", "rpm openssl-libs 1:3.0.8-1.amzn2023.0.1", "1:3.0.8-1.amzn2023.0.14", "CVE-2023-0464", "UNDEFINED"),
    ("amzn 2023", "rpm libcurl-minimal 7.85.0-1.amzn2023 curl", "7.87.0-2.amzn2023.0.2", "CVE-2022-32221", "UNDEFINED"),
    ("ubuntu 22.04", "deb libc6 2.35-0ubuntu3.1 glibc", "2.35-0ubuntu3.7", "CVE-2023-4911", "HIGH"),
    ("ubuntu 24.04", "deb openssh-server 1:9.6p1-3ubuntu13 openssh", "1:9.6p1-3ubuntu13.3", "CVE-2024-6387", "HIGH"),
    ("", "pypi requests 2.30.0", "2.31.0", "CVE-2023-32681", "MEDIUM"),
    ("", "npm lodash 4.17.20", "4.17.21", "CVE-2021-23337", "HIGH"),
    ("", "golang stdlib go1.21.10", "go1.24.2", "CVE-2024-24790", "CRITICAL"),
    ("", "golang golang.org/x/crypto v0.30.0", "v0.35.0", "CVE-2024-45337", "CRITICAL"),
    ("", "maven log4j-core 2.14.1 org.apache.logging.log4j", "2.17.0", "CVE-2021-44228", "CRITICAL"),
    ("", "gem rack 2.2.3", "2.2.3.1", "CVE-2022-30123", "CRITICAL"),
    ("", "cargo regex 1.5.4", "1.5.5", "CVE-2022-24713", "HIGH"),
    ("", "composer psr7 2.4.4 guzzlehttp", "2.4.5", "CVE-2023-29197", "HIGH"),
    ("", "nuget Newtonsoft.Json 12.0.3", "13.0.1", "CVE-2024-21907", "HIGH"),
]  # fmt: skip


@pytest.mark.parametrize(("system", "package", "newer", "identity", "severity"), FOUND)
def test_a_first_scan_shows_something(
    advisories: Advisories, system: str, package: str, newer: str, identity: str, severity: str
):
    type, name, version, *more = package.split()
    member = "source_name" if system else "namespace"
    named = {member: more[0]} if more else {}
    on = OperatingSystem(*system.split()) if system else None

    def scan(installed: str) -> dict[str, str]:
        found = match(bill(Package(type, name, installed, **named), system=on), advisories)
        return {each.id: each.severity for each in found}

    assert scan(version)[identity] == severity
    assert identity not in scan(newer)


CHANGELOG = """\
openssl (3.0.11-1~deb12u2) bookworm-security; urgency=medium

  * CVE-2023-5363 (Incorrect cipher key & IV length processing)
  * Not affected by CVE-2023-9999
  * Another one (CVE-2023-0464,
    CVE-2023-0465)

 -- Somebody <somebody@example.com>  Tue, 24 Oct 2023 19:04:51 +0200

openssl (3.0.11-1~deb12u1) bookworm; urgency=medium

  * CVE-2023-0464, CVE-2012-0001

 -- Somebody <somebody@example.com>  Sun, 01 Oct 2023 10:00:00 +0000

openssl (3.0.9-1) unstable; urgency=medium

  * CVE-2023-2650

 -- Somebody <somebody@example.com>  Tue, 30 May 2023 20:27:30 +0200
"""


def make(docs: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--docs", docs], capture_output=True, text=True, check=True, cwd=docs
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_debians_part_is_what_changelogs_say_of_uploads_to_the_release(tmp_path: Path):
    for package in ("libssl3", "openssl"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "changelog.Debian.gz").write_bytes(gzip.compress(CHANGELOG.encode()))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "changelog.gz").write_bytes(b"no gzip")
    document = make(tmp_path)
    fixes = {
        each["upstream"][0]: each["affected"][0]["ranges"][0]["events"][1]["fixed"] for each in document["records"]
    }
    assert fixes == {
        "CVE-2023-0464": "3.0.11-1~deb12u1",
        "CVE-2023-0465": "3.0.11-1~deb12u2",
        "CVE-2023-5363": "3.0.11-1~deb12u2",
    }
    assert document["date"] == "2023-10-24T17:04:51Z"


def test_what_the_script_makes_can_be_imported(tmp_path: Path):
    (tmp_path / "libssl3").mkdir()
    (tmp_path / "libssl3" / "changelog.Debian.gz").write_bytes(gzip.compress(CHANGELOG.encode()))
    advisories = open_advisories(tmp_path / "data")
    done = advisories.import_records("mine", make(tmp_path)["records"])
    assert (done.records, done.refused) == (3, [])
    image = bill(Package("deb", "libssl3", "3.0.11-1~deb12u1", source_name="openssl"), system=BOOKWORM)
    assert [each.id for each in match(image, advisories)] == ["CVE-2023-0465", "CVE-2023-5363"]
