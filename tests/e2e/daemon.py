"""A docker daemon for the tests: the one that answers already, else a private one where dockerd is and we are root.

The private daemon needs no systemd, no bridge and no firewall: `docker build` from scratch, push and pull use none.
Its storage is overlay2, and vfs where the file system of the temporary folder cannot be an overlay.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.clients import Client, clean_environ, find, require

LISTENING = "API listen on"


class PrivateDaemon:
    """A dockerd with everything it owns below one temporary folder, ready once the constructor returns.

    Raises RuntimeError with the end of its log where it does not start.
    """

    def __init__(self, program: str, storage_driver: str, environ: Mapping[str, str] | None = None) -> None:
        # Short, whatever pytest calls its folders: the path of a Unix socket has room for 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
        self.host = f"unix://{self.folder}/docker.sock"
        self.log: list[str] = []
        self.listening = threading.Event()
        self.ready = False
        self.process = subprocess.Popen(
            [
                program,
                *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
                *("--host", self.host, "--pidfile", str(self.folder / "pid")),
                *("--iptables=false", "--ip6tables=false", "--bridge=none"),
                f"--storage-driver={storage_driver}",
            ],
            env={**clean_environ(self.folder / "home"), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.listening.wait(60)
        if not self.ready:
            self.stop()
            raise RuntimeError("".join(self.log[-5:]))

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.log.append(line)
                if LISTENING in line:
                    self.ready = True
                    self.listening.set()
        self.listening.set()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self.reader.join(10)
        # A network namespace may stay mounted below exec/; what is mounted cannot be removed.
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def answering_host() -> str | None:
    """The daemon that the docker command would use here, if it answers."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    with tempfile.TemporaryDirectory() as home:
        docker = Client((require("docker"),), {**clean_environ(Path(home)), "DOCKER_HOST": host})
        return host if docker.attempt("version", timeout=20).status == 0 else None


def start_private_daemon() -> PrivateDaemon:
    program = find("dockerd")
    if program is None:
        pytest.skip("no docker daemon answers, and dockerd is not installed")
    if os.geteuid() != 0:
        pytest.skip("no docker daemon answers, and only root can start dockerd")
    failures = []
    for storage_driver in ("overlay2", "vfs"):
        try:
            return PrivateDaemon(program, storage_driver)
        except RuntimeError as error:
            failures.append(f"{storage_driver}: {error}")
    pytest.skip("no docker daemon answers, and dockerd does not start: " + " ".join(failures))
