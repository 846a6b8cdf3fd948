"""Enhanced scans: continuous ones that follow advisories and the clock, and those on push."""

from datetime import timedelta
from functools import partial

import pytest

from ecrsim import app as application
from ecrsim.core.clock import REAL
from ecrsim.core.clock_advance import set_clock
from ecrsim.core.jobs import run_due
from ecrsim.ecr.scanning import image_examination, monitoring
from ecrsim.testing import build_image
from tests.answers import ACCOUNT, refusal
from tests.ecr.scanning.osv import affecting, record
from tests.ecr.scanning.scanned import (
    COMPLETED,
    CONTINUOUS,
    CVSS3,
    OPENSSL,
    RULE,
    UNSUPPORTED,
    advisory,
    debian,
    findings,
    know,
    layer,
    names,
    old_openssl,
    paragraph,
    status,
)
from tests.pushing import create, described, index_of, push, put

IMAGE = old_openssl()
ARN = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
PYTHON = {
    "usr/lib/python3/site-packages/pkg-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"
}
LANGUAGE = record(
    "GHSA-aaaa-bbbb-cccc",
    affecting("PyPI", "pkg", ("introduced", "0"), ("fixed", "1.1")),
    aliases=["CVE-2026-0009"],
    summary="In a package of Python.",
)
EXPIRED = "The scan duration that is configured for the image has lapsed."


@pytest.fixture
def app(sim, ecr):
    """Continuous scanning of all, one vulnerability known, and a clock that stands still."""
    sim.freeze("2026-01-31T12:00:00Z")
    know(sim, OPENSSL)
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    create(ecr)
    return ecr


def scanned(sim, ecr, image=IMAGE, tag="v1"):
    digest = push(ecr, "app", image, tag)
    sim.advance(seconds=1)
    return digest


def changed(sim):
    """What Inspector told of findings: (status, vulnerability)."""
    found = sim.events(type="Inspector2 Finding")
    return [(e["detail"]["status"], e["detail"]["packageVulnerabilityDetails"]["vulnerabilityId"]) for e in found]


class TestStates:
    def test_an_image_waits_for_its_first_scan_and_is_monitored_then(self, sim, app):
        push(app, "app", IMAGE, "v1")
        answer = findings(app, tag="v1")
        assert answer["imageScanStatus"]["status"] == "PENDING"
        assert "imageScanFindings" not in answer
        sim.advance(seconds=1)
        assert findings(app, tag="v1")["imageScanStatus"] == {
            "status": "ACTIVE",
            "description": "Continuous scan is selected for image.",
        }

    def test_a_scan_on_push_is_complete_and_stays_as_it_is(self, sim, app):
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[RULE])
        scanned(sim, app)
        assert findings(app, tag="v1")["imageScanStatus"] == {"status": "COMPLETE", "description": COMPLETED}
        know(sim, OPENSSL, advisory("CVE-2026-0002"))
        sim.advance(days=30)
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"]
        assert status(app, tag="v1") == "COMPLETE"

    def test_without_a_rule_that_matches_there_is_no_scan(self, sim, app):
        scanned(sim, app)
        rule = CONTINUOUS | {"repositoryFilters": [{"filter": "other", "filterType": "WILDCARD"}]}
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[rule])
        found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId={"imageTag": "v1"})
        assert found.code == "ScanNotFoundException"

    @pytest.mark.parametrize(
        "files", [{"etc/os-release": b"ID=elxr\nVERSION_ID=12\n"}, {"app": b"static"}], ids=["unknown", "scratch"]
    )
    def test_what_is_not_supported(self, sim, app, files):
        scanned(sim, app, build_image(layer(files)))
        shown = findings(app, tag="v1")["imageScanStatus"]
        assert shown == {"status": "UNSUPPORTED_IMAGE", "description": UNSUPPORTED}

    def test_a_package_of_a_language_is_enough_without_an_operating_system(self, sim, app):
        know(sim, LANGUAGE)
        scanned(sim, app, build_image(layer(PYTHON)))
        assert (status(app, tag="v1"), names(findings(app, tag="v1"))) == ("ACTIVE", ["CVE-2026-0009"])

    def test_an_index_is_not_scanned_and_its_images_are(self, sim, app):
        scanned(sim, app)
        digest = push(app, "app", index_of(IMAGE), "all")
        sim.advance(seconds=1)
        found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId={"imageDigest": digest})
        assert found.code == "ScanNotFoundException"
        assert status(app, digest=IMAGE.digest) == "ACTIVE"

    def test_a_layer_that_cannot_be_read(self, sim, app):
        scanned(sim, app, build_image(b"no tar"))
        assert status(app, tag="v1") == "FAILED"


