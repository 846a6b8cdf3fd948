"""Catalog data of repositories and registries, and the logo."""

import pytest

from ecrsim.testing import call_application
from tests.answers import constraint, inferred, refusal
from tests.api import post, refusal_of
from tests.ecr_public.conftest import chunk, png_of

IN_APP = {"repositoryName": "app"}
ALL = {
    "description": "It does things.",
    "architectures": ["ARM 64", "x86-64", "PDP-11"],
    "operatingSystems": ["Linux"],
    "aboutText": "# About",
    "usageText": "`docker pull`",
}
LOGO = png_of(60, 2048)


def put(public, **data):
    return public.put_repository_catalog_data(**IN_APP, catalogData=data)["catalogData"]


def get(public):
    return public.get_repository_catalog_data(**IN_APP)["catalogData"]


def fetch(sim, url):
    return call_application(sim.app, "GET", url)


@pytest.mark.documented
def test_what_is_put_is_given_back(app):
    assert put(app, **ALL) == {**ALL, "marketplaceCertified": False}
    assert get(app) == {**ALL, "marketplaceCertified": False}


def test_it_can_come_with_the_repository(public):
    created = public.create_repository(**IN_APP, catalogData={**ALL, "logoImageBlob": LOGO})
    assert created["catalogData"] == get(public)
    assert created["catalogData"].keys() == {*ALL, "logoUrl", "marketplaceCertified"}


@pytest.mark.inferred
def test_put_replaces_the_whole(app):
    put(app, **ALL, logoImageBlob=LOGO)
    assert put(app, usageText="pull it") == {"usageText": "pull it", "marketplaceCertified": False}
    assert get(app) == {"usageText": "pull it", "marketplaceCertified": False}


def test_a_repository_that_comes_again_has_none(app):
    put(app, **ALL)
    app.delete_repository(**IN_APP)
    app.create_repository(**IN_APP)
    assert refusal(app.get_repository_catalog_data, **IN_APP).code == "RepositoryCatalogDataNotFoundException"


class TestLogo:
    def test_it_is_served_at_its_url(self, sim, app):
        url = put(app, logoImageBlob=LOGO)["logoUrl"]
        assert url.startswith(f"{sim.endpoint_url}/logo/")
        answer = fetch(sim, url)
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, LOGO, "image/png")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_another_one_has_another_url(self, sim, app):
        before = put(app, logoImageBlob=LOGO)["logoUrl"]
        after = put(app, logoImageBlob=png_of(61, 61))["logoUrl"]
        assert before != after
        assert fetch(sim, before).status == 404
        assert fetch(sim, after).body == png_of(61, 61)

    def test_it_goes_with_its_repository(self, sim, app):
        url = put(app, logoImageBlob=LOGO)["logoUrl"]
        app.delete_repository(**IN_APP)
        assert fetch(sim, url).status == 404

    @pytest.mark.parametrize(
        "logo",
        [
            b"GIF89a" + b"\x00" * 100,
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            LOGO[:-20],
            LOGO[:40] + b"\xff" + LOGO[41:],
            b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""),
            b"\x89PNG\r\n\x1a\n",
        ],
        ids=["GIF", "SVG", "cut off", "a wrong checksum", "no header", "a signature alone"],
    )
    def test_what_is_no_png_is_refused(self, app, logo):
        found = refusal(app.put_repository_catalog_data, **IN_APP, catalogData={"logoImageBlob": logo})
        assert found == inferred(
            "InvalidParameterException", constraint("logoImageBlob", "Logo image must be a valid PNG image")
        )

    @pytest.mark.parametrize("sides", [(59, 60), (60, 59), (2049, 60), (60, 2049)])
    def test_sides_have_60_to_2048_pixels(self, app, sides):
        found = refusal(app.put_repository_catalog_data, **IN_APP, catalogData={"logoImageBlob": png_of(*sides)})
        text = "Logo image must be between 60 and 2048 pixels wide and between 60 and 2048 pixels high"
        assert found == inferred("InvalidParameterException", constraint("logoImageBlob", text))

    def test_what_is_refused_changes_nothing(self, app):
        put(app, **ALL)
        refusal(app.put_repository_catalog_data, **IN_APP, catalogData={"logoImageBlob": b"x"})
        assert get(app) == {**ALL, "marketplaceCertified": False}
        refusal(app.create_repository, repositoryName="new", catalogData={"logoImageBlob": b"x"})
        assert refusal(app.describe_images, repositoryName="new").code == "RepositoryNotFoundException"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"description": "x" * 1025}, "catalogData.description"),
        ({"architectures": ["x"] * 51}, "catalogData.architectures"),
        ({"architectures": ["x" * 51]}, "catalogData.architectures"),
        ({"operatingSystems": [""]}, "catalogData.operatingSystems"),
        ({"aboutText": "x" * 25601}, "catalogData.aboutText"),
        ({"usageText": "x" * 25601}, "catalogData.usageText"),
    ],
    ids=str,
)
@pytest.mark.documented
def test_texts_and_lists_have_limits(sim, app, data, place):
    body = {**IN_APP, "catalogData": data}
    found = refusal_of(post(sim, "PutRepositoryCatalogData", body, service="ecr-public"))
    assert found.code == "InvalidParameterException"
    assert found.message.startswith(f"Invalid parameter at '{place}'")


def test_a_logo_has_512000_bytes_at_most(app):
    found = refusal(app.put_repository_catalog_data, **IN_APP, catalogData={"logoImageBlob": b"x" * 512001})
    assert found.message == constraint(
        "catalogData.logoImageBlob", "Member must have length less than or equal to 512000"
    )


def test_a_registry_has_a_name_to_show(public):
    assert public.get_registry_catalog_data()["registryCatalogData"] == {}
    assert public.put_registry_catalog_data(displayName="Us")["registryCatalogData"] == {"displayName": "Us"}
    assert public.get_registry_catalog_data()["registryCatalogData"] == {"displayName": "Us"}
    public.put_registry_catalog_data()
    assert public.get_registry_catalog_data()["registryCatalogData"] == {}
