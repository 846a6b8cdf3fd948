"""ecrsim advisories: on a data directory, and on that of a server which runs meanwhile."""

from __future__ import annotations

import json
import zipfile

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.scanning.advisories.replacing import FILE, alone
from tests.core.upstream.servers import serving
from tests.ecr.scanning.osv import fixed_in

OPENSSL = fixed_in(
    "GHSA-aaaa-bbbb-cccc",
    "Debian:12",
    "openssl",
    "3.0.11-1",
    aliases=["CVE-2024-0001"],
    summary="It reads too far",
    severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N"}],
    references=[{"type": "ADVISORY", "url": "https://example.com/1"}],
)
VEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "statements": [{"vulnerability": {"name": "CVE-2024-0001"}, "products": ["pkg:oci/app"], "status": "fixed"}],
}


@pytest.fixture
def feed(tmp_path):
    def feed(*records, name="feed.json"):
        file = tmp_path / name
        file.write_text(json.dumps(list(records)))
        return str(file)

    return feed


def test_what_is_imported_is_listed_shown_and_removed(run, feed):
    done = run("advisories", "import", feed(OPENSSL))
    assert (done.status, done.out) == (0, "feed: 1 records are in, 0 were refused\n")
    lines = run("advisories", "list").out.splitlines()
    assert lines[0].split() == ["SOURCE", "KIND", "RECORDS", "REFUSED", "BROUGHT", "IN", "NEWEST", "FROM"]
    assert lines[1].split()[:4] == ["feed", "imported", "1", "0"]
    assert run("advisories", "show", "CVE-2024-0001").out.splitlines() == [
        "GHSA-aaaa-bbbb-cccc  (feed)  It reads too far",
        "  also: CVE-2024-0001",
        "  vector: CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N",
        "  modified: 2026-01-02 03:04",
        "  see: https://example.com/1",
        "  Debian:12 openssl: from 0 before 3.0.11-1",
    ]
    (shown,) = json.loads(run("advisories", "show", "GHSA-aaaa-bbbb-cccc", "--json").out)
    assert shown["affected"][0]["ranges"] == [[{"introduced": "0"}, {"fixed": "3.0.11-1"}]]
    assert run("advisories", "remove", "feed").out == "feed is removed\n"
    gone = run("advisories", "show", "CVE-2024-0001")
    assert (gone.status, gone.err) == (1, "ecrsim: no advisory is known under CVE-2024-0001\n")
    assert "there is no source feed; there are: shipped" in run("advisories", "remove", "feed").err


def test_a_record_that_is_refused_is_listed_with_its_reason_and_told_by_the_exit_code(run, feed):
    done = run("advisories", "import", feed(OPENSSL, {"id": "CVE-9"}), "--source", "mine")
    assert (done.status, done.out) == (3, "mine: 1 records are in, 1 were refused\n")
    assert "`ecrsim advisories list --refused` says why" in done.err
    assert run("advisories", "list", "--refused").out == "mine  feed.json  CVE-9  modified is missing\n"
    (refused,) = json.loads(run("advisories", "list", "--refused", "--json").out)
    assert refused["reason"] == "modified is missing"


def test_what_ships_is_a_source_by_name_beside_others(run, feed):
    assert run("advisories", "import", feed(OPENSSL), "shipped").status == 0
    names = [each["name"] for each in json.loads(run("advisories", "list", "--json").out)]
    assert names == ["feed", "shipped"]


def test_a_server_that_runs_sees_at_once_what_the_commands_did(run, feed, tmp_path):
    with Ecrsim(socket=False, data_dir=str(tmp_path / "data")) as sim:
        before = sim.advisories.revision
        assert run("advisories", "import", feed(OPENSSL), "--data-dir", str(tmp_path / "data")).status == 0
        assert sim.advisories.revision != before
        assert [each.id for each in sim.advisories.find("CVE-2024-0001")] == ["GHSA-aaaa-bbbb-cccc"]