class TestEnabling:
    """Images that are there when enhanced scanning is turned on."""

    @pytest.fixture
    def basic(self, sim, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[])
        return app

    @pytest.mark.documented
    @pytest.mark.parametrize(
        ("days", "before", "after"),
        [(14, "PENDING", "ACTIVE"), (15, "SCAN_ELIGIBILITY_EXPIRED", "SCAN_ELIGIBILITY_EXPIRED")],
    )
    def test_those_of_the_last_14_days_are_scanned(self, sim, basic, days, before, after):
        push(basic, "app", IMAGE, "v1")
        sim.advance(seconds=days * 86400 - 1)
        basic.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        assert status(basic, tag="v1") == before
        sim.advance(seconds=1)
        assert status(basic, tag="v1") == after

    @pytest.mark.documented
    def test_what_came_too_late_is_scanned_when_it_is_pushed_again(self, sim, basic):
        push(basic, "app", IMAGE, "v1")
        sim.advance(days=15)
        basic.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        assert findings(basic, tag="v1")["imageScanStatus"]["description"] == EXPIRED
        put(basic, "app", IMAGE, "v2")
        sim.advance(seconds=1)
        assert status(basic, tag="v1") == "ACTIVE"

    @pytest.mark.documented
    def test_switching_hides_results_and_switching_back_shows_them(self, sim, basic):
        push(basic, "app", IMAGE, "v1")
        basic.start_image_scan(repositoryName="app", imageId={"imageTag": "v1"})
        sim.advance(seconds=1)
        before = findings(basic, tag="v1")
        basic.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        assert status(basic, tag="v1") == "PENDING"
        sim.advance(seconds=1)
        enhanced = findings(basic, tag="v1")
        assert "findings" not in enhanced["imageScanFindings"]
        basic.put_registry_scanning_configuration(scanType="BASIC", rules=[])
        assert findings(basic, tag="v1") == before
        basic.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        assert findings(basic, tag="v1") == enhanced


