"""What a client follows: links to the next page, and redirects to layers."""

from __future__ import annotations

import json
import re

import pytest

from ecrsim.dataplane import listings
from ecrsim.testing import call_application
from tests.dataplane.wire import LAYER, World, shared_sim
from tests.planes.catalogue import FIXTURES

NEXT = re.compile(r'<([^>]+)>; rel="next"')
SUBJECT = FIXTURES["oci-image"]
ARTIFACT = FIXTURES["artifact-with-subject"]


def pages(world: World, path: str, member: str) -> list[list[str]]:
    """The entries of each page, by digest or name, until there is no link."""
    found = []
    while path:
        answer = world.ask("GET", path)
        assert answer.status == 200, answer
        entries = answer.json()[member]
        found.append([entry["digest"] if isinstance(entry, dict) else entry for entry in entries])
        link = NEXT.fullmatch(answer.headers.get("Link", ""))
        path = link[1] if link else ""
        assert len(found) < 20
    return found


def referrer(number: int) -> bytes:
    kind = "text/even" if number % 2 == 0 else "text/odd"
    return json.dumps(ARTIFACT.document | {"artifactType": kind, "annotations": {"n": str(number)}}).encode()


@pytest.fixture
def referred(world: World) -> World:
    world.image("artifact-with-subject")
    world.ask("DELETE", f"/v2/app/manifests/{ARTIFACT.digest}")
    for number in range(7):
        answer = world.ask(
            "PUT", f"/v2/app/manifests/r{number}", {"Content-Type": ARTIFACT.media_type}, referrer(number)
        )
        assert answer.headers["OCI-Subject"] == SUBJECT.digest
    return world


@pytest.mark.parametrize(
    ("query", "sizes"),
    [
        ("", [3, 3, 1]),
        ("?artifactType=text/even", [3, 1]),
        ("?artifactType=text%2Fodd", [3]),
        ("?artifactType=no/ne", [0]),
    ],
)
def test_referrers_come_in_pages(referred: World, monkeypatch: pytest.MonkeyPatch, query: str, sizes: list[int]):
    monkeypatch.setattr(listings, "MAX_PAGE", 3)
    found = pages(referred, f"/v2/app/referrers/{SUBJECT.digest}{query}", "manifests")
    assert [len(page) for page in found] == sizes
    entries = [entry for page in found for entry in page]
    assert len(set(entries)) == len(entries)


def test_tags_come_in_pages_as_a_client_follows_them(referred: World):
    wanted = [f"r{number}" for number in range(7)]
    for number in (1, 2, 3, 7, 100):
        found = pages(referred, f"/v2/app/tags/list?n={number}", "tags")
        assert [tag for page in found for tag in page] == wanted
        assert max(len(page) for page in found) <= number


def test_tags_of_a_name_that_has_to_be_quoted(world: World):
    """The link is a path as it stands: nothing in a name or tag is mistaken for something else."""
    world.repository("a/manifests/b")
    world.image("oci-image", "a", "b.c-d_e", repository="a/manifests/b")
    found = pages(world, "/v2/a/manifests/b/tags/list?n=1", "tags")
    assert found == [["a"], ["b.c-d_e"]]


def test_repositories_come_in_pages(world: World):
    for name in ("b/c", "b-c", "bc"):
        world.repository(name)
    found = pages(world, "/v2/_catalog?n=1", "repositories")
    assert found == [["app"], ["b-c"], ["b/c"], ["bc"]]


def test_ecr_s_own_links_hold_a_token_and_lead_through_all_pages():
    world = World(shared_sim((("strict_ecr", True),)))
    world.repository("other")
    world.image("oci-image", "a", "b", "c")
    assert pages(world, "/v2/app/tags/list?n=1", "tags") == [["a"], ["b"], ["c"]]
    assert pages(world, "/v2/_catalog?n=1", "repositories") == [["app"], ["other"]]
    given = NEXT.fullmatch(world.ask("GET", "/v2/app/tags/list?n=1").headers["Link"])
    assert given is not None
    # A token belongs to its list.
    assert world.ask("GET", given[1].replace("/app/", "/other/")).status == 405


def test_a_redirect_leads_to_the_bytes_without_credentials():
    world = World(shared_sim((("blob_redirect", True),)))
    world.layer()
    url = world.ask("GET", f"/v2/app/blobs/{world.values['layer']}").headers["Location"]
    assert call_application(world.sim.app, "GET", url).body == LAYER
    part = call_application(world.sim.app, "GET", url, {"Range": "bytes=3-5"})
    assert (part.status, part.body) == (206, LAYER[3:6])
    head = call_application(world.sim.app, "HEAD", url)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(LAYER)), b"")
    altered = url.replace("signature=", "signature=0")
    assert call_application(world.sim.app, "GET", altered).status == 403
    refused = call_application(world.sim.app, "HEAD", altered)
    assert (refused.status, refused.body) == (403, b"")
