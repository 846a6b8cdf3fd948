"""Advisories, put by a test in whichever language."""

from __future__ import annotations

import pytest

from ecrsim import Ecrsim
from tests.ecr.scanning.osv import fixed_in
from tests.principals import admin

OPENSSL = fixed_in("CVE-2024-0001", "Debian:12", "openssl", "3.0.11-1")
ZLIB = fixed_in("CVE-2024-0002", "Debian:12", "zlib", "2")
VEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "statements": [{"vulnerability": {"name": "CVE-1"}, "products": ["pkg:oci/app"], "status": "fixed"}],
}


@pytest.fixture(name="sim")
def one_of_its_own():
    with Ecrsim(socket=False) as sim:
        yield sim


def test_what_is_put_replaces_what_was_put_and_what_is_left_out_stays(sim: Ecrsim):
    answer = admin(sim, "PUT", "advisories", {"records": [OPENSSL], "ignored": [{"id": "CVE-2024-0001"}]})
    assert answer.status == 200
    body = answer.json()
    assert [(each["name"], each["records"]) for each in body["sources"]][1:] == [("added", 1)]
    assert [each["id"] for each in body["ignored"]] == ["CVE-2024-0001"]
    after = admin(sim, "PUT", "advisories", {"records": [ZLIB], "vex": [VEX]}).json()
    assert after["revision"] != body["revision"]
    assert [each["id"] for each in after["ignored"]] == ["CVE-2024-0001"]
    assert sim.advisories.find("CVE-2024-0001") == []
    assert [each.id for each in sim.advisories.find("CVE-2024-0002")] == ["CVE-2024-0002"]
    assert [each.vulnerabilities for each in sim.advisories.statements()] == [("CVE-1",)]
    assert admin(sim, "GET", "advisories").json() == after


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"records": [ZLIB, {"id": "CVE-9"}]}, "record 2 (CVE-9): modified is missing"),
        ({"records": {}}, "records is not a list"),
        ({"record": []}, "there is no member record; the nearest is records"),
        ({"ignored": ["CVE-1"]}, "ignored holds objects of id, repository, until and reason"),
        ({"ignored": [{"id": "CVE-1", "when": ""}]}, "ignored holds objects of id, repository, until and reason"),
        ({"ignored": [{"repository": "app"}]}, "an entry of ignored has an id, and texts"),
        ({"ignored": [{"id": "CVE-1", "until": "soon"}]}, "soon is no date"),
        ({"records": [ZLIB], "vex": [{}]}, "it is no OpenVEX document: @context is not https://openvex.dev/ns…"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(sim: Ecrsim, body: object, message: str):
    before = sim.advisories.revision
    answer = admin(sim, "PUT", "advisories", body)
    assert (answer.status, answer.json()["message"]) == (400, message)
    assert sim.advisories.revision == before


def test_in_python_they_are_added(sim: Ecrsim):
    sim.advisories.add(OPENSSL, ZLIB)
    sim.advisories.ignore("CVE-2024-0002", repository="app", until=1_800_000_000.0)
    assert [each["until"] for each in admin(sim, "GET", "advisories").json()["ignored"]] == [1_800_000_000.0]
    assert sim.advisories.find("CVE-2024-0001")[0].source == "added"
