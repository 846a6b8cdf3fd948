"""trivy and grype: their reports as vulnerabilities, and the programs on an image that is laid out for them.

The reports are made after the programs' documented formats (trivy's SchemaVersion 2, grype's JSON). The programs are
stand-ins, which look at the layout as the real ones do and write such a report; a real grype runs in `tests/e2e`.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.external import ScannerFailed, scan
from ecrsim.ecr.scanning.reports import NoReport, read_report
from ecrsim.ecr.scanning.vulnerability import Score
from ecrsim.testing import BuiltImage, build_image
from tests.ecr.scanning.scanned import findings, old_openssl, start

DIFF_ID, LAYER = "sha256:" + "d1" * 32, "sha256:" + "1a" * 32
V2 = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
BASE = {"metrics": {"baseScore": 9.8}}
TRIVY = {
    "SchemaVersion": 2,
    "ArtifactType": "container_image",
    "Results": [
        {
            "Target": "layout (debian 12.5)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2024-0001",
                    "PkgName": "libssl3",
                    "PkgIdentifier": {"PURL": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5&epoch=1"},
                    "InstalledVersion": "3.0.11-1",
                    "FixedVersion": "3.0.12-1, 3.1.0-1",
                    "Layer": {"DiffID": DIFF_ID},
                    "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2024-0001",
                    "DataSource": {"ID": "debian", "Name": "Debian Security Tracker"},
                    "Title": "openssl: it reads too far",
                    "Description": "It does.",
                    "Severity": "HIGH",
                    "CVSS": {"nvd": {"V2Vector": V2, "V3Vector": VECTOR, "V2Score": 7.5, "V3Score": 9.8}},
                    "References": ["https://example.com/1"],
                    "PublishedDate": "2024-01-02T03:04:05.67Z",
                }
            ],
        },
        {
            "Target": "Node.js",
            "Class": "lang-pkgs",
            "Type": "node-pkg",
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "GHSA-aaaa-bbbb-cccc",
                    "PkgName": "@scope/x",
                    "PkgPath": "app/node_modules/@scope/x/package.json",
                    "PkgIdentifier": {"PURL": "pkg:npm/%40scope/x@1.0.0"},
                    "InstalledVersion": "1.0.0",
                    "Layer": {"Digest": LAYER, "DiffID": "sha256:unknown"},
                    "DataSource": {"ID": "ghsa"},
                    "Severity": "UNKNOWN",
                }
            ],
        },
        {"Target": "nothing", "Class": "lang-pkgs"},
    ],
}  # fmt: skip
GRYPE = {
    "matches": [
        {
            "vulnerability": {
                "id": "CVE-2024-0001",
                "dataSource": "https://security-tracker.debian.org/tracker/CVE-2024-0001",
                "namespace": "debian:distro:debian:12",
                "severity": "Negligible",
                "urls": [],
                "cvss": [],
                "fix": {"versions": ["3.0.12-1"], "state": "fixed"},
            },
            "relatedVulnerabilities": [
                {
                    "id": "CVE-2024-0001",
                    "namespace": "nvd:cpe",
                    "urls": ["https://example.com/1"],
                    "description": "It does.",
                    "cvss": [{"source": "nvd@nist.gov", "version": "3.1", "vector": VECTOR, **BASE}],
                }
            ],
            "artifact": {
                "name": "libssl3",
                "version": "3.0.11-1",
                "type": "deb",
                "locations": [{"path": "/var/lib/dpkg/status", "layerID": DIFF_ID}],
                "purl": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl",
                "upstreams": [{"name": "openssl"}],
            },
        },
        {
            "vulnerability": {
                "id": "GHSA-dddd-bbbb-cccc",
                "dataSource": "https://github.com/advisories/GHSA-dddd-bbbb-cccc",
                "namespace": "github:language:java",
                "severity": "Critical",
                "fix": {"versions": [], "state": "not-fixed"},
                "knownExploited": [{"cve": "CVE-2024-0002"}],
            },
            "relatedVulnerabilities": [{"id": "CVE-2024-0002", "namespace": "nvd:cpe"}],
            "artifact": {
                "name": "log4j-core",
                "version": "2.14.1",
                "type": "java-archive",
                "locations": [{"path": "/app/app.jar", "layerID": "sha256:unknown"}],
                "purl": "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
            },
        },
    ]
}  # fmt: skip
NVD = Score("3.1", 9.8, VECTOR, "NVD")


def test_a_report_of_trivy():
    system, language = read_report("trivy", TRIVY, {DIFF_ID: LAYER})
    assert system.package == Package("deb", "libssl3", "1:3.0.11-1", namespace="debian", arch="amd64", layer=LAYER)
    assert (system.id, system.severity, system.fixed_version, system.source) == (
        "CVE-2024-0001",
        "HIGH",
        "3.0.12-1",
        "DEBIAN_CVE",
    )
    assert system.scores == (Score("2.0", 7.5, V2, "NVD"), NVD)
    assert system.published == 1704164645.67
    assert language.package == Package(
        "npm", "x", "1.0.0", namespace="@scope", path="app/node_modules/@scope/x/package.json", layer=LAYER
    )
    assert (language.severity, language.fixed_version, language.source) == ("UNDEFINED", None, "GITHUB")


def test_a_report_of_grype():
    system, language = read_report("grype", GRYPE, {DIFF_ID: LAYER})
    assert system.package == Package(
        "deb",
        "libssl3",
        "3.0.11-1",
        namespace="debian",
        arch="amd64",
        source_name="openssl",
        path="var/lib/dpkg/status",
        layer=LAYER,
    )
    assert (system.severity, system.vendor_severity, system.source) == ("INFORMATIONAL", "Negligible", "DEBIAN_CVE")
    assert (system.scores, system.description, system.fixed_version) == ((NVD,), "It does.", "3.0.12-1")
    assert (language.id, language.related) == ("CVE-2024-0002", ("GHSA-dddd-bbbb-cccc",))
    assert (language.package.type, language.package.name) == ("maven", "log4j-core")
    assert language.package.namespace == "org.apache.logging.log4j"
    assert (language.severity, language.fixed_version, language.exploit_available) == ("CRITICAL", None, True)
    assert language.package.layer == ""


def test_a_report_that_trivy_wrote():
    """Recorded: of trivy 0.74.0, built of its source, with a database of three vulnerabilities made for it.

    Of a package of Debian, of one with an epoch, and of one of npm, all in the one layer of the image.
    """
    document = json.loads((Path(__file__).parent / "reports/trivy-0.74.0.json").read_bytes())
    (layer,) = document["Metadata"]["Layers"]
    library, epoch, language = read_report("trivy", document, {layer["DiffID"]: LAYER})
    assert library.package == Package("deb", "libssl3", "3.0.11-1", namespace="debian", arch="amd64", layer=LAYER)
    assert (library.id, library.severity, library.fixed_version) == ("CVE-2026-0001", "LOW", "3.0.12-1")
    assert (library.scores, library.source, library.published) == ((NVD,), "DEBIAN_CVE", 1767323045.67)
    assert (epoch.package.name, epoch.package.version, epoch.fixed_version) == ("zlib1g", "1:1.2.13", "1:1.2.14")
    path = "usr/lib/node_modules/lodash/package.json"
    assert language.package == Package("npm", "lodash", "4.17.20", path=path, layer=LAYER)
    assert (language.severity, language.source, language.related) == ("HIGH", "GITHUB", ("GHSA-35jh-r3h4-6jhm",))
    assert [(score.source, score.version) for score in language.scores] == [
        ("GITHUB", "3.1"),
        ("NVD", "2.0"),
        ("NVD", "3.1"),
    ]


@pytest.mark.parametrize(
    ("scanner", "document"),
    [
        ("trivy", []),
        ("trivy", {}),
        ("trivy", {"SchemaVersion": 3}),
        ("trivy", {"SchemaVersion": 2, "Results": [{"Target": "x", "Vulnerabilities": [{}]}]}),
        ("grype", {}),
        ("grype", {"matches": [{"vulnerability": {"id": "CVE-1"}}]}),
        ("grype", {"matches": {"a": 1}}),
    ],
)
def test_what_is_no_report_is_said(scanner: str, document: Any):
    with pytest.raises(NoReport, match=f"the report of {scanner} is not what it is documented to be"):
        read_report(scanner, document, {})


# --- the programs -----------------------------------------------------------------------------------------------------

#: As both do: the layout by its index, the manifest by its digest, every blob by its own.
LOOK = """
    #!{python}
    import hashlib, json, pathlib, sys
    layout = pathlib.Path(sys.argv[-1].removeprefix("oci-dir:"))
    def blob(digest):
        content = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
        assert "sha256:" + hashlib.sha256(content).hexdigest() == digest
        return content
    assert json.loads((layout / "oci-layout").read_bytes()) == {{"imageLayoutVersion": "1.0.0"}}
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(entry["digest"]))
    config = json.loads(blob(manifest["config"]["digest"]))
    for layer in manifest["layers"]:
        blob(layer["digest"])
    report = pathlib.Path({report!r}).read_text().replace({diff_id!r}, (config["rootfs"]["diff_ids"] or [""])[0])
    {more}
    print(report)
