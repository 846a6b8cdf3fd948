"""`ecrsim serve`: worker processes under granian, the doors beside them, and the collection of garbage.

The parent stays small: it imports neither the database nor Flask. It starts the workers, opens ::1 and HTTPS, prints
the ready line once a request was answered, and waits for SIGTERM. How a worker takes requests is told in `door/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server

from ecrsim.config import Config, ConfigError, with_values
from ecrsim.core.admintoken import noted
from ecrsim.door.relayed import Relayed
from ecrsim.logs import configure_logging
from ecrsim.values import CommandFailed

log = logging.getLogger("ecrsim")

_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: Files that are open beside those of connections: database, uploads, what was just sent.
_OTHER_FILES = 8192
#: Threads of a worker that read files for its answers.
_READERS = 16
#: Seconds for which a thread may compute while another waits.
_TURN = 0.0005
#: Seconds that requests in flight are given when ecrsim is told to stop.
_PATIENCE = 30


class StartError(CommandFailed):
    """ecrsim cannot serve; the text says why."""


def serve_in(config: Config) -> int:
    """`serve`, in a temporary directory where that was asked for: the parent's, shared by all workers."""
    if not config.ephemeral:
        return serve(config)
    with tempfile.TemporaryDirectory(prefix="ecrsim-") as directory:
        if config.admin and config.auth == "strict" and not config.admin_token:
            # `ecrsim token` would print that of the usual directory, which this server does not take.
            print(f"ecrsim: the token of the admin surface is found by --data-dir {directory}", file=sys.stderr)
        url = config.database_url and config.database_url_in(Path(directory))
        try:
            return serve(with_values(config, ephemeral=False, data_dir=directory, database_url=url))
        finally:
            if url:
                _drop(url)


def _drop(url: str) -> None:
    """Forget an ephemeral database that is not in the directory."""
    # Imported at the end: 150 ms and 15 MB that the parent does without while it serves.
    from ecrsim.core.db import Database

    Database(url).drop()


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code. StartError when it cannot."""
    # Before there are threads and workers, which inherit this.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    configure_logging(config.log_format)
    config = with_values(config, port=_port_to_use(config.host, config.port))
    if config.wants_tls:
        config = with_values(config, tls_port=_port_to_use(config.host, config.tls_port, "--tls-port"))
    _allow_open_files(config.connections)
    ours, theirs = Pipe(duplex=False)
    with (
        noted(config.port, Path(config.data_dir)),
        tempfile.NamedTemporaryFile(prefix="ecrsim-relayed-") as table,
    ):
        try:
            return _serve(config, ours, theirs, Path(table.name))
        finally:
            draining_flag(Path(table.name)).unlink(missing_ok=True)


def _serve(config: Config, ours: Connection, theirs: Connection, table: Path) -> int:
    server = Server(
        "ecrsim",
        address=_address(config.host),
        port=config.port,
        interface=Interfaces.RSGI,
        loop=Loops.asyncio,
        http=HTTPModes.http1,
        workers=config.workers,
        # They read the files that are sent.
        runtime_blocking_threads=_READERS,
        # Of connections, idle ones included.
        backpressure=config.connections,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_PATIENCE,
        # Clients keep connections for minutes. The buffer is filled by each upload under way: with eight times as much,
        # ten of them took 70 MiB, and were no faster.
        http1_settings=HTTP1Settings(header_read_timeout=config.header_timeout * 1000, max_buffer_size=1 << 17),
    )
    _when_stopped(_Drain(config.drain_delay, draining_flag(table), server.signal_handler_interrupt))
    starter = _Starter(config, server, ours, Relayed(table))
    threading.Thread(target=starter.run, name="starter", daemon=True).start()
    try:
        started = f"{os.getpid()}-{time.monotonic_ns()}"
        server.serve(target_loader=partial(load_worker, config, theirs, os.getpid(), started, table), wrap_loader=False)
    except SystemExit:
        # A worker ended by itself. That is no fault where all were told to: Ctrl-C reaches each of them.
        if not server.interrupt_signal:
            raise StartError("worker processes ended again and again") from None
    finally:
        starter.close()
    if starter.failure is not None:
        raise StartError(starter.failure)
    return 0


def draining_flag(table: Path) -> Path:
    """The file whose presence tells the workers that ecrsim serves on, but is to be asked no more."""
    return Path(f"{table}-draining")


class _Drain:
    """Stop `delay` seconds after the first call, and at once at the second."""

    def __init__(self, delay: int, flag: Path, stop: Callable[[], None]) -> None:
        self._delay, self._flag, self._stop = delay, flag, stop
        self._timer: threading.Timer | None = None

    def __call__(self) -> None:
        if self._delay and self._timer is None:
            self._flag.touch()
            log.info("ecrsim stops in %d seconds: /_ecrsim/ready says so to balancers", self._delay)
            self._timer = threading.Timer(self._delay, self._stop)
            self._timer.daemon = True
            self._timer.start()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._stop()


def _when_stopped(act: Callable[[], None]) -> None:
    """Call `act` at each SIGTERM or SIGINT, which every thread has to block.

    Python runs a handler in the main thread, which granian leaves waiting for a lock. The kernel may give the signal to
    another thread, and the main one then sleeps on.
    """

    def wait() -> None:
        while signal.sigwait(_STOPPING):
            act()

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _allow_open_files(connections: int) -> None:
    """A connection is an open file, a pull two; the usual limit of 1,024 is for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _address(host: str) -> str:
    """The address of a name such as localhost, which granian does not look up. IPv4 where there are both."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _port_to_use(host: str, port: int, option: str = "--port") -> int:
    """A port that nobody listens on. Workers share theirs: without a look, a second ecrsim would share it too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = f"choose another with {option}, or ask `ecrsim doctor` who is there"
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                advice = "choose an address or a name of this machine with --host"
            raise StartError(f"cannot listen on {host} port {port}: {error.strerror or error}; {advice}") from error
        return int(probe.getsockname()[1])


