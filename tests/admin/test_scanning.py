"""Examining an image by the admin surface, and findings that a test sets."""

from __future__ import annotations

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT
from tests.ecr.scanning.scanned import (
    CONTINUOUS,
    OPENSSL,
    advisory,
    findings,
    know,
    names,
    old_openssl,
    start,
    status,
)
from tests.ecr.scanning.test_enhanced_scans import changed
from tests.principals import admin
from tests.pushing import artifact_of, create, index_of, push

IMAGE = old_openssl()
PLACE = {"repositoryName": "app", "imageId": {"imageTag": "v1"}}
BASIC = {
    "name": "CVE-2030-0001",
    "severity": "HIGH",
    "uri": "https://example.com",
    "attributes": [{"key": "package_name", "value": "pkg"}, {"key": "package_version", "value": "1"}],
}
ENHANCED = {
    "title": "CVE-2030-0002 - pkg",
    "severity": "CRITICAL",
    "score": 9.1,
    "firstObservedAt": 1_700_000_000.5,
    "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-2030-0002"},
}


@pytest.fixture
def app(sim, ecr):
    know(sim, OPENSSL)
    create(ecr)
    push(ecr, "app", IMAGE, "v1")
    yield ecr
    sim.advisories.remove("test")


class TestExamining:
    def test_everything_that_is_known_of_each_vulnerability(self, sim, app):
        sim.advisories.ignore("CVE-2026-0009")
        body = admin(sim, "POST", "scan", PLACE).json()
        assert (body["system"], body["architecture"], body["imageTags"]) == ("debian 12", "amd64", ["v1"])
        assert [(each["id"], each["package"]["name"], each["fixed_version"]) for each in body["vulnerabilities"]] == [
            ("CVE-2026-0001", "libssl3", "3.0.12-1"),
            ("CVE-2026-0001", "openssl", "3.0.12-1"),
        ]
        assert {each["suppressed"] for each in body["vulnerabilities"]} == {None}

    def test_no_scan_is_begun_and_none_is_counted(self, sim, app):
        assert admin(sim, "POST", "scan", PLACE).status == 200
        assert start(app, IMAGE.digest) == {"status": "IN_PROGRESS"}

    def test_of_an_index_the_image_for_the_platform(self, sim, app):
        digest = push(app, "app", index_of(IMAGE))
        body = admin(sim, "POST", "scan", PLACE | {"imageId": {"imageDigest": digest}}).json()
        assert (body["imageDigest"], len(body["vulnerabilities"])) == (IMAGE.digest, 2)
        other = PLACE | {"imageId": {"imageDigest": digest}, "platform": "linux/s390x"}
        assert admin(sim, "POST", "scan", other).status == 400

    def test_what_is_of_no_concern_is_told_with_the_reason(self, sim, app):
        sim.advisories.ignore("CVE-2026-0001", reason="not reachable")
        body = admin(sim, "POST", "scan", PLACE).json()
        assert {each["suppressed"] for each in body["vulnerabilities"]} == {"ignored: not reachable"}

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: build_image(b"no tar"), "cannot be read: "),
            (lambda: artifact_of(IMAGE), "An artifact with media type 'application/vnd.example.sbom' cannot"),
        ],
        ids=["a broken layer", "an artifact"],
    )
    def test_what_cannot_be_examined_says_why(self, sim, app, make, message):
        digest = push(app, "app", make())
        answer = admin(sim, "POST", "scan", PLACE | {"imageId": {"imageDigest": digest}})
        assert answer.status == 422
        assert message in answer.json()["message"]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"repositoryName": "none", "imageId": {"imageTag": "v1"}}, 400),
            ({"repositoryName": "app", "imageId": {"imageTag": "none"}}, 400),
            ({"repositoryName": "app"}, 400),
            ({"repositoryName": "app", "imageId": {"imageTag": 1}}, 400),
            ({"repository": "app"}, 400),
        ],
    )
    def test_what_is_not_there(self, sim, app, body, code):
        assert admin(sim, "POST", "scan", body).status == code


class TestSetFindings:
    def test_they_are_there_at_once_as_they_were_put(self, sim, app):
        answer = admin(sim, "PUT", "scan-findings", PLACE | {"findings": [BASIC]})
        assert answer.json() == {"imageDigest": IMAGE.digest, "source": {"BASIC": "set", "ENHANCED": "scan"}}
        found = findings(app, tag="v1")
        assert found["imageScanStatus"]["status"] == "COMPLETE"
        assert found["imageScanFindings"]["findings"] == [BASIC]
        assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}
        (event,) = sim.events(type="ECR Image Scan")
        assert event["detail"]["finding-severity-counts"] == {"HIGH": 1}

    def test_a_scan_finds_them_again_until_they_are_forgotten(self, sim, app):
        admin(sim, "PUT", "scan-findings", PLACE | {"findings": [BASIC]})
        sim.advance(days=1)
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        assert names(findings(app, tag="v1")) == ["CVE-2030-0001"]
        query = "scan-findings?repositoryName=app&imageTag=v1"
        assert admin(sim, "GET", query).json()["source"]["BASIC"] == "set"
        assert admin(sim, "DELETE", query).json()["source"]["BASIC"] == "scan"
        sim.advance(days=1)
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"] * 2

    def test_enhanced_ones_with_their_source_and_events(self, sim, app):
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        admin(sim, "PUT", "scan-findings", PLACE | {"enhancedFindings": [ENHANCED]})
        assert status(app, tag="v1") == "ACTIVE"
        (finding,) = findings(app, tag="v1")["imageScanFindings"]["enhancedFindings"]
        assert finding["packageVulnerabilityDetails"] == {"vulnerabilityId": "CVE-2030-0002", "source": "SET_BY_TEST"}
        assert finding["firstObservedAt"].timestamp() == 1_700_000_000.5
        know(sim, OPENSSL, advisory("CVE-2026-0002"))
        assert names(findings(app, tag="v1")) == ["CVE-2030-0002"]
        admin(sim, "PUT", "scan-findings", PLACE | {"enhancedFindings": []})
        assert names(findings(app, tag="v1")) == []
        assert changed(sim) == [("ACTIVE", "CVE-2030-0002"), ("CLOSED", "CVE-2030-0002")]

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({}, "findings or enhancedFindings are the findings to set"),
            ({"findings": {}}, "findings is not of the type list"),
            ({"findings": [{"nam": "CVE"}]}, "findings[0] has no member nam"),
            (
                {"findings": [{"severity": "BAD"}]},
                "findings[0].severity is one of INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL, UNDEFINED",
            ),
            ({"findings": [{"attributes": [{"value": "a"}]}]}, "findings[0].attributes[0].key is missing"),
            ({"enhancedFindings": [{"score": "9"}]}, "enhancedFindings[0].score is not of the type double"),
            ({"enhancedFindings": [{"updatedAt": True}]}, "enhancedFindings[0].updatedAt is not of the type timestamp"),
        ],
    )
    def test_what_ecr_could_not_show_is_refused(self, sim, app, members, message):
        answer = admin(sim, "PUT", "scan-findings", PLACE | members)
        assert (answer.status, answer.json()["message"]) == (400, message)

    def test_in_another_account_and_region(self, sim, app, client):
        far = client(account="111111111111", region="eu-west-1")
        create(far)
        push(far, "app", IMAGE, "v1")
        place = PLACE | {"registryId": "111111111111", "region": "eu-west-1"}
        assert admin(sim, "PUT", "scan-findings", place | {"findings": [BASIC]}).status == 200
        assert names(findings(far, tag="v1")) == ["CVE-2030-0001"]
        assert ACCOUNT != "111111111111"
