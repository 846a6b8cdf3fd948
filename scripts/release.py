"""Make a release: see `scripts/release`, which runs this in an environment that has `build` and setuptools."""

from __future__ import annotations

import argparse
import datetime
import email.parser
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION_FILE = Path("ecrsim/__init__.py")
CHANGELOG = Path("CHANGELOG.md")

_VERSION = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)
_NUMBER = re.compile(r"\d+\.\d+\.\d+")
_UNRELEASED = "## [Unreleased]\n"
#: What stands at the head of the section while the first release is under way.
_FIRST = "\nWhat will be 0.1.0, the first release.\n"


class NotReleased(Exception):
    """Why there is no release."""


def dated(changelog: str, version: str, date: str) -> str:
    """The changelog with what was unreleased under the version and its date. NotReleased when there is nothing."""
    before, heading, after = changelog.partition(_UNRELEASED)
    entries = after.partition("\n## [")[0].replace(_FIRST, "")
    if not heading or not entries.strip():
        raise NotReleased(f"{CHANGELOG} has nothing under [Unreleased]")
    if f"## [{version}]" in changelog:
        raise NotReleased(f"{CHANGELOG} has a section [{version}] already")
    return f"{before}{_UNRELEASED}\n## [{version}] - {date}\n{after.replace(_FIRST, '', 1)}"


def notes(changelog: str, version: str) -> str:
    """The section of a version, without its heading."""
    return re.split(r"^## \[", changelog, flags=re.MULTILINE)[_place(changelog, version)].partition("\n")[2].strip()


def _place(changelog: str, version: str) -> int:
    headings = re.findall(r"^## \[([^]]*)]", changelog, re.MULTILINE)
    return int(headings.index(version)) + 1


def with_version(source: str, version: str) -> str:
    found, count = _VERSION.subn(f'__version__ = "{version}"', source)
    if count != 1:
        raise NotReleased(f"{VERSION_FILE} has {count} lines with the version")
    return found


