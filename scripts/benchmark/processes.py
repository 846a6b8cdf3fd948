"""Server processes: started on given cores, weighed with all their children, and ended again.

Each server leads a process group of its own, so ending it ends its workers and nothing else.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.figures import BenchError

MIB = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """Bytes of a process and its descendants; PSS counts a page shared by n processes as 1/n in each, so it adds up."""

    rss: int
    pss: int


@dataclass(frozen=True)
class Ended:
    """A process that has ended well: its seconds, the most bytes that it had at once, and what it printed."""

    seconds: float
    peak: int
    output: bytes


#: Starts the process and writes its peak, in KiB, to a file. Linux counts what the parent had at that moment as well,
#: and the benchmark has much by then.
_SMALL_PARENT = """
import pathlib, resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status if status >= 0 else 128 - status)
"""


def run_to_its_end(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, patience: float, cores: Sequence[int] = ()
) -> Ended:
    """Run a process that is no server. BenchError with its last words when it fails, or takes longer than that."""
    output, errors, peak = directory / "output", directory / "errors", directory / "peak"
    began = time.perf_counter()
    with output.open("wb") as out, errors.open("wb") as err, pinned(cores):
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, str(peak), *command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    timer = threading.Timer(patience, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        process.wait()
    finally:
        timer.cancel()
    if process.returncode:
        said = errors.read_text(errors="replace").strip().splitlines() or ["(no output)"]
        raise BenchError(f"{Path(command[0]).name} ended with {process.returncode}: {said[-1][:200]}")
    return Ended(time.perf_counter() - began, int(peak.read_text()) * 1024, output.read_bytes())


def free_port() -> int:
    """A port that was free a moment ago; nothing else on a quiet machine takes it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """What is started inside stays on `cores` for good; nothing happens where the system cannot pin."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """One running server."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, port: int, cores: Sequence[int]
    ) -> None:
        self.port = port
        self.log = directory / "server.log"
        self.ended = False
        self.began = time.perf_counter()
        with self.log.open("ab") as log, pinned(cores):
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_answers(self, request: bytes, timeout: float = 60.0) -> float:
        """Seconds from the start of the process to the first 200 for `request`."""
        while time.perf_counter() - self.began < timeout:
            if self.process.poll() is not None:
                raise BenchError(f"ended with {self.process.returncode} at start: {self.last_words()}")
            if _answers_200(self.port, request):
                return time.perf_counter() - self.began
            time.sleep(0.002)
        raise BenchError(f"no answer within {timeout:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "(no output)"

    def memory(self) -> Memory:
        """RSS and PSS now, summed over the process and its descendants."""
        rss = pss = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        rss += int(line.split()[1]) * 1024
                    elif line.startswith("Pss:"):
                        pss += int(line.split()[1]) * 1024
        if not pss:
            raise BenchError("memory cannot be read: no /proc/<pid>/smaps_rollup")
        return Memory(rss, pss)

    def cpu_seconds(self) -> float:
        """User and system time so far of the process and its living descendants, in steps of a clock tick."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                ticks += sum(int(value) for value in _stat(pid)[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def pids(self) -> list[int]:
        """The process and its descendants."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
        found = [self.process.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after ten seconds, to this server's own process group."""
        if self.ended:
            return
        self.ended = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name (which may hold spaces): state, parent, and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _answers_200(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(request)
            return connection.recv(4096)[9:12] == b"200"
    except OSError:
        return False


@contextlib.contextmanager
def stopping(servers: Mapping[str, Server]) -> Iterator[None]:
    """Ends all of `servers`, also those added meanwhile, whatever happens inside."""
    try:
        yield
    finally:
        for server in servers.values():
            server.stop()