class _Starter:
    """Waits for the first worker, opens the other doors, says that ecrsim is ready. Then hears of the workers after."""

    def __init__(self, config: Config, server: Any, workers: Connection, relayed: Relayed) -> None:
        self._relayed = relayed
        self._config = config
        self._server = server
        self._workers = workers
        self._relay: Any = None
        self.failure: str | None = None

    def run(self) -> None:
        try:
            self._hear()
            self._wait_for_answer()
            # Imported once the workers are on their way: asyncio costs 50 ms.
            from ecrsim.door.listeners import open_doors

            self._relay = open_doors(self._config, self._relayed)
            name = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
            print(f"ecrsim ready: http://{name}:{self._config.port}", flush=True)
            while True:
                self._hear()
                # A worker that came up and is killed then is no sign of a loop, which granian takes for the end.
                self._server.respawned_wrks.clear()
        except (StartError, ConfigError, EOFError, OSError) as error:
            self.failure = str(error) or "the workers cannot be heard"
            self._server.signal_handler_interrupt()

    def _hear(self) -> None:
        """Wait until a worker says that it has started. StartError when it says why it cannot."""
        message = self._workers.recv()
        if message:
            raise StartError(message)

    def close(self) -> None:
        """Bring to the clients what the workers said last."""
        if self._relay is not None:
            self._relay.close()

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + 30
        host = self._config.host_to_ask
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((host, self._config.port), timeout=5) as connection:
                    connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if connection.recv(12).startswith(b"HTTP/1."):
                        return
            except OSError:
                time.sleep(0.005)
        raise StartError("the server does not answer")


def load_worker(config: Config, parent: Connection, parent_pid: int, started: str, table: Path) -> Any:
    """Runs in each worker: the application, ready to be called. Tells the parent "" or why it cannot be.

    `started` names this start of ecrsim, `table` is the file of the relay's clients.
    """
    # Nothing that an import makes is garbage: to look for some would be a quarter of the time until the first answer.
    gc.disable()
    threading.Thread(target=_leave_with, args=(parent_pid,), name="parent", daemon=True).start()
    for number in _STOPPING:
        signal.signal(number, signal.SIG_DFL)  # the parent's handlers, inherited by a fork, would do nothing here
    stopping = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    _when_stopped(partial(_stop_worker, stopping, loops))
    # Imported in the worker alone: 330 ms and 30 MB that the parent does without.
    from sqlalchemy.exc import DBAPIError

    from ecrsim.app import create_app
    from ecrsim.blobs.base import BlobStoreError
    from ecrsim.core.db import SchemaMismatch
    from ecrsim.core.errors import ServiceError
    from ecrsim.core.household import Household
    from ecrsim.core.runtime import Runtime
    from ecrsim.door.adapter import Door

    configure_logging(config.log_format)
    try:
        runtime = Runtime(config, stopping=stopping)
        runtime.is_draining = draining_flag(table).exists
        runtime.open(started)
        runtime.blobs.check()
        door = Door(create_app(runtime), Relayed(table), loops.append)
        household = Household(runtime)
        household.start()
    except Exception as error:
        if not isinstance(error, BlobStoreError | OSError | DBAPIError | SchemaMismatch | ServiceError | ValueError):
            log.exception("the worker cannot start")
        reason = error.orig if isinstance(error, DBAPIError) else error
        parent.send(f"cannot start in {config.data_dir}: {reason}")
        # One that left would be started again; the parent, which knows now, ends this one.
        threading.Event().wait()
    Finalize(None, runtime.close, exitpriority=10)
    Finalize(None, household.stop, exitpriority=20)
    household.work()
    _suit_a_loop()
    parent.send("")
    return door


def _suit_a_loop() -> None:
    """Let threads that compute not hold up the loop for long, nor Python's looks for garbage."""
    # PutImage by eight clients: a third more than with Python's 5 ms.
    sys.setswitchinterval(_TURN)
    # What is there now stays; to look through all of it, time and again, would take the loop tens of milliseconds.
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


def _stop_worker(stopping: threading.Event, loops: list[asyncio.AbstractEventLoop]) -> None:
    stopping.set()
    if not loops:
        os._exit(1)  # granian has not taken over yet: no request was ever seen here
    loops[0].call_soon_threadsafe(_pass_on)


def _pass_on() -> None:
    """To granian's handler: it is the loop's, which hears of signals in its own thread."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    signal.raise_signal(signal.SIGTERM)


def _leave_with(parent_pid: int) -> None:
    """A worker does not outlive a parent that was killed: it would keep the port."""
    while os.getppid() == parent_pid:
        time.sleep(0.5)
    os._exit(1)
