"""The gallery in Chromium: hostile texts and names run nothing, and all of it is read in a narrow window."""

import re
import tempfile
from pathlib import Path

import pytest
import requests

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
