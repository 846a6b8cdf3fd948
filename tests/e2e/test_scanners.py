"""The programs of other scanners, on images in ecrsim: `--scanner grype`, with a database of a few vulnerabilities."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import BuiltImage, build_image
from tests.e2e.clients import SEARCH_PATH, Client, clean_environ, require
from tests.e2e.grype_database import CVSS3, GrypeDatabase, make_database
from tests.ecr.scanning.scanned import CONTINUOUS, debian, findings, paragraph, start

OPENSSL, LODASH, GHSA = "CVE-2026-0001", "CVE-2021-23337", "GHSA-35jh-r3h4-6jhm"
PACKAGE = "usr/lib/node_modules/lodash/package.json"
OFFLINE = {"GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_DB_VALIDATE_AGE": "false", "GRYPE_CHECK_FOR_APP_UPDATE": "false"}


def fill(database: GrypeDatabase) -> None:
    database.debian(OPENSSL, "openssl", "3.0.12-1", "low")
    database.npm(GHSA, LODASH, "lodash", "4.17.21", "high")


@pytest.fixture(scope="module")
def grype_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache directory of a grype that has these two vulnerabilities, and all that it asks for no network."""
    folder = tmp_path_factory.mktemp("grype") / "cache"
    environ = clean_environ(folder.parent / "home") | OFFLINE | {"GRYPE_DB_CACHE_DIR": str(folder)}
    make_database(folder, Client((require("grype"),), environ), fill)
    return folder


@pytest.fixture
def image() -> BuiltImage:
    """Debian with an old library and an old package of npm."""
    packages = paragraph("libssl3", "3.0.11-1", "openssl"), paragraph("zlib1g", "1:1")
    document = json.dumps({"name": "lodash", "version": "4.17.20", "license": "MIT"}).encode()
    layer = debian(*packages, more={PACKAGE: document})
    diff_id = f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs}
    return build_image(layer, config=json.dumps(config).encode())


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An ecrsim whose scanner is grype; it finds the program in PATH, and that its database by the environment."""
    require("grype")
    monkeypatch.setenv("PATH", SEARCH_PATH)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GRYPE_DB_CACHE_DIR", str(tmp_path / "nothing"))
    with Ecrsim(socket=False, scanner="grype", scan_delay=0) as found:
        yield found


def test_a_basic_scan_by_grype(sim: Ecrsim, image: BuiltImage, grype_cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Basic scans tell of the operating system's packages alone; the severity is that of the distribution."""
    monkeypatch.setenv("GRYPE_DB_CACHE_DIR", str(grype_cache))
    ecr = sim.client("ecr")
    start(ecr, sim.push("app", "v1", image=image).digest)
    answer = findings(ecr, tag="v1")
    assert answer["imageScanStatus"]["status"] == "COMPLETE", answer
    by_name = {each["name"]: each for each in answer["imageScanFindings"]["findings"]}
    found = by_name[OPENSSL]
    told = {each["key"]: each["value"] for each in found["attributes"]}
    assert (found["severity"], found["uri"]) == ("LOW", f"https://security-tracker.debian.org/tracker/{OPENSSL}")
    assert (told["package_name"], told["package_version"]) == ("libssl3", "3.0.11-1")


def test_an_enhanced_scan_by_grype(sim: Ecrsim, image: BuiltImage, grype_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRYPE_DB_CACHE_DIR", str(grype_cache))
    ecr = sim.client("ecr")
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    sim.push("app", "v1", image=image)
    sim.advance(seconds=1)
    answer = findings(ecr, tag="v1")
    found = {
        each["packageVulnerabilityDetails"]["vulnerabilityId"]: each
        for each in answer["imageScanFindings"]["enhancedFindings"]
    }
    assert set(found) == {OPENSSL, LODASH}
    (system,) = found[OPENSSL]["packageVulnerabilityDetails"]["vulnerablePackages"]
    assert (system["name"], system["version"], system["release"]) == ("libssl3", "3.0.11", "1")
    assert system["fixedInVersion"] == "3.0.12-1"
    language = found[LODASH]
    details = language["packageVulnerabilityDetails"]
    (package,) = details["vulnerablePackages"]
    layer = json.loads(image.manifest)["layers"][0]["digest"]
    assert package["filePath"] == PACKAGE
    assert package["sourceLayerHash"] == layer
    assert (package["packageManager"], package["version"]) == ("NODEPKG", "4.17.20")
    assert (language["severity"], language["exploitAvailable"], language["fixAvailable"]) == ("HIGH", "YES", "YES")
    assert (details["source"], details["relatedVulnerabilities"]) == ("GITHUB", [GHSA])
    assert CVSS3 in {each["scoringVector"] for each in details["cvss"]}


def test_a_grype_without_a_database_is_a_failed_scan_in_its_words(sim: Ecrsim, image: BuiltImage):
    ecr = sim.client("ecr")
    start(ecr, sim.push("app", "v1", image=image).digest)
    status = findings(ecr, tag="v1")["imageScanStatus"]
    assert status["status"] == "FAILED"
    assert re.search(
        r"grype ended with 1: .*failed to load vulnerability db: database does not exist", status["description"]
    )
    assert "\x1b" not in status["description"]
