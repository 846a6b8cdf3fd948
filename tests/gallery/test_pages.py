"""The gallery: what is found, what a repository's page shows, and that nothing in it can run or load."""

import json
import re

import pytest

from ecrsim.testing import BuiltImage, build_image, call_application
from tests.ecr_public.conftest import alias_of, png_of
from tests.principals import admin
from tests.pushing import digest_of, push, put

ACCOUNT = "000000000000"


@pytest.fixture
def public(client):
    return client("ecr-public")


def get(sim, path):
    return call_application(sim.app, "GET", f"{sim.endpoint_url}{path}")


def page(sim, path):
    answer = get(sim, path)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def found(sim, query=""):
    """The names that a search shows, in their order."""
    return re.findall(r'<a class="name" href="[^"]*">([^<]*)</a>', page(sim, f"/gallery/{query}"))


def create(public, name, **data):
    public.create_repository(repositoryName=name, catalogData=data)
    return f"{alias_of(public)}/{name}"


class TestSearch:
    @pytest.fixture(autouse=True)
    def _stocked(self, sim, public, client, ecr):
        ecr.create_repository(repositoryName="private")
        create(public, "web", description="A server of pages.", architectures=["ARM 64", "x86-64"])
        create(public, "db", description="Keeps 100% of rows.", architectures=["x86-64"], operatingSystems=["Linux"])
        create(client("ecr-public", account="111111111111"), "web", operatingSystems=["Windows"], architectures=["VAX"])
        admin(sim, "PUT", "public-aliases", {"name": "acme", "account": "111111111111", "verified": True})

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["{}/db", "{}/web", "acme/web"]),
            ("?q=web", ["{}/web", "acme/web"]),
            ("?q=WEB", ["{}/web", "acme/web"]),
            ("?q=acme/w", ["acme/web"]),
            ("?q=pages", ["{}/web"]),
            ("?q=100%25", ["{}/db"]),
            ("?q=%25", ["{}/db"]),
            ("?q=nothing", []),
            ("?q=private", []),
            ("?architecture=x86-64", ["{}/db", "{}/web"]),
            ("?architecture=x86-64&architecture=ARM+64", ["{}/web"]),
            ("?architecture=x86-64&os=Linux", ["{}/db"]),
            ("?os=Windows", ["acme/web"]),
            ("?badge=verified", ["acme/web"]),
            # Kept, and not searched by (documented): as if nothing had been chosen.
            ("?architecture=VAX", ["{}/db", "{}/web", "acme/web"]),
        ],
    )
    def test_what_is_found(self, sim, public, query, names):
        assert found(sim, query) == [name.format(alias_of(public)) for name in names]

    def test_it_comes_in_pages(self, sim, public, monkeypatch):
        monkeypatch.setattr("ecrsim.gallery.pages._ROWS", 1)
        names, query = [], "?q=e"
        while query:
            names += found(sim, query)
            more = re.search(r'<a rel="next" href="/gallery/([^"]*)">', page(sim, f"/gallery/{query}"))
            query = more[1].replace("&amp;", "&") if more else None
        assert names == found(sim, "?q=e")[:1] + names[1:]
        assert sorted(names) == sorted([f"{alias_of(public)}/db", f"{alias_of(public)}/web", "acme/web"])

    def test_what_was_chosen_is_shown(self, sim):
        shown = page(sim, "/gallery/?q=%22%3E%3Cb%3E&architecture=ARM&badge=verified")
        assert 'name="q" value="&#34;&gt;&lt;b&gt;"' in shown
        assert shown.count(" checked>") == 2

    def test_only_what_can_be_searched_by_is_a_badge(self, sim):
        shown = page(sim, "/gallery/?q=acme")
        assert re.findall(r'<span class="badge">([^<]*)</span>', shown) == ["Verified account", "Windows"]

    def test_a_verified_account_shows_its_name(self, sim, client, public):
        client("ecr-public", account="111111111111").put_registry_catalog_data(displayName="Acme & Sons")
        public.put_registry_catalog_data(displayName="Somebody")
        shown = page(sim, "/gallery/")
        assert "Acme &amp; Sons" in shown
        assert "Somebody" not in shown


