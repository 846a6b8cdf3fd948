"""`scripts/release`: what it writes, what it refuses, and a whole release of a clone."""

import importlib.util
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Something new.

## [0.1.0] - 2026-01-01

The first.
"""


def test_what_was_unreleased_gets_its_version_and_date():
    found = release.dated(CHANGELOG, "0.2.0", "2026-02-03")
    assert found == CHANGELOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-02-03\n")
    assert release.notes(found, "0.2.0") == "### Added\n\n- Something new."
    assert release.notes(found, "0.1.0") == "The first."


def test_the_first_release_is_announced_no_more():
    text = "## [Unreleased]\n\nWhat will be 0.1.0, the first release.\n\n### Added\n\n- All.\n"
    assert release.dated(text, "0.1.0", "2026-02-03") == (
        "## [Unreleased]\n\n## [0.1.0] - 2026-02-03\n\n### Added\n\n- All.\n"
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n\nx\n", "0.2.0", id="nothing is new"),
        pytest.param("## [0.1.0] - 2026-01-01\n", "0.2.0", id="there is no such section"),
        pytest.param(CHANGELOG, "0.1.0", id="the version is there already"),
    ],
)
def test_a_changelog_that_cannot_be_dated(text, version):
    with pytest.raises(release.NotReleased):
        release.dated(text, version, "2026-02-03")


def test_the_version_is_written_where_it_stands():
    text = (ROOT / "ecrsim" / "__init__.py").read_text("utf-8")
    assert '\n__version__ = "7.8.9"\n' in release.with_version(text, "7.8.9")
    with pytest.raises(release.NotReleased):
        release.with_version("", "7.8.9")


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def run(folder, *arguments):
    command = [sys.executable, "scripts/release.py", *arguments, "--date", "2026-02-03"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path):
    """This checkout as it is, with something to release, committed in a repository of its own."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text("utf-8").replace("## [Unreleased]\n", "## [Unreleased]\n\n### Added\n\n- A line.\n", 1)
    changelog.write_text(text, "utf-8")
    git(folder, "init", "--quiet")
    git(folder, "config", "user.name", "Releaser")
    git(folder, "config", "user.email", "releaser@example.org")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    return folder


@pytest.mark.slow
def test_a_whole_release(clone):
    done = run(clone, "9.8.7")
    assert done.returncode == 0, done.stderr
    assert git(clone, "describe") == "v9.8.7"
    assert git(clone, "status", "--porcelain") == ""
    assert "\n## [Unreleased]\n\n## [9.8.7] - 2026-02-03\n" in (clone / "CHANGELOG.md").read_text("utf-8")
    files = sorted(path.name for path in (clone / "dist").iterdir())
    assert files == ["ecrsim-9.8.7-py3-none-any.whl", "ecrsim-9.8.7.md", "ecrsim-9.8.7.tar.gz"]
    with tarfile.open(clone / "dist" / "ecrsim-9.8.7.tar.gz") as sdist:
        assert '__version__ = "9.8.7"' in sdist.extractfile("ecrsim-9.8.7/ecrsim/__init__.py").read().decode()
    again = run(clone, "9.8.7")
    assert (again.returncode, again.stdout) == (1, "")
    assert "the tag v9.8.7 is there already" in again.stderr
    lower = run(clone, "9.8.6")
    assert lower.returncode == 1
    assert "9.8.6 is not above the last release, 9.8.7" in lower.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(lambda folder: (folder / "LICENSE").write_text("x"), "not committed", id="something changed"),
        pytest.param(
            lambda folder: (
                (folder / "setup.cfg").write_text((folder / "setup.cfg").read_text().replace("data/*.json", "data/x")),
                git(folder, "commit", "--quiet", "--all", "--message", "x"),
            ),
            "files of the package that the wheel lacks: ecrsim/contract/data/ecr-public.json",
            id="data that is not packed",
        ),
    ],
)
def test_nothing_is_left_of_a_release_that_cannot_be(clone, spoil, why):
    spoil(clone)
    before = git(clone, "rev-parse", "HEAD")
    done = run(clone, "9.8.7")
    assert done.returncode == 1
    assert why in done.stderr
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "tag")) == (before, "")
    assert not (clone / "dist").exists()
