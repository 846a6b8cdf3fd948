"""`ecrsim scan`, against a server."""

from __future__ import annotations

import html.parser
import json

import pytest

from ecrsim import Ecrsim
from tests.ecr.scanning.scanned import OPENSSL, advisory, old_openssl


@pytest.fixture
def sim():
    with Ecrsim(clock="frozen@2026-01-31T12:00:00Z") as sim:
        sim.advisories.import_records("test", [OPENSSL, advisory("CVE-2026-0002", "zlib1g", None)])
        sim.push("app", "v1", image=old_openssl())
        yield sim


@pytest.fixture
def scan(run, sim):
    """`scan("app:v1", "--format", "json")`."""
    return lambda *arguments: run("scan", *arguments, "--port", str(sim.runtime.port))


def test_a_table_with_the_most_severe_first(scan):
    found = scan("app:v1")
    lines = found.out.splitlines()
    assert (found.status, found.err) == (0, "")
    assert lines[0] == "app:v1 (debian 12), advisories of 2026-01-31"
    assert lines[2].split() == ["SEVERITY", "PACKAGE", "INSTALLED", "FIXED", "CVE", "LAYER"]
    assert [line.split()[:5] for line in lines[3:6]] == [
        ["CRITICAL", "libssl3", "3.0.11-1", "3.0.12-1", "CVE-2026-0001"],
        ["CRITICAL", "openssl", "3.0.11-1", "3.0.12-1", "CVE-2026-0001"],
        ["UNDEFINED", "zlib1g", "1:1", "-", "CVE-2026-0002"],
    ]
    assert lines[-1] == "3 vulnerabilities: 2 CRITICAL, 1 UNDEFINED"


def test_an_image_without_any(scan, sim):
    sim.advisories.import_records("test", [])
    lines = scan("app:v1").out.splitlines()
    assert lines == ["app:v1 (debian 12), advisories of 2026-01-31", "", "0 vulnerabilities"]


@pytest.mark.parametrize(("limit", "status"), [("critical", 3), ("high", 3), ("low", 3), ("undefined", 3), (None, 0)])
def test_the_exit_code_of_a_gate(scan, limit, status):
    assert scan("app:v1", *(["--fail-on", limit] if limit else [])).status == status


def test_a_gate_lets_through_what_is_less_severe_or_of_no_concern(scan, sim):
    sim.advisories.ignore("CVE-2026-0001", reason="not reachable")
    found = scan("app:v1", "--fail-on", "low")
    assert (found.status, found.out.splitlines()[-1].rpartition("; ")[2]) == (0, "2 of no concern")


def test_json_is_the_whole_answer(scan):
    found = json.loads(scan("app:v1", "--format", "json").out)
    assert {each["id"] for each in found["vulnerabilities"]} == {"CVE-2026-0001", "CVE-2026-0002"}
    assert found["repositoryName"] == "app"


def test_sarif_has_a_rule_for_each_vulnerability_and_a_result_for_each_package(scan, sim):
    sim.advisories.ignore("CVE-2026-0002", reason="not reachable")
    document = json.loads(scan("app:v1", "--format", "sarif").out)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert document["version"] == "2.1.0"
    assert [rule["id"] for rule in rules] == ["CVE-2026-0001", "CVE-2026-0002"]
    assert rules[0]["properties"]["security-severity"] == "9.8"
    assert [(each["ruleId"], each["ruleIndex"], each["level"]) for each in run["results"]] == [
        ("CVE-2026-0001", 0, "error"),
        ("CVE-2026-0001", 0, "error"),
        ("CVE-2026-0002", 1, "note"),
    ]
    suppressions = [each.get("suppressions") for each in run["results"]]
    assert suppressions == [None, None, [{"kind": "external", "justification": "ignored: not reachable"}]]


def test_html_is_one_file_without_scripts_and_escapes_what_it_is_given(scan, sim):
    hostile = advisory("CVE-2026-0003", summary="<script>alert(1)</script>")
    sim.advisories.import_records("test", [OPENSSL, hostile])
    page = scan("app:v1", "--format", "html").out
    tags = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Reader().feed(page)
    assert "script" not in tags
    assert "&lt;script&gt;" in page
    assert tags.count("tr") == 5


@pytest.mark.parametrize(
    ("image", "text"), [("none:v1", "'none' does not exist"), ("app:none", "imageTag:'none'"), ("app", "'latest'")]
)
def test_what_is_not_there(scan, image, text):
    found = scan(image)
    assert found.status == 1
    assert text in found.err


def test_nobody_answers(run):
    found = run("scan", "app:v1", "--port", "1")
    assert found.status == 1
    assert "no ecrsim answers" in found.err


@pytest.mark.parametrize("command", ["scan", "sbom"])
@pytest.mark.parametrize("image", ["", ":v1", "app:", "app@", "@sha256:0"])
def test_what_names_no_image(run, command, image):
    found = run(command, image)
    assert found.status == 2
    assert "is not REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST" in found.err


def test_a_command_line_that_is_wrong(run):
    assert run("scan", "app:v1", "--fail-on", "bad").status == 2