class TestRepository:
    def test_it_shows_the_texts_and_the_tags(self, sim, public):
        name = create(
            public,
            "team/app",
            description="It does things.",
            aboutText="# What\n\nSome *words*.",
            usageText="    docker run\n",
            logoImageBlob=png_of(60, 60),
        )
        push(public, "team/app", None, "v1", "v2")
        shown = page(sim, f"/gallery/{name}")
        assert "It does things." in shown
        assert "<h3>What</h3>" in shown
        assert "<em>words</em>" in shown
        assert "<pre><code>docker run" in shown
        assert f"docker pull localhost:5100/public/{name}:v2</code>" in shown
        assert re.findall(r'<th scope="row">([^<]*)</th>', shown) == ["v1", "v2"]
        assert build_image().digest in shown
        assert "linux/amd64" in shown
        [logo] = re.findall(r'<img src="(/logo/[^"]*)" alt="">', shown)
        assert get(sim, logo).body == png_of(60, 60)

    def test_an_index_shows_its_platforms(self, sim, public):
        name = create(public, "app")
        image = build_image(b"a layer")
        push(public, "app", image)
        kinds = [{"os": "linux", "architecture": each} for each in ("amd64", "arm64", "amd64")]
        kinds.append({"os": "unknown", "architecture": "unknown"})
        entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
        media_type = "application/vnd.oci.image.index.v1+json"
        listed = {"schemaVersion": 2, "mediaType": media_type, "manifests": [{**entry, "platform": e} for e in kinds]}
        manifest = json.dumps(listed).encode()
        put(public, "app", BuiltImage(manifest, media_type, digest_of(manifest), {}), "all")
        assert "<td>linux/amd64, linux/arm64</td>" in page(sim, f"/gallery/{name}")

    @pytest.mark.parametrize("config", [b"{}", b"[]", b"no json", b'{"os": 1, "architecture": {}}'])
    def test_what_is_no_image_for_a_machine_has_no_platform(self, sim, public, config):
        name = create(public, "app")
        push(public, "app", build_image(b"x", config=config), "v1")
        assert '<th scope="row">v1</th><td></td>' in page(sim, f"/gallery/{name}")

    def test_tags_come_in_pages(self, sim, public, monkeypatch):
        monkeypatch.setattr("ecrsim.gallery.pages._ROWS", 2)
        name = create(public, "app")
        push(public, "app", None, "a", "b", "c")
        [more] = re.findall(r'<a rel="next" href="([^"]*)">More tags', page(sim, f"/gallery/{name}"))
        assert re.findall(r'<th scope="row">([^<]*)</th>', page(sim, f"/gallery/{name}{more}")) == ["c"]

    def test_every_active_alias_leads_there(self, sim, public):
        create(public, "app")
        admin(sim, "PUT", "public-aliases", {"name": "acme"})
        assert "public/acme/app" in page(sim, "/gallery/acme/app")
        admin(sim, "PUT", "public-aliases", {"name": "acme", "status": "REJECTED"})
        assert get(sim, "/gallery/acme/app").status == 404

    @pytest.mark.parametrize("path", ["x/y", "x", "%00/%00", "i1v1u5i3/private", "x/" + "y" * 3000])
    def test_what_is_not_there(self, sim, public, ecr, path):
        ecr.create_repository(repositoryName="private")
        create(public, "app")
        assert get(sim, f"/gallery/{path}").status == 404


def test_nobody_needs_an_account(sim, public, configure):
    name = create(public, "app")
    configure(auth="strict")
    assert get(sim, f"/gallery/{name}").status == 200
    assert get(sim, "/gallery/").status == 200


def test_pages_run_nothing_and_load_nothing_from_elsewhere(sim, public):
    name = create(public, "app")
    for path in ("/gallery/", f"/gallery/{name}"):
        answer = get(sim, path)
        assert "<script" not in answer.body.decode()
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; img-src 'self';")
        assert "script" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_who_reads_by_ear_or_keyboard_finds_the_way(sim, public):
    """One heading of each page, a landmark, a way past the navigation, labels, and heads of the table."""
    name = create(public, "app", aboutText="# One\n###### Six")
    push(public, "app", None, "v1")
    for path in ("/gallery/", f"/gallery/{name}"):
        shown = page(sim, path)
        assert shown.count("<h1>") == 1
        assert '<html lang="en">' in shown
        assert '<a class="skip" href="#main">' in shown
        assert '<main id="main" tabindex="-1">' in shown
        assert all('alt="' in image for image in re.findall(r"<img[^>]*>", shown))
    search = page(sim, "/gallery/")
    assert '<label for="q">' in search
    assert search.count("<fieldset><legend>") == 3
    shown = page(sim, f"/gallery/{name}")
    assert "<caption>" in shown
    assert shown.count('<th scope="col">') == 5
    assert "<h3>One</h3>" in shown
    assert "<h6>Six</h6>" in shown
    assert 'class="pull" tabindex="0"' in shown