class TestContinuous:
    def test_a_new_advisory_is_a_new_finding_and_a_withdrawn_one_is_closed(self, sim, app):
        scanned(sim, app)
        first = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        sim.advance(hours=1)
        know(sim, OPENSSL, advisory("CVE-2026-0002"))
        found = {
            each["packageVulnerabilityDetails"]["vulnerabilityId"]: each
            for each in findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        }
        assert found.keys() == {"CVE-2026-0001", "CVE-2026-0002"}
        old, new = found["CVE-2026-0001"], found["CVE-2026-0002"]
        assert old["firstObservedAt"] == old["updatedAt"] == first[0]["firstObservedAt"]
        assert new["firstObservedAt"] - old["firstObservedAt"] == timedelta(hours=1)
        assert new["lastObservedAt"] == old["lastObservedAt"] == new["firstObservedAt"]
        sim.advance(hours=1)
        know(sim, OPENSSL)
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"]
        told = [("ACTIVE", "CVE-2026-0001"), ("ACTIVE", "CVE-2026-0002"), ("CLOSED", "CVE-2026-0002")]
        assert changed(sim) == told

    @pytest.mark.parametrize(("days", "is_remembered"), [(6, True), (9, False)])
    def test_a_finding_that_is_back_takes_up_its_first_time_for_a_week(self, sim, app, days, is_remembered):
        scanned(sim, app)
        (first,) = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        know(sim)
        assert findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"] == []
        sim.advance(days=days)
        know(sim, OPENSSL)
        (again,) = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        assert (again["firstObservedAt"] == first["firstObservedAt"]) is is_remembered
        assert again["findingArn"] == first["findingArn"]

    def test_a_finding_that_says_something_else_keeps_its_first_time(self, sim, app):
        scanned(sim, app)
        (first,) = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        sim.advance(hours=1)
        know(sim, advisory("CVE-2026-0001", fixed=None, details="It has no fix."))
        (now,) = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        assert (now["description"], now["fixAvailable"]) == ("It has no fix.", "NO")
        assert now["firstObservedAt"] == first["firstObservedAt"]
        assert now["updatedAt"] - first["updatedAt"] == timedelta(hours=1)
        assert changed(sim) == [("ACTIVE", "CVE-2026-0001")] * 2

    def test_somebody_looks_each_day(self, sim, app):
        scanned(sim, app)
        before = findings(app, tag="v1")["imageScanFindings"]
        sim.advance(days=2)
        after = findings(app, tag="v1")["imageScanFindings"]
        assert after["imageScanCompletedAt"] - before["imageScanCompletedAt"] > timedelta(days=1)
        (old,), (new,) = before["enhancedFindings"], after["enhancedFindings"]
        assert new["lastObservedAt"] > old["lastObservedAt"]
        assert (new["firstObservedAt"], new["updatedAt"]) == (old["firstObservedAt"], old["updatedAt"])
        assert len(changed(sim)) == 1

    @pytest.mark.documented
    def test_14_days_after_its_last_push_nobody_looks_any_more_and_findings_are_closed(self, sim, app):
        scanned(sim, app)
        sim.advance(days=13, hours=23)
        assert status(app, tag="v1") == "ACTIVE"
        sim.advance(hours=1)
        answer = findings(app, tag="v1")
        assert answer["imageScanStatus"] == {"status": "SCAN_ELIGIBILITY_EXPIRED", "description": EXPIRED}
        assert "imageScanFindings" not in answer
        sim.advance(days=1)
        assert changed(sim) == [("ACTIVE", "CVE-2026-0001"), ("CLOSED", "CVE-2026-0001")]
        put(app, "app", IMAGE, "v2")
        sim.advance(seconds=1)
        assert (status(app, tag="v1"), names(findings(app, tag="v1"))) == ("ACTIVE", ["CVE-2026-0001"])

    @pytest.mark.documented
    def test_a_pull_keeps_an_image_monitored(self, sim, app):
        scanned(sim, app)
        sim.advance(days=10)
        app.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
        sim.advance(days=10)
        assert status(app, tag="v1") == "ACTIVE"
        sim.advance(days=5)
        assert status(app, tag="v1") == "SCAN_ELIGIBILITY_EXPIRED"

    def test_the_duration_is_a_setting(self, sim, app, configure):
        configure(scan_duration=0)
        scanned(sim, app)
        sim.advance(days=400)
        assert status(app, tag="v1") == "ACTIVE"

    def test_many_images_are_looked_at_in_several_jobs(self, sim, app):
        for number in range(120):
            push(app, "app", old_openssl(annotations={"number": str(number)}), f"v{number}")
        sim.advance(seconds=1)
        know(sim, OPENSSL, advisory("CVE-2026-0002"))
        for number in (0, 60, 119):
            assert len(names(findings(app, tag=f"v{number}"))) == 2

    def test_all_images_are_looked_at_before_a_new_advisory_is_answered_for(self, sim, app, monkeypatch):
        """However long it takes: the clock goes on meanwhile, and one run of jobs has a time after which it ends."""
        set_clock(sim.runtime, REAL)
        monkeypatch.setattr(monitoring, "BATCH", 10)
        for number in range(71):
            push(app, "app", old_openssl(annotations={"number": str(number)}), f"v{number}")
        sim.advance(seconds=1)
        for place in (application, monitoring):
            monkeypatch.setattr(place, "run_due", partial(run_due, turn=-1))
        sim.advisories.add(advisory("CVE-2026-0002"))
        assert len(names(findings(app, tag="v70"))) == 2

    def test_an_archived_image_is_let_go(self, sim, app):
        scanned(sim, app)
        place = {"repositoryName": "app", "imageId": {"imageTag": "v1"}}
        app.update_image_storage_class(**place, targetStorageClass="ARCHIVE")
        assert status(app, tag="v1") == "IMAGE_ARCHIVED"
        know(sim, OPENSSL, advisory("CVE-2026-0002"))
        app.update_image_storage_class(**place, targetStorageClass="STANDARD")
        sim.advance(minutes=1)
        assert len(names(findings(app, tag="v1"))) == 2


