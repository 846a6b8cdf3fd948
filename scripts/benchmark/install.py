"""The peers' environments, made on first use below a cache folder; nothing is installed outside it.

Python servers get a virtual environment each, because ministack pins a botocore that the others cannot share.
docker-registry and wrk are taken from the PATH, or unpacked from the Debian packages without installing them: an
installed docker-registry would be started as a system service.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmark.figures import BenchError

MOTO = "moto[server]==5.2.5"
MINISTACK = "ministack==1.5.33"
NOT_PACKAGED = shutil.ignore_patterns(
    ".*", "__pycache__", "build", "dist", "*.egg-info", "tests", "fixtures", "docs", "scripts"
)


def python_environment(cache: Path, name: str, requirement: str) -> Path:
    """The Python of the environment `name`, which holds exactly `requirement`; `BenchError` if it cannot be made."""
    return _environment(cache / name, requirement, [requirement])


def ecrsim_environment(cache: Path, checkout: Path) -> Path:
    """The Python of an environment with this checkout installed as a user would; made anew when a file has changed."""
    if not (checkout / "setup.cfg").exists():
        raise BenchError("the checkout has no setup.cfg")
    with tempfile.TemporaryDirectory() as scratch:
        # Building in place would leave build/ and an egg-info in the checkout.
        source = Path(scratch) / "ecrsim"
        shutil.copytree(checkout, source, ignore=NOT_PACKAGED)
        return _environment(cache / "ecrsim", _fingerprint(source), [str(source)])


def version_of(python: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or "unknown"


def check_command(command: Sequence[str], directory: Path) -> None:
    """`BenchError` with the last line that the command printed, unless it ends well within a minute."""
    _run(command, directory)


def debian_binary(cache: Path, name: str, packages: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """A program and the variables it needs: from the PATH, else unpacked from Debian packages below the cache."""
    installed = shutil.which(name)
    if installed:
        return Path(installed), {}
    folder = cache / name
    binary = folder / "usr" / "bin" / name
    if not binary.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise BenchError(f"{name} is not on the PATH, and this is no Debian system to fetch its package on")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                _run(["apt-get", "download", *packages], Path(scratch))
            except BenchError:
                # A fresh container has no package lists yet; only root may fetch them.
                if os.geteuid() != 0:
                    raise
                _run(["apt-get", "update"], Path(scratch))
                _run(["apt-get", "download", *packages], Path(scratch))
            for package in Path(scratch).glob("*.deb"):
                _run(["dpkg-deb", "-x", str(package), str(folder)], Path(scratch))
    libraries = ":".join(sorted({str(path.parent) for path in folder.glob("usr/lib/*/lib*.so*")}))
    return binary, {"LD_LIBRARY_PATH": libraries} if libraries else {}


def _environment(folder: Path, stamp: str, requirements: Sequence[str]) -> Path:
    python = folder / "bin" / "python"
    note = folder / "bench-requirement"
    if python.exists() and note.exists() and note.read_text() == stamp:
        return python
    print(f"bench: installing into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(folder)], folder.parent)
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements], folder)
    # Compiled beforehand, so that no server pays for it at its first start.
    subprocess.run([python, "-m", "compileall", "-q", folder / "lib"], capture_output=True, check=False)
    note.write_text(stamp)
    return python


def _fingerprint(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _run(command: Sequence[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BenchError(
            f"`{' '.join([Path(command[0]).name, *command[1:3]])} …`: {lines[-1][:200] if lines else done.returncode}"
        )
