"""The gallery in Chromium: hostile texts run nothing, a narrow window holds it, and keys alone are enough."""

import itertools
import re
import tempfile
from pathlib import Path

import pytest
import requests

from tests.e2e.browser import SPACE, started
from tests.e2e.clients import Client, clean_environ, require
from tests.e2e.test_width import FLAGS, WIDTH, widths  # noqa: F401 - a fixture
from tests.gallery.test_markdown import HOSTILE
from tests.pushing import push

#: What would write itself into the title, if it ran.
RUN = "document.title='taken over'"
ATTACKS = [each.replace("alert(1)", RUN) for each in HOSTILE]


@pytest.fixture
def chromium():
    program = require("chromium")
    # A folder of a short name: there is a socket in it, whose path has room for 107 characters.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        yield Client((program, *FLAGS, f"--user-data-dir={folder}/profile"), clean_environ(Path(folder)))


@pytest.fixture
def paths(server):
    """The pages of a repository whose every text is hostile."""
    public = server.client("ecr-public")
    text = "\n\n".join(ATTACKS)
    with_name = f'"><script>{RUN}</script>'
    public.create_repository(
        repositoryName="hostile",
        catalogData={
            "description": with_name,
            "aboutText": text,
            "usageText": text,
            "architectures": [with_name[:50]],
        },
    )
    public.put_registry_catalog_data(displayName=with_name)
    push(public, "hostile", None, "v1")
    alias = public.describe_registries()["registries"][0]["aliases"][0]["name"]
    requests.put(f"{server.url}/_ecrsim/public-aliases", json={"name": alias, "verified": True}, timeout=20)
    yield ["/gallery/?q=hostile", f"/gallery/?q={with_name}", f"/gallery/{alias}/hostile"]
    public.delete_repository(repositoryName="hostile", force=True)


def test_hostile_texts_run_nothing(server, chromium, paths):
    for path in paths:
        shown = chromium("--dump-dom", "--virtual-time-budget=2000", f"{server.url}{path}")
        title = re.search(r"<title>([^<]*)</title>", shown)
        assert title
        assert "ecrsim gallery" in title[1]
        assert "taken over" not in title[1]


def test_the_attack_of_the_test_above_works_where_it_is_let(chromium, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>x</title>" + "".join(ATTACKS[:2]))
    assert "<title>taken over</title>" in chromium("--dump-dom", "--virtual-time-budget=2000", page.as_uri())


def test_the_pages_are_read_in_a_narrow_window(server, paths, widths):  # noqa: F811
    for path in paths:
        page = requests.get(f"{server.url}{path}", timeout=20).text
        assert widths(page) == (WIDTH, WIDTH), path


@pytest.fixture
def browser():
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        flags = [flag for flag in FLAGS if "virtual-time" not in flag]
        with started(Path(folder), flags) as found:
            yield found


@pytest.fixture
def shelf(server):
    """Two repositories that a search for `keys` finds, of which one is for ARM; the alias of the registry."""
    public = server.client("ecr-public")
    for name, architecture in (("keys-arm", "ARM"), ("keys-x86", "x86-64")):
        data = {"description": "For keys", "architectures": [architecture], "aboutText": "See [more](https://a.test)."}
        public.create_repository(repositoryName=name, catalogData=data)
        push(public, name, None, "v1", "v2")
    yield public.describe_registries()["registries"][0]["aliases"][0]["name"]
    for name in ("keys-arm", "keys-x86"):
        public.delete_repository(repositoryName=name, force=True)


def test_a_keyboard_is_enough(server, browser, shelf):
    browser.open(f"{server.url}/gallery/")
    browser.tab_to("searchbox", "Name or description")
    browser.press("keys")
    browser.tab_to("checkbox", "ARM")
    browser.press(SPACE)
    browser.follow()
    assert browser.path.startswith("/gallery/?q=keys&architecture=ARM")
    browser.tab_to("link", f"{shelf}/keys-arm")
    browser.follow()
    assert browser.path == f"/gallery/{shelf}/keys-arm"
    stops = browser.all_stops()
    assert stops[:2] == [("link", "Skip to the content"), ("link", "Gallery")]
    assert ("link", "more") in stops
    assert ("region", "Image tags") in stops
    assert all(name for _, name in stops), stops


def test_a_screen_reader_finds_its_way(server, browser, shelf):
    """Language, title, one main heading, no level left out, landmarks, and tables that say what a cell is about."""
    for path, landmarks in (("", ["navigation", "main", "search"]), (f"{shelf}/keys-arm", ["navigation", "main"])):
        browser.open(f"{server.url}/gallery/{path}")
        assert browser.look("document.documentElement.lang") == "en"
        assert browser.title.endswith("ecrsim gallery")
        levels = browser.look("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
        for landmark in landmarks:
            tag = {"navigation": "nav", "search": "form[role=search]"}.get(landmark, landmark)
            assert browser.look(f"document.querySelectorAll('{tag}').length") == 1, landmark
    assert browser.look("[...document.querySelectorAll('th')].every(each => each.scope)")
    assert browser.look("[...document.querySelectorAll('img')].every(each => each.hasAttribute('alt'))")


def test_it_works_without_scripts(server, shelf):
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        off = {"prefs": {"profile.managed_default_content_settings.javascript": 2}}
        flags = [flag for flag in FLAGS if "virtual-time" not in flag]
        with started(Path(folder), flags, **off) as browser:
            browser.open(f"{server.url}/gallery/?q=keys")
            browser.tab_to("link", f"{shelf}/keys-x86")
            browser.follow()
            assert browser.path == f"/gallery/{shelf}/keys-x86"
