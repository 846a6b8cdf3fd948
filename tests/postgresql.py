"""A PostgreSQL server for tests: a cluster of its own in a temporary directory, which ends with the session."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

#: Where Debian has them; the newest comes first.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
#: The language of the database compares otherwise than bytes do, so that a sort which is not by bytes is seen.
_INITDB = ("-A", "trust", "-U", "ecrsim", "-E", "UTF8", "--locale-provider=icu", "--icu-locale=en", "--no-sync")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A server on a port of loopback. `safe`: with fsync, so that what was acknowledged survives its `kill -9`."""

    def __init__(self, *, safe: bool = False, **settings: Any) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ecrsim-postgresql-"))
        self.port = free_port()
        # The server refuses to be root's.
        self._user: Any = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self._user:
            found = pwd.getpwnam("postgres")
            os.chown(self.directory, found.pw_uid, found.pw_gid)
        values = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "max_connections": 400,
            "shared_buffers": "64MB",
            **({} if safe else {"fsync": "off", "full_page_writes": "off"}),
            **settings,
        }
        self._options = " ".join(f"-c {name}={value}" for name, value in values.items())
        self._run("initdb", "-D", str(self.directory / "data"), *_INITDB)
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://ecrsim@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._run(
            "pg_ctl",
            "-D",
            str(self.directory / "data"),
            "-l",
            str(self.directory / "log"),
            "-w",
            "start",
            "-o",
            self._options,
        )

    def stop(self, mode: str = "fast") -> None:
        """fast: connections are cut; immediate: as if it had been killed."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", mode, "-w", "stop")

    def close(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [PROGRAMS[0] / program, *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            **self._user,
        )
        if done.returncode:
            log = self.directory / "log"
            raise RuntimeError(f"{program}: {done.stderr}{log.read_text() if log.exists() else ''}")
