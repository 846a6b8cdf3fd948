"""What somebody said is of no concern: ignored vulnerabilities, and OpenVEX documents, put or attached to an image."""

import json

import pytest

from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.testing import build_image
from tests.ecr.scanning.scanned import CONTINUOUS, OPENSSL, advisory, findings, know, names, old_openssl, start
from tests.pushing import EMPTY, create, push

IMAGE = old_openssl()
VEX = "application/vnd.openvex+json"


@pytest.fixture
def app(sim, ecr):
    sim.freeze()
    know(sim, OPENSSL, advisory("CVE-2026-0002", "zlib1g", None))
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    create(ecr)
    push(ecr, "app", IMAGE, "v1")
    sim.advance(seconds=1)
    assert names(findings(ecr, tag="v1")) == ["CVE-2026-0001", "CVE-2026-0002"]
    return ecr


def said(status="not_affected", product=IMAGE.digest, **more):
    statement = {"vulnerability": {"name": "CVE-2026-0001"}, "products": [{"@id": f"pkg:oci/app@{product}"}]}
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.com/vex",
        "author": "somebody",
        "timestamp": "2026-01-01T00:00:00Z",
        "version": 1,
        "statements": [statement | {"status": status, "justification": "vulnerable_code_not_present", **more}],
    }


def attach(ecr, document, artifact_type=VEX):
    referrer = build_image(
        json.dumps(document).encode(),
        config=b"{}",
        config_media_type=EMPTY,
        layer_media_type=artifact_type,
        artifactType=artifact_type,
        subject={"mediaType": IMAGE.media_type, "digest": IMAGE.digest, "size": len(IMAGE.manifest)},
    )
    push(ecr, "app", referrer)


def test_what_is_ignored_is_no_finding_until_its_time_is_over(sim, app):
    until = sim.runtime.clock.now() / 1000 + 3 * 86400
    open_advisories(sim.runtime).ignore("CVE-2026-0001", until=until, reason="not reachable")
    answer = findings(app, tag="v1")
    assert names(answer) == ["CVE-2026-0002"]
    assert answer["imageScanFindings"]["findingSeverityCounts"] == {"UNTRIAGED": 1}
    told = [event["detail"]["status"] for event in sim.events(type="Inspector2 Finding")]
    assert told == ["ACTIVE", "ACTIVE", "CLOSED"]
    sim.advance(days=2)
    assert names(findings(app, tag="v1")) == ["CVE-2026-0002"]
    sim.advance(days=2)
    assert names(findings(app, tag="v1")) == ["CVE-2026-0001", "CVE-2026-0002"]


def test_what_is_ignored_in_one_repository_is_found_in_others(sim, app):
    create(app, "other")
    push(app, "other", IMAGE, "v1")
    sim.advance(seconds=1)
    open_advisories(sim.runtime).ignore("CVE-2026-0001", repository="other")
    assert names(findings(app, "other", tag="v1")) == ["CVE-2026-0002"]
    assert names(findings(app, tag="v1")) == ["CVE-2026-0001", "CVE-2026-0002"]


def test_what_is_heeded_again_is_found_again(sim, app):
    known = open_advisories(sim.runtime)
    known.ignore("CVE-2026-0001")
    known.heed("CVE-2026-0001")
    assert names(findings(app, tag="v1")) == ["CVE-2026-0001", "CVE-2026-0002"]


def test_a_document_is_heeded(sim, app):
    open_advisories(sim.runtime).put_document("ours", said())
    assert names(findings(app, tag="v1")) == ["CVE-2026-0002"]


@pytest.mark.parametrize(
    ("document", "artifact_type", "expected"),
    [
        (said(), VEX, ["CVE-2026-0002"]),
        (said("fixed"), VEX, ["CVE-2026-0002"]),
        (said("affected", action_statement="Update."), VEX, ["CVE-2026-0001", "CVE-2026-0002"]),
        (said(product="sha256:" + "0" * 64), VEX, ["CVE-2026-0001", "CVE-2026-0002"]),
        (
            {
                "_type": "https://in-toto.io/Statement/v1",
                "predicateType": "https://openvex.dev/ns/v0.2.0",
                "predicate": said(),
            },
            "application/vnd.in-toto+json",
            ["CVE-2026-0002"],
        ),
        ({"not": "a document"}, VEX, ["CVE-2026-0001", "CVE-2026-0002"]),
        (said(), "application/vnd.example.other", ["CVE-2026-0001", "CVE-2026-0002"]),
    ],
    ids=[
        "not affected",
        "fixed",
        "affected",
        "of another image",
        "in an attestation",
        "no document",
        "another artifact",
    ],
)
def test_a_document_that_is_attached_to_the_image_is_heeded(sim, app, document, artifact_type, expected):
    attach(app, document, artifact_type)
    sim.advance(seconds=1)
    assert names(findings(app, tag="v1")) == expected


def test_a_basic_scan_heeds_it_from_the_next_one_on(sim, app):
    app.put_registry_scanning_configuration(scanType="BASIC", rules=[])
    open_advisories(sim.runtime).ignore("CVE-2026-0001")
    start(app, IMAGE.digest)
    sim.advance(seconds=1)
    assert names(findings(app, tag="v1")) == ["CVE-2026-0002"]