"""


@pytest.fixture(name="image")
def built_image() -> BuiltImage:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "ee" * 32]}}
    return build_image(b"a layer of no package", config=json.dumps(config).encode())


@pytest.fixture(name="blobs")
def blobs_in_a_store(image: BuiltImage, tmp_path: Path) -> dict[str, str]:
    blobs = {}
    for digest, content in image.blobs.items():
        (tmp_path / digest.partition(":")[2]).write_bytes(content)
        blobs[digest] = str(tmp_path / digest.partition(":")[2])
    return blobs


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, report: Any, more: str = "pass") -> None:
    """Put a program of that name in front of PATH."""
    place = tmp_path / "bin" / name
    place.parent.mkdir()
    written = tmp_path / "report.json"
    written.write_text(json.dumps(report))
    text = LOOK.format(python=sys.executable, report=str(written), diff_id=DIFF_ID, more=more)
    place.write_text(textwrap.dedent(text).lstrip())
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(("scanner", "report"), [("trivy", TRIVY), ("grype", GRYPE)])
def test_a_program_is_given_the_image_and_its_report_is_read(
    scanner: str, report: Any, image: BuiltImage, blobs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install(tmp_path, monkeypatch, scanner, report)
    found = scan(scanner, image.manifest, image.media_type, blobs)
    assert found[0].id == "CVE-2024-0001"
    assert found[0].package.layer == json.loads(image.manifest)["layers"][0]["digest"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("sys.exit('FATAL\\tno database')", "trivy ended with 1: FATAL\tno database"),
        ("sys.exit('\\x1b[31mred\\x1b[0m')", "trivy ended with 1: red"),
        ("sys.exit(3)", "trivy ended with 3: it said nothing"),
        ("report = 'no JSON'", "trivy wrote no JSON"),
        ("report = '{}'", "the report of trivy is not what it is documented to be: KeyError('SchemaVersion')"),
        ("import threading; threading.Event().wait()", "trivy took more than 0.5 seconds"),
    ],
)
def test_what_goes_wrong_is_said(
    more: str, reason: str, image: BuiltImage, blobs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install(tmp_path, monkeypatch, "trivy", TRIVY, more)
    longest = 0.5 if "threading" in more else 60
    with pytest.raises(ScannerFailed) as caught:
        scan("trivy", image.manifest, image.media_type, blobs, longest=longest)
    assert str(caught.value) == reason


def test_a_program_that_is_not_there_is_said(image: BuiltImage, blobs: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ScannerFailed, match="there is no program grype in PATH"):
        scan("grype", image.manifest, image.media_type, blobs)


# --- as the setting ---------------------------------------------------------------------------------------------------


def test_the_setting_makes_findings_of_what_the_program_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path, monkeypatch, "trivy", TRIVY)
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "ee" * 32]}}
    with Ecrsim(socket=False, scanner="trivy", scan_delay=0) as sim:
        image = sim.push("app", "v1", image=old_openssl(config=json.dumps(config).encode()))
        start(sim.client("ecr"), image.digest)
        answer = findings(sim.client("ecr"), tag="v1")
    assert answer["imageScanStatus"]["status"] == "COMPLETE"
    (found,) = answer["imageScanFindings"]["findings"]
    assert (found["name"], found["severity"]) == ("CVE-2024-0001", "HIGH")


def test_a_program_that_fails_is_a_failed_scan_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path, monkeypatch, "grype", GRYPE, "sys.exit('no vulnerability database found')")
    with Ecrsim(socket=False, scanner="grype", scan_delay=0) as sim:
        image = sim.push("app", "v1", image=old_openssl())
        start(sim.client("ecr"), image.digest)
        scan_status = findings(sim.client("ecr"), tag="v1")["imageScanStatus"]
    assert scan_status["status"] == "FAILED"
    assert "grype ended with 1" in scan_status["description"]