def git(*arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReleased(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def prepare(clone: Path, version: str, date: str) -> None:
    """Write version and date into the clone, and commit and tag them there."""
    for file, text in (
        (VERSION_FILE, with_version((clone / VERSION_FILE).read_text("utf-8"), version)),
        (CHANGELOG, dated((clone / CHANGELOG).read_text("utf-8"), version, date)),
    ):
        (clone / file).write_text(text, "utf-8")
    git("add", "--update", folder=clone)
    git("commit", "--quiet", "--message", f"Release {version}", folder=clone)
    git("tag", "--annotate", f"v{version}", "--message", f"ecrsim {version}", folder=clone)


def build(clone: Path, target: Path) -> tuple[Path, Path]:
    """(sdist, wheel); the wheel is made of the sdist, so that the sdist is known to be whole."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(clone)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReleased(f"the build failed:\n{done.stdout}\n{done.stderr}")
    return next(target.glob("*.tar.gz")), next(target.glob("*.whl"))


def check_contents(clone: Path, sdist: Path, wheel: Path, version: str) -> None:
    """Every file of the package is in both, and nothing else; licence, notice, version and type marker are there."""
    package = set(git("ls-files", "ecrsim", folder=clone).splitlines())
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"ecrsim-{version}.dist-info"
        metadata = email.parser.Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        commands = archive.read(f"{info}/entry_points.txt").decode()
    with tarfile.open(sdist) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    found = {
        "files of the package that the wheel lacks": package - names,
        "files of the wheel that are not of the package": {
            name for name in names - package if not name.startswith(info)
        },
        "files that the sdist lacks": (package | {"README.md", "LICENSE", "NOTICE", "setup.cfg", "pyproject.toml"})
        - inside,
        "licences that the wheel lacks": {f"{info}/licenses/{name}" for name in ("LICENSE", "NOTICE")} - names,
        "another version": {metadata["Version"]} - {version},
        "a long description that is not there": set() if "# ecrsim" in metadata.as_string() else {"README.md"},
        "commands that are not there": {"ecrsim = ecrsim.cli:main", "ecrsim = ecrsim.pytest_plugin"}
        - {*commands.split("\n")},
    }
    for what, files in found.items():
        if files:
            raise NotReleased(f"{what}: {', '.join(sorted(files))}")


def check_installed(wheel: Path, version: str, folder: Path) -> None:
    """The wheel in an environment of its own, with its dependencies: commands run, a server starts and stops."""
    venv.create(folder, with_pip=True, symlinks=True)
    python, command = folder / "bin" / "python", folder / "bin" / "ecrsim"
    install = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    if subprocess.run(install, check=False, cwd=folder).returncode:
        raise NotReleased("the wheel cannot be installed")
    said = subprocess.run([str(command), "--version"], capture_output=True, text=True, check=False, cwd=folder).stdout
    if version not in said:
        raise NotReleased(f"`ecrsim --version` says {said!r}")
    serve = [str(command), "serve", "--ephemeral", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, cwd=folder) as server:
        line = server.stdout.readline() if server.stdout else ""
        server.terminate()
    if not line.startswith("ecrsim ready: ") or server.returncode != 0:
        raise NotReleased(f"`ecrsim serve` said {line!r} and ended with {server.returncode}")


def release(version: str, date: str, dist: Path, *, is_rehearsal: bool) -> str:
    """Make it; answers what is to be done with it."""
    if not _NUMBER.fullmatch(version):
        raise NotReleased(f"{version} is no version: MAJOR.MINOR.PATCH")
    if git("status", "--porcelain", "--untracked-files=no"):
        raise NotReleased("there are changes that are not committed")
    if git("tag", "--list", f"v{version}"):
        raise NotReleased(f"the tag v{version} is there already")
    released = [
        tuple(map(int, tag[1:].split("."))) for tag in git("tag", "--list", "v*").split() if _NUMBER.fullmatch(tag[1:])
    ]
    if released and tuple(map(int, version.split("."))) <= max(released):
        raise NotReleased(f"{version} is not above the last release, {'.'.join(map(str, max(released)))}")
    with tempfile.TemporaryDirectory(prefix="ecrsim-release-") as name:
        clone, built = Path(name) / "clone", Path(name) / "dist"
        git("clone", "--quiet", "--local", str(ROOT), str(clone))
        for key in ("user.name", "user.email"):
            git("config", key, git("config", key), folder=clone)
        prepare(clone, version, date)
        sdist, wheel = build(clone, built)
        check_contents(clone, sdist, wheel, version)
        check_installed(wheel, version, Path(name) / "venv")
        text = notes((clone / CHANGELOG).read_text("utf-8"), version)
        if not is_rehearsal:
            git("pull", "--quiet", "--ff-only", str(clone), "HEAD")
            git("fetch", "--quiet", str(clone), f"refs/tags/v{version}:refs/tags/v{version}")
        dist.mkdir(exist_ok=True)
        files = [shutil.copy(file, dist) for file in (sdist, wheel)]
        (dist / f"ecrsim-{version}.md").write_text(text + "\n", "utf-8")
    return (
        f"ecrsim {version} of {date}: {', '.join(map(str, files))}; its notes are in {dist}/ecrsim-{version}.md\n"
        f"Then keep its data directory for the upgrade test: scripts/record_release v{version}\n"
        f"To publish it: git push --follow-tags; twine upload {' '.join(map(str, files))}; "
        f"docker build -t ecrsim:{version} ."
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/release", description="Make a release of what is committed.")
    parser.add_argument("version", help="MAJOR.MINOR.PATCH")
    parser.add_argument(
        "--date", default=datetime.datetime.now(datetime.UTC).date().isoformat(), help="(default: today)"
    )
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where sdist and wheel go (default: dist/)")
    parser.add_argument("--dry-run", action="store_true", help="leave this repository as it is")
    options = parser.parse_args()
    try:
        print(release(options.version, options.date, options.dist, is_rehearsal=options.dry_run))
    except NotReleased as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
