"""Where upstreams are, told to an ecrsim that runs."""

import json

import pytest

from ecrsim.testing import build_image
from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.ecr.pullthrough.conftest import cache, site, stack  # noqa: F401 - fixtures
from tests.principals import admin

IMAGE = build_image(b"a layer")


def shelf():
    return Registry({"library/app": {"v1": IMAGE}})


def test_an_entry_holds_from_the_next_pull_on(cache, site):  # noqa: F811
    found = cache(shelf(), "elsewhere.test")
    found.name = "quay.io"
    found.rule()
    assert error_of(found.pull("v1"))[0] == 403
    url = site(shelf()).url
    answer = admin(found.sim, "PUT", "upstreams", {"Quay.io": f"{url}/"})
    assert answer.json() == {"elsewhere.test": found.upstream.url, "quay.io": url}
    assert found.pull("v1").status == 200


def test_what_is_put_goes_before_the_settings_and_replaces_what_was_put(cache):  # noqa: F811
    found = cache(shelf(), "quay.io")
    admin(found.sim, "PUT", "upstreams", {"quay.io": "http://127.0.0.1:1", "ghcr.io": "http://127.0.0.1:2"})
    assert admin(found.sim, "GET", "upstreams").json()["quay.io"] == "http://127.0.0.1:1"
    admin(found.sim, "PUT", "upstreams", {})
    assert admin(found.sim, "GET", "upstreams").json() == {"quay.io": found.upstream.url}


def test_a_reset_forgets_them(cache):  # noqa: F811
    found = cache(shelf(), "quay.io")
    admin(found.sim, "PUT", "upstreams", {"ghcr.io": "http://127.0.0.1:2"})
    found.sim.reset()
    assert admin(found.sim, "GET", "upstreams").json() == {"quay.io": found.upstream.url}


@pytest.mark.parametrize(
    "body",
    [
        {"quay.io": 1},
        {"quay.io": "ftp://x"},
        {"quay.io": "http://user:secret@x"},
        {"quay.io/x": "http://x"},
        {"": "http://x"},
        {"quay.io": "http://x", "QUAY.io": "http://y"},
        [],
    ],
    ids=json.dumps,
)
def test_what_is_no_entry_changes_nothing(cache, body):  # noqa: F811
    found = cache(shelf(), "quay.io")
    admin(found.sim, "PUT", "upstreams", {"ghcr.io": "http://127.0.0.1:2"})
    assert admin(found.sim, "PUT", "upstreams", body).status == 400
    assert "ghcr.io" in admin(found.sim, "GET", "upstreams").json()
