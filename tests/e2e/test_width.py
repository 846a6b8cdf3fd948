"""The pages for a browser, in Chromium, in a window of 500 pixels: nothing has to be pushed aside to be read.

Chromium is told to print the document once it is laid out; a script that is added to the page writes into it how
wide that became. What scrolls on its own, as a wide table does, does not count.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import requests

from ecrsim.testing import build_image
from tests.e2e.clients import Client, clean_environ, require
from tests.pushing import push

#: As root, in a sandbox of its own or none, and without asking anything of the internet.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--virtual-time-budget=2000",
]
WIDTH = 500
MEASURE = "<script>document.title = `measured ${innerWidth} ${document.documentElement.scrollWidth}`</script>"
NAME = "team/a-service-with-a-long-name/and-a-part-of-it-that-has-an-even-longer-one"
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "Keep images for ten days",
            "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 10},
            "action": {"type": "expire"},
        }
    ]
}


@pytest.fixture
def widths(tmp_path):
    """Of a page: the width of the window, and that of its content."""
    program = require("chromium")
    # A folder of a short name: there is a socket in it, whose path has room for 107 characters.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        yield measured_by(
            Client((program, *FLAGS, f"--user-data-dir={folder}/profile"), clean_environ(Path(folder))), tmp_path
        )


def measured_by(chromium, tmp_path):

    def measure(page):
        file = tmp_path / "page.html"
        # A page may forbid all scripts.
        file.write_text(page.replace("default-src 'none'", "default-src 'unsafe-inline'") + MEASURE)
        shown = chromium(f"--window-size={WIDTH},900", "--dump-dom", file.as_uri())
        measured = re.search(r"<title>measured (\d+) (\d+)</title>", shown)
        assert measured, shown
        return tuple(map(int, measured.groups()))

    return measure


def test_what_is_too_wide_is_seen(widths):
    assert widths("<!doctype html><title>x</title><div style='width: 700px'>wide</div>")[1] >= 700


def test_the_pages_are_read_in_a_narrow_window(launch, widths):
    server = launch()
    ecr = server.client()
    ecr.create_repository(repositoryName=NAME)
    for number in range(3):
        push(
            ecr, NAME, build_image(annotations={"number": str(number)}), f"release-2026.11.28-build-{number}", "latest"
        )
    path, seen = "/", []
    while path:
        page = requests.get(f"{server.url}{path}", timeout=10).text
        assert widths(page) == (WIDTH, WIDTH), path
        seen.append(path.split("/")[1])
        links = re.findall(r'href="(/(?:repositories|images)/\d+)"', page)
        path = next((link for link in links if link.split("/")[1] not in seen), None)
    assert seen == ["", "repositories", "images"]


def test_the_page_of_the_simulator_is_read_in_a_narrow_window(server, widths, tmp_path):
    ecr = server.client()
    ecr.create_repository(repositoryName=f"{NAME}/simulated")
    push(ecr, f"{NAME}/simulated", None, "release-2026.11.28-build-1")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    command = [sys.executable, "-m", "ecrsim", "lifecycle", "simulate", "--port", str(server.port), "--format", "html"]
    options = ["--repository", f"{NAME}/simulated", "--policy", str(policy)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=60)
    assert widths(done.stdout) == (WIDTH, WIDTH)
