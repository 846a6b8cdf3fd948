"""The registry clients of the machine: find one, or skip the test with the reason; run one, and keep what it printed.

`scripts/tools` puts its clients into `.tools/bin`, which is looked at before the PATH. Each client runs with an empty
home of its own, so that neither a developer's logins nor their credential helpers decide how a test ends.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools" / "bin"
SEARCH_PATH = os.pathsep.join([str(TOOLS), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

INSTALL_HINT = {
    "aws": "scripts/tools aws",
    "crane": "scripts/tools crane",
    "oras": "scripts/tools oras",
    "regctl": "scripts/tools regctl",
    "helm": "scripts/tools helm",
    "syft": "scripts/tools syft",
    "grype": "scripts/tools grype",
    "cosign2": "scripts/tools cosign2",
    "cosign3": "scripts/tools cosign3",
    "notary": "scripts/tools notary",
    "conformance-main": "scripts/tools conformance-main",
}


@dataclass(frozen=True)
class Finished:
    """What a client left behind: exit status, standard output, and both streams in the order of standard error last."""

    status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


def find(name: str) -> str | None:
    return shutil.which(name, path=SEARCH_PATH)


def require(name: str) -> str:
    """The path of a client; a test whose client is missing is skipped with the way to get it."""
    path = find(name)
    if path is None:
        hint = INSTALL_HINT.get(name, f"the package of your operating system that has {name}")
        pytest.skip(f"{name} is not installed here; get it with: {hint}")
    return path


@dataclass(frozen=True)
class Client:
    """One program with the environment that it needs, ready to be called with arguments."""

    program: tuple[str, ...]
    environ: Mapping[str, str]

    def attempt(self, *arguments: str, stdin: str = "", timeout: float = 120, cwd: Path | None = None) -> Finished:
        """Run it to its end, whatever its exit status."""
        run = subprocess.run(
            [*self.program, *arguments],
            input=stdin,
            env=dict(self.environ),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(run.returncode, run.stdout, run.stderr)

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 120, cwd: Path | None = None) -> str:
        """Run it, and answer its standard output; a failure shows what it printed."""
        done = self.attempt(*arguments, stdin=stdin, timeout=timeout, cwd=cwd)
        assert done.status == 0, f"{' '.join([*self.program, *arguments])} exited {done.status}:\n{done.text}"
        return done.stdout

    def refuses(self, *arguments: str, stdin: str = "", cwd: Path | None = None) -> str:
        """Run what must fail, and answer all that it printed."""
        done = self.attempt(*arguments, stdin=stdin, cwd=cwd)
        assert done.status != 0, f"{' '.join([*self.program, *arguments])} succeeded:\n{done.text}"
        return done.text


def clean_environ(home: Path) -> dict[str, str]:
    """The environment of a client: the PATH and `home`; no login, no configuration and no proxy of the developer."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": SEARCH_PATH,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "localhost,127.0.0.1,::1",
    }