def test_what_is_ignored_where_until_when_and_why(run):
    rows = [
        ("CVE-2024-0001", "--reason", "not reachable"),
        ("CVE-2024-0002", "--repository", "app", "--until", "2026-12-31"),
    ]
    for row in rows:
        assert run("advisories", "ignore", *row).status == 0
    assert run("advisories", "ignore").out.splitlines() == [
        "CVE-2024-0001  in all repositories  until ever  not reachable",
        "CVE-2024-0002  in app  until 2026-12-31 00:00",
    ]
    assert run("advisories", "ignore", "CVE-2024-0001", "--remove").out == "CVE-2024-0001 is ignored no longer\n"
    again = run("advisories", "ignore", "CVE-2024-0001", "--remove")
    assert (again.status, again.err) == (1, "ecrsim: CVE-2024-0001 is not ignored there\n")
    wrong = run("advisories", "ignore", "CVE-2024-0001", "--until", "soon")
    assert (wrong.status, wrong.err) == (1, "ecrsim: soon is no date: 2026-12-31, or 2026-12-31T12:00:00Z\n")


def test_an_openvex_document_is_heeded(run, tmp_path):
    (tmp_path / "app.vex.json").write_text(json.dumps(VEX))
    done = run("advisories", "ignore", "--vex", str(tmp_path / "app.vex.json"))
    assert done.out.endswith("app.vex.json: 1 statements are heeded\n")
    assert run("advisories", "ignore").out == "app.vex.json  1 statements\n"
    (tmp_path / "app.vex.json").write_text("{}")
    refused = run("advisories", "ignore", "--vex", str(tmp_path / "app.vex.json"))
    assert (refused.status, refused.err) == (
        1,
        "ecrsim: it is no OpenVEX document: @context is not https://openvex.dev/ns…\n",
    )
    (tmp_path / "app.vex.json").write_text("{")
    assert "is not JSON" in run("advisories", "ignore", "--vex", str(tmp_path / "app.vex.json")).err


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/nowhere/at/all.zip", "/nowhere/at/all.zip cannot be read: No such file or directory"),
        ("https://osv.test/all.zip", "the upstream osv.test was not contacted"),
        ("http://127.0.0.1:1/all.zip", "127.0.0.1"),
    ],
)
def test_what_cannot_be_brought_in_is_said(run, place, sentence):
    done = run("advisories", "import", place)
    assert done.status == 1
    assert sentence in done.err


def test_a_url_on_this_machine_is_fetched(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("one.json", json.dumps(OPENSSL))
    content = (tmp_path / "all.zip").read_bytes()

    def answer(handler):
        handler.give(200, content) if handler.path == "/osv/all.zip" else handler.give(404)

    with serving(answer) as shelf:
        done = run("advisories", "import", f"{shelf.url}/osv/all.zip")
        assert (done.status, done.out) == (0, "all: 1 records are in, 0 were refused\n")
        assert done.err == f"ecrsim: {shelf.url}/osv/all.zip: 1 of 1\n"
        assert json.loads(run("advisories", "list", "--json").out)[0]["place"] == f"{shelf.url}/osv/all.zip"
        missing = run("advisories", "import", f"{shelf.url}/osv/none.zip")
        assert (missing.status, missing.err) == (1, f"ecrsim: {shelf.url}/osv/none.zip answers 404\n")
        named = run("advisories", "import", "https://osv.test/osv/all.zip", "--upstream", f"osv.test={shelf.url}")
        assert named.status == 0
    assert list((tmp_path / "share" / "ecrsim").glob("advisories.fetched*")) == []


def test_the_second_of_two_imports_is_told_of_the_first(run, feed, tmp_path):
    directory = tmp_path / "data"
    with alone(directory, 0):
        done = run("advisories", "import", feed(OPENSSL), "--data-dir", str(directory))
    assert (done.status, done.err) == (
        1,
        "ecrsim: another process is changing the advisories; try again when it is done\n",
    )
    assert not (directory / FILE).exists()


def test_one_source_has_one_place(run, feed):
    done = run("advisories", "import", feed(OPENSSL), feed(OPENSSL, name="two.json"), "--source", "mine")
    assert (done.status, done.err) == (1, "ecrsim: --source names one source: import one place at a time\n")