class TestFindings:
    @pytest.fixture
    def finding(self, sim, app):
        scanned(sim, app, old_openssl(config=b'{"architecture":"arm64","author":"somebody","os":"linux"}'))
        found = findings(app, tag="v1")["imageScanFindings"]
        assert found["findingSeverityCounts"] == {"CRITICAL": 1}
        return found["enhancedFindings"][0]

    @pytest.mark.recorded
    def test_the_members_of_a_finding(self, finding):
        for name in ("packageVulnerabilityDetails", "resources"):
            assert finding.pop(name)
        times = {finding.pop(name).isoformat() for name in ("firstObservedAt", "lastObservedAt", "updatedAt")}
        assert times == {"2026-01-31T12:00:01+00:00"}
        prefix, _, number = finding.pop("findingArn").rpartition("/")
        assert (prefix, len(number)) == (f"arn:aws:inspector2:us-east-1:{ACCOUNT}:finding", 32)
        assert finding["scoreDetails"]["cvss"].pop("scoreSource")
        assert finding == {
            "awsAccountId": ACCOUNT,
            "description": "Reading too far.",
            "remediation": {"recommendation": {"text": "apt-get install --only-upgrade libssl3 openssl"}},
            "score": 9.8,
            "scoreDetails": {"cvss": {"adjustments": [], "score": 9.8, "scoringVector": CVSS3, "version": "3.1"}},
            "severity": "CRITICAL",
            "status": "ACTIVE",
            "title": "CVE-2026-0001 - libssl3, openssl",
            "type": "PACKAGE_VULNERABILITY",
            "fixAvailable": "YES",
            "exploitAvailable": "NO",
        }

    @pytest.mark.recorded
    def test_what_it_says_of_the_vulnerability(self, finding):
        details = finding["packageVulnerabilityDetails"]
        (layer_digest,) = [digest for digest in IMAGE.blobs if IMAGE.blobs[digest].startswith(b"\x1f\x8b")]
        assert details.pop("vulnerablePackages") == [
            {
                "arch": "AMD64",
                "epoch": 0,
                "filePath": "var/lib/dpkg/status",
                "name": name,
                "packageManager": "OS",
                "release": "1",
                "sourceLayerHash": layer_digest,
                "version": "3.0.11",
                "fixedInVersion": "3.0.12-1",
            }
            for name in ("libssl3", "openssl")
        ]
        assert details["vulnerabilityId"] == "CVE-2026-0001"
        (score,) = details["cvss"]
        assert (score["baseScore"], score["scoringVector"], score["version"]) == (9.8, CVSS3, "3.1")
        assert details["vendorCreatedAt"].isoformat() == "2026-01-01T00:00:00+00:00"
        assert details["relatedVulnerabilities"] == []

    @pytest.mark.recorded
    def test_what_it_says_of_the_image(self, app, finding):
        digest = described(app, "app", imageTag="v1")["imageDigest"]
        (resource,) = finding["resources"]
        image = resource["details"]["awsEcrContainerImage"]
        assert image.pop("pushedAt").isoformat() == "2026-01-31T12:00:00+00:00"
        assert resource == {
            "details": {"awsEcrContainerImage": image},
            "id": f"{ARN}/{digest}",
            "tags": {},
            "type": "AWS_ECR_CONTAINER_IMAGE",
        }
        assert image == {
            "architecture": "arm64",
            "author": "somebody",
            "imageHash": digest,
            "imageTags": ["v1"],
            "platform": "DEBIAN_12",
            "registry": ACCOUNT,
            "repositoryName": "app",
        }

    @pytest.mark.recorded
    def test_what_there_is_no_fix_for_and_nothing_known_of(self, sim, app):
        know(sim, advisory("CVE-2026-0003", fixed=None))
        scanned(sim, app)
        found = findings(app, tag="v1")["imageScanFindings"]
        assert found["findingSeverityCounts"] == {"UNTRIAGED": 1}
        (finding,) = found["enhancedFindings"]
        assert (finding["severity"], finding["score"], finding["fixAvailable"]) == ("UNTRIAGED", 0.0, "NO")
        assert finding["description"] == finding["remediation"]["recommendation"]["text"] == "None Provided"
        packages = finding["packageVulnerabilityDetails"]["vulnerablePackages"]
        assert {each["fixedInVersion"] for each in packages} == {"NotAvailable"}

    def test_packages_of_languages_with_their_file_and_manager(self, sim, app):
        know(sim, LANGUAGE)
        scanned(sim, app, build_image(debian(paragraph("bash", "5"), more=PYTHON)))
        (finding,) = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        (package,) = finding["packageVulnerabilityDetails"]["vulnerablePackages"]
        assert (package["name"], package["version"], package["packageManager"]) == ("pkg", "1.0", "PYTHONPKG")
        assert (package["filePath"], package["epoch"]) == (*PYTHON, 0)

    def test_pages(self, sim, app):
        know(sim, *(advisory(f"CVE-2026-{number:04}") for number in range(5)))
        scanned(sim, app)
        first = findings(app, tag="v1", maxResults=3)
        second = findings(app, tag="v1", maxResults=3, nextToken=first["nextToken"])
        assert [*names(first), *names(second)] == [f"CVE-2026-{number:04}" for number in range(5)]
        assert "nextToken" not in second

    @pytest.mark.recorded
    def test_describe_images_has_status_and_summary(self, sim, app):
        scanned(sim, app)
        detail = described(app, "app", imageTag="v1")
        assert detail["imageScanStatus"] == {
            "status": "ACTIVE",
            "description": "Continuous scan is selected for image.",
        }
        summary = detail["imageScanFindingsSummary"]
        assert summary["findingSeverityCounts"] == {"CRITICAL": 1}
        assert summary["imageScanCompletedAt"].isoformat() == "2026-01-31T12:00:01+00:00"
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[])
        assert "imageScanStatus" not in described(app, "app", imageTag="v1")


