"""`ecrsim serve` in a process group of its own, so that all of it can be killed in one instant."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import engine

LOOP_LIMIT = {"ECRSIM_LOOP_LIMIT": "50"}
READY = re.compile(rb"ecrsim ready: http://127\.0\.0\.1:(\d+)\n")


class NotServing(Exception):
    """The server ended before it was ready. The text is what it printed."""


def clean_environment() -> dict[str, str]:
    """Without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ECRSIM_", "AWS_"))}


def open_files(pid: int) -> set[str]:
    """The paths that a process has open; none when it is gone."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def nothing_held_the_loop(log: Path) -> None:
    """The servers of tests log whatever computes on their loop for longer than 50 ms."""
    text = log.read_text(errors="replace")
    assert "the loop was held" not in text, text


class Serving:
    """A running server; `port` is known once the constructor returns. Its log is `<data_dir>.log`, or `log`.

    Every process of it holds its standard output, so that the end of that pipe is the end of the last process.
    """

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        workers: int = 2,
        log: Path | None = None,
        prepare: Callable[[], Any] | None = None,
        **settings: Any,
    ) -> None:
        self.data_dir = data_dir
        self.count = workers
        self.settings = settings
        self.log = log or Path(f"{data_dir}.log")
        command = [sys.executable, "-m", "ecrsim", "serve", "--port", "0", "--workers", str(workers)]
        environ = (
            clean_environment()
            | engine.settings(data_dir)
            | LOOP_LIMIT
            | {f"ECRSIM_{name.upper()}": str(value) for name, value in settings.items()}
        )
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(data_dir), *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environ,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - it sets a limit, nothing else
            )
        self.port = 0
        self.port = int(self._read_until(READY, 60))

    def _read_until(self, pattern: re.Pattern[bytes] | None, timeout: float) -> bytes:
        """What the pattern captures in the output; without a pattern, everything up to its end."""
        assert self.process.stdout is not None
        pipe, seen, deadline = self.process.stdout.fileno(), b"", time.monotonic() + timeout
        while select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
            piece = os.read(pipe, 4096)
            seen += piece
            if pattern is not None and (match := pattern.search(seen)):
                return match[1]
            if not piece:
                if pattern is None:
                    return seen
                self.process.wait(timeout)
                self._close()
                raise NotServing(f"exit status {self.process.returncode}: {self.log.read_text()}")
        self.kill()
        raise AssertionError(f"nothing within {timeout} s. Output: {seen!r}\n{self.log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """The processes that answer requests: the children that have the store in use. Waits until all have."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        store = os.path.realpath(self.data_dir)
        deadline = time.monotonic() + 30
        found: list[int] = []
        while len(found) < self.count and time.monotonic() < deadline:
            found = [pid for pid in map(int, children.read_text().split()) if store in open_files(pid)]
        return found

    def kill(self) -> None:
        """`kill -9` of every process of it at once. Returns when the last one is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self._read_until(None, 30)
        self._close()

    def stop(self) -> int:
        """SIGTERM, as a service manager sends it. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
            self._read_until(None, 30)
        finally:
            if self.process.poll() is None:
                self.kill()
        self._close()
        nothing_held_the_loop(self.log)
        return status

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()


def run_gc(data_dir: Path, *options: str) -> str:
    """`ecrsim gc` in a process of its own. What it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ecrsim", "gc", "--data-dir", str(data_dir), *options],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment() | engine.settings(data_dir),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
