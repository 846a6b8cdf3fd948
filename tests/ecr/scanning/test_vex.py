"""OpenVEX (0.2.0): what is a document, and about which vulnerability of which package in which image it speaks."""

from __future__ import annotations

from typing import Any

import pytest

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.vex import AskedImage, VexError, VexStatement, applies, statements, verdict
from ecrsim.ecr.scanning.vulnerability import Vulnerability

DIGEST = "sha256:" + "ab" * 32
IMAGE = AskedImage("team/app", DIGEST, ("v1", "latest"))
LIBSSL = Package("deb", "libssl3", "3.0.11-1", namespace="debian", source_name="openssl", source_version="3.0.11-1")
LODASH = Package("npm", "lodash", "4.17.20")


def found(package: Package = LIBSSL, identity: str = "CVE-2024-0001") -> Vulnerability:
    return Vulnerability(identity, package, None, "HIGH", "", "", "", "NVD", "", related=("GHSA-aaaa-bbbb-cccc",))


def said(*products: Any, names: Any = "CVE-2024-0001", status: str = "fixed", **more: Any) -> dict[str, Any]:
    return {"vulnerability": names, "products": list(products), "status": status, **more}


def document(*found: Any, **more: Any) -> dict[str, Any]:
    whole = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.com/vex",
        "author": "us",
        "version": 1,
    }
    return {**whole, "timestamp": "2026-01-01T00:00:00Z", "statements": list(found), **more}


def one(*arguments: Any, **more: Any) -> VexStatement:
    (statement,) = statements(document(said(*arguments, **more)))
    return statement


@pytest.mark.parametrize(
    ("product", "is_meant"),
    [
        (f"pkg:oci/app@{DIGEST}", True),
        (f"pkg:oci/app@{DIGEST.replace('ab', 'cd')}", False),
        (f"pkg:oci/app@{DIGEST.replace(':', '%3A')}?repository_url=localhost:5100/team", True),
        ("pkg:oci/app", True),
        ("pkg:oci/other", False),
        ("pkg:oci/app?repository_url=registry.test/team/app", True),
        ("pkg:oci/app?repository_url=registry.test/team", True),
        ("pkg:oci/app?repository_url=registry.test/other/app", False),
        ("pkg:oci/app?tag=v1", True),
        ("pkg:oci/app?tag=v2", False),
        ("pkg:docker/team/app@latest", True),
        ("pkg:docker/team/app@v3", False),
        ("localhost:5100/team/app:v1", True),
        ("localhost:5100/team/app", True),
        ("localhost:5100/myteam/app", False),
        ("team/app:v2", False),
        (f"registry.test/anything@{DIGEST}", True),
        ("pkg:deb/debian/openssl@3.0.11-1", True),
        ("pkg:deb/debian/openssl", True),
        ("pkg:deb/libssl3?arch=amd64", True),
        ("pkg:deb/ubuntu/openssl", False),
        ("pkg:deb/debian/openssl@3.0.12-1", False),
        ("pkg:rpm/openssl", False),
        ("pkg:", False),
        ("pkg:oci", False),
        ({"@id": f"pkg:oci/x@{DIGEST}"}, True),
        ({"@id": "https://example.com/x", "identifiers": {"purl": f"pkg:oci/x@{DIGEST}"}}, True),
        ({"@id": "https://example.com/x", "hashes": {"sha-256": "AB" * 32}}, True),
        ({"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/openssl"}]}, True),
        ({"@id": "pkg:oci/app", "subcomponents": ["pkg:deb/debian/zlib"]}, False),
        ({"@id": "pkg:oci/app", "subcomponents": [{"identifiers": {"purl": "pkg:deb/debian/libssl3@3.0.11-1"}}]}, True),
    ],
)
def test_which_image_or_package_is_meant(product: Any, is_meant: bool):
    assert applies(one(product), found(), IMAGE) is is_meant


@pytest.mark.parametrize(
    ("names", "is_meant"),
    [
        ("CVE-2024-0001", True),
        ({"name": "CVE-2024-0001"}, True),
        ({"@id": "https://nvd.nist.gov/vuln/detail/CVE-2024-0001"}, True),
        ({"name": "OUR-1", "aliases": ["GHSA-aaaa-bbbb-cccc"]}, True),
        ({"name": "CVE-2024-0002"}, False),
    ],
)
def test_which_vulnerability_is_meant(names: Any, is_meant: bool):
    assert applies(one("pkg:oci/app", names=names), found(), IMAGE) is is_meant


def test_another_package_of_the_image_is_not_meant():
    statement = one("pkg:deb/debian/openssl")
    assert not applies(statement, found(LODASH), IMAGE)
    assert applies(one("pkg:npm/lodash@4.17.20"), found(LODASH), IMAGE)


def test_the_latest_of_several_holds_and_the_last_of_one_time():
    known = statements(
        document(
            said("pkg:oci/app", status="affected", timestamp="2026-03-01T00:00:00Z"),
            said("pkg:oci/app", status="fixed"),
            said("pkg:oci/other", status="under_investigation", timestamp="2027-01-01T00:00:00Z"),
        )
    )
    assert [each.status for each in known if (held := verdict(known, found(), IMAGE)) is each and held] == ["affected"]
    again = statements(document(said("pkg:oci/app"), said("pkg:oci/app", status="affected")))
    holding = verdict(again, found(), IMAGE)
    assert holding is not None
    assert holding.status == "affected"
    assert verdict([], found(), IMAGE) is None


def test_a_statement_goes_into_json_and_comes_back():
    product = {"@id": "pkg:oci/app", "hashes": {"sha-256": "00"}, "subcomponents": ["pkg:npm/x"]}
    statement = one(product, status="not_affected", justification="component_not_present")
    assert VexStatement.from_json(statement.to_json()) == statement


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([], "it is no OpenVEX document: @context is not https://openvex.dev/ns…"),
        ({"@context": "https://schema.org"}, "it is no OpenVEX document: @context is not https://openvex.dev/ns…"),
        (document(statements={}), "statements is no list of at most 100000 entries"),
        (document(timestamp="soon"), "timestamp is no time as RFC 3339 has it"),
        (document("x"), "statements[0] is not an object"),
        (
            document(said("x", status="ok")),
            "statements[0].status is not not_affected, affected, fixed, under_investigation",
        ),
        (
            document(said("x", status="not_affected")),
            "statements[0] says not_affected without a justification or an impact_statement",
        ),
        (document(said("x", justification=1)), "statements[0]: justification and impact_statement are texts"),
        (document(said()), "statements[0].products is missing or empty"),
        (document(said(7)), "statements[0].products[0] is neither a text nor an object"),
        (document(said({})), "statements[0].products[0] has neither @id nor identifiers.purl nor hashes"),
        (document(said({"@id": "x", "hashes": 1})), "statements[0].products[0].hashes is not an object"),
        (
            document(said({"@id": "x", "subcomponents": [1]})),
            "statements[0].products[0].subcomponents[0] is neither a text nor an object",
        ),
        (document(said("x", names={})), "statements[0].vulnerability has no name that is a text"),
        (document(said("x", timestamp=1)), "statements[0].timestamp is no time as RFC 3339 has it"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_said(wrong: Any, reason: str):
    with pytest.raises(VexError) as caught:
        statements(wrong)
    assert str(caught.value) == reason