class TestEvents:
    @pytest.mark.documented
    def test_of_a_basic_scan(self, sim, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        digest = scanned(sim, app)
        failed = scanned(sim, app, build_image(b"no tar"), "v2")
        done, broken = sim.events(type="ECR Image Scan")
        assert (done["source"], done["resources"]) == ("aws.ecr", [ARN])
        assert done["detail"] == {
            "scan-status": "COMPLETE",
            "repository-name": "app",
            "finding-severity-counts": {"CRITICAL": 2},
            "image-digest": digest,
            "image-tags": ["v1"],
        }
        assert (broken["detail"]["scan-status"], broken["detail"]["image-digest"]) == ("FAILED", failed)
        assert broken["detail"]["finding-severity-counts"] == {}

    @pytest.mark.documented
    def test_of_the_first_enhanced_scan_and_its_findings(self, sim, app):
        digest = scanned(sim, app)
        sim.advance(days=2)
        (scan,) = sim.events(type="Inspector2 Scan")
        assert (scan["source"], scan["resources"]) == ("aws.inspector2", [ARN])
        assert scan["detail"] == {
            "scan-status": "INITIAL_SCAN_COMPLETE",
            "repository-name": ARN,
            "finding-severity-counts": {"CRITICAL": 1, "TOTAL": 1},
            "image-digest": digest,
            "image-tags": ["v1"],
        }
        (event,) = sim.events(type="Inspector2 Finding")
        assert (event["source"], event["resources"]) == ("aws.inspector2", [f"{ARN}/{digest}"])
        detail = event["detail"]
        assert detail["firstObservedAt"] == "Jan 31, 2026, 12:00:01 PM"
        assert (detail["inspectorScore"], detail["inspectorScoreDetails"]["adjustedCvss"]["version"]) == (9.8, "3.1")
        assert [(each["partition"], each["region"]) for each in detail["resources"]] == [("N/A", "N/A")]
        assert "score" not in detail
        assert sim.events(type="ECR Image Scan") == []


@pytest.fixture
def read(monkeypatch):
    """The digests of layers as they are read."""
    found = []
    wanted = image_examination.read_layer

    def counted(stream, media_type, digest):
        found.append(digest)
        return wanted(stream, media_type, digest)

    monkeypatch.setattr(image_examination, "read_layer", counted)
    return found


def test_layers_that_are_known_are_not_read_again(sim, app, read):
    """Neither by an image on the same base, nor by a look after an import."""
    base, top = debian(paragraph("openssl", "3.0.11-1")), [layer({f"app{number}": b"x"}) for number in range(3)]
    for number, each in enumerate(top):
        scanned(sim, app, build_image(base, each), f"v{number}")
    assert len(read) == len(set(read)) == 4
    know(sim, OPENSSL, advisory("CVE-2026-0002"))
    assert [len(names(findings(app, tag=f"v{number}"))) for number in range(3)] == [2, 2, 2]
    assert len(read) == 4


@pytest.mark.slow
def test_a_thousand_images_on_twenty_bases_are_looked_at_without_a_layer(sim, app, read):
    """`scripts/bench --only rescan` has ten times as many."""
    bases = [debian(paragraph("openssl", "3.0.11-1"), paragraph("base", f"{number}")) for number in range(20)]
    for number in range(1_000):
        push(app, "app", build_image(bases[number % 20], layer({f"app{number}": b"x"})), f"v{number}")
    sim.advance(seconds=1)
    assert len(read) == len(set(read)) == 1_020
    know(sim, OPENSSL, advisory("CVE-2026-0002"))
    assert len(read) == 1_020
    pages = app.get_paginator("describe_images").paginate(repositoryName="app")
    counts = [
        detail["imageScanFindingsSummary"]["findingSeverityCounts"] for page in pages for detail in page["imageDetails"]
    ]
    assert counts == [{"CRITICAL": 1, "UNTRIAGED": 1}] * 1_000
