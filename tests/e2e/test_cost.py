"""Bills as they are typed: what the AWS CLI printed goes into `ecrsim cost`, and its page into Chromium."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ecrsim.testing import build_image
from tests.e2e.browser import started
from tests.e2e.test_width import FLAGS, WIDTH, widths  # noqa: F401 - a fixture
from tests.pushing import push

#: In the order in which somebody would type it who wants the bill of all repositories of a region.
SCRIPT = """
{ $AWS ecr describe-repositories --repository-names NAMES
  $AWS ecr get-lifecycle-policy --repository-name ONE
  for name in NAMES; do
    $AWS ecr describe-images --repository-name "$name" --filter imageStatus=ANY
  done
} | $BILLS cost --images - --format json
"""
RULE = {
    "rulePriority": 1,
    "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100},
    "action": {"type": "expire"},
}


@pytest.fixture
def repositories(server, create_repository):
    one, two = create_repository("cost"), create_repository("cost")
    ecr = server.client()
    for number in range(12):
        push(ecr, one, build_image(b"base" * 100, bytes([number]) * 50_000), f"prod-{number}")
    push(ecr, two, build_image(b"base" * 100, bytes(1000)), "v1")
    ecr.update_image_storage_class(repositoryName=two, imageId={"imageTag": "v1"}, targetStorageClass="ARCHIVE")
    ecr.put_lifecycle_policy(repositoryName=one, lifecyclePolicyText=json.dumps({"rules": [RULE]}))
    return one, two


def test_what_the_aws_cli_prints_is_billed(server, aws, repositories):
    script = SCRIPT.replace("NAMES", " ".join(repositories)).replace("ONE", repositories[0])
    words = " ".join(aws.program)
    environ = {**aws.environ, "AWS": words, "BILLS": f"{sys.executable} -m ecrsim"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, env=environ, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [(each["repositoryName"], each["images"]) for each in found["repositories"]] == [
        (repositories[0], 12),
        (repositories[1], 1),
    ]
    assert found["repositories"][1]["archiveBytes"] > 1000
    assert {each["item"] for each in found["charges"]} == {"standard", "archive"}
    # A cent has not come together, and nothing is proposed that would save less.
    assert found["savings"] == []


def test_the_running_server_is_billed(server, repositories):
    command = [sys.executable, "-m", "ecrsim", "cost", "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("all registries: 30 days until ")
    assert f"000000000000.us-east-1/{repositories[0]}" in done.stdout


def test_the_page_is_read_in_a_narrow_window(server, widths, repositories):  # noqa: F811
    push(server.client(), repositories[0], None, "release-2026.11.28-build-1")
    command = [sys.executable, "-m", "ecrsim", "cost", "--port", str(server.port), "--format", "html"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert widths(done.stdout) == (WIDTH, WIDTH)


def test_a_browser_shows_it_without_scripts_and_a_screen_reader_finds_its_way(server, repositories):
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        flags = [flag for flag in FLAGS if "virtual-time" not in flag]
        with started(Path(folder), flags) as browser:
            browser.open(f"{server.url}/_ecrsim/cost?days=7")
            assert browser.title == "all registries: cost"
            assert browser.look("document.scripts.length") == 0
            levels = browser.look("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
            assert levels[0] == 1
            assert set(levels[1:]) == {2}
            assert browser.look("[...document.querySelectorAll('th')].every(each => each.scope)")
            charts = "[...document.querySelectorAll('svg')]"
            assert browser.look(f"{charts}.every(each => each.closest('section').querySelector('table caption'))")
            stops = browser.all_stops()
            assert ("region", "Each repository") in stops
            assert all(name for _, name in stops), stops
