"""Load: some clients with one request in flight each, over kept-alive connections, from as few processes as keep up.

An event loop over raw sockets that sends prepared bytes costs a third of what one thread per client costs, so that
one core of load outruns one core of any server here. The share of its core that the load used is part of the outcome:
a row whose load was near 100 % says so, for then it has measured the load.
"""

import itertools
import multiprocessing
import os
import re
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from benchmark.figures import BenchError
from benchmark.wire import HOST

PATIENCE = 120.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CONNECTION = re.compile(rb"\r\nconnection: *([a-z-]+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass
class Outcome:
    """What one load saw. `latencies` in seconds, in no order; `busy` is the load's own use of its core, 0 to 1."""

    answers: int = 0
    rate: float = 0.0
    latencies: list[float] = field(default_factory=list)
    busy: float = 0.0
    failures: int = 0
    first_failure: str = ""

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0

    def checked(self) -> "Outcome":
        if self.failures:
            raise BenchError(f"{self.failures} of {self.answers} answers were no success: {self.first_failure}")
        if not self.answers:
            raise BenchError("no answer at all")
        return self


class _Client:
    """One connection and what is known of the answer that is coming in on it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.request = b""
        self.socket = self._connect()
        self.clear()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((HOST, self.port), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def clear(self) -> None:
        self.head = b""
        self.missing = -1
        self.status = b""
        self.closes = False
        self.chunked = False

    def send(self, request: bytes) -> None:
        self.clear()
        self.request = request
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def reconnect(self) -> None:
        self.socket.close()
        self.socket = self._connect()

    def receive(self) -> bool | None:
        """True when the answer is complete, False when more is to come, None when the server closed without one."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            if not self.head:
                return None
            if self.missing >= 0 or self.chunked:
                raise BenchError("the server closed the connection within an answer")
            self.closes = True
            return True
        if self.missing >= 0:
            self.missing -= len(data)
        elif self.status:
            self.head = (self.head + data)[-8:]
        else:
            self._read_head(data)
        if self.chunked:
            return self.head.endswith(b"0\r\n\r\n")
        return self.missing == 0

    def _read_head(self, data: bytes) -> None:
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.head[: end + 2]
        self.status = head[9:12]
        length, connection = LENGTH.search(head), CONNECTION.search(head)
        kept = connection.group(1).lower() if connection else b"close" if head.startswith(b"HTTP/1.0") else b""
        self.closes = kept == b"close"
        if length:
            self.missing = int(length.group(1)) - (len(self.head) - end - 4)
        else:
            self.chunked = CHUNKED.search(head) is not None


def _drive(port: int, requests: Iterator[bytes], clients: int, until: float) -> Outcome:
    """Keep one request in flight for each client until `until` or the last request; wait for the last answers."""
    outcome = Outcome()
    poll = select.epoll()
    flying: dict[int, _Client] = {}
    for request in itertools.islice(requests, clients):
        client = _Client(port)
        flying[client.socket.fileno()] = client
        poll.register(client.socket, select.EPOLLIN)
        client.send(request)
    while flying:
        events = poll.poll(PATIENCE)
        if not events:
            raise BenchError(f"no answer within {PATIENCE:.0f} s")
        for descriptor, _ in events:
            client = flying[descriptor]
            complete = client.receive()
            if complete is False:
                continue
            request = client.request
            if complete:
                now = time.perf_counter()
                _note(outcome, client, now)
                following = next(requests, None) if now < until else None
                if following is None:
                    poll.unregister(descriptor)
                    client.socket.close()
                    del flying[descriptor]
                    continue
                request = following
            if client.closes or complete is None:
                poll.unregister(descriptor)
                del flying[descriptor]
                client.reconnect()
                flying[client.socket.fileno()] = client
                poll.register(client.socket, select.EPOLLIN)
            client.send(request)
    return outcome


def _note(outcome: Outcome, client: _Client, now: float) -> None:
    outcome.answers += 1
    outcome.latencies.append(now - client.began)
    if client.status not in (b"200", b"201"):
        outcome.failures += 1
        outcome.first_failure = outcome.first_failure or client.head[-300:].decode(errors="replace")


def _process(
    port: int, requests: Sequence[bytes], clients: int, seconds: float | None, cores: Sequence[int], results: Pipe
) -> None:
    try:
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        began, used = time.perf_counter(), time.process_time()
        source = iter(requests) if seconds is None else itertools.cycle(requests)
        outcome = _drive(port, source, clients, began + (seconds if seconds is not None else 3600.0))
        elapsed = time.perf_counter() - began
        outcome.rate = outcome.answers / elapsed
        outcome.busy = (time.process_time() - used) / elapsed
        results.send(outcome)
    except (BenchError, OSError) as error:
        results.send(str(error) or repr(error))


def run_load(
    port: int, requests: Sequence[bytes], clients: int, seconds: float | None, cores: Sequence[int], processes: int = 1
) -> Outcome:
    """Send `requests` in turn for `seconds`, or each of them once when that is None, and return what was seen.

    The rate counts every answer, also those that come after the time is up, over the time until the last: with
    answers that take longer than the load lasts, anything else would be wrong by the number of clients.
    """
    context = multiprocessing.get_context("fork")
    started = []
    for number in range(processes):
        ours, theirs = context.Pipe(duplex=False)
        share = requests[number::processes] if seconds is None else requests
        count = clients // processes + (number < clients % processes)
        child = context.Process(target=_process, args=(port, share, count, seconds, cores, theirs), daemon=True)
        child.start()
        theirs.close()
        started.append((child, ours))
    total = Outcome()
    problem = ""
    for child, ours in started:
        try:
            result = ours.recv()
        except EOFError:
            result = "the load process ended without a result"
        child.join()
        if isinstance(result, str):
            problem = result
            continue
        total.answers += result.answers
        total.rate += result.rate
        total.latencies += result.latencies
        total.busy = max(total.busy, result.busy)
        total.failures += result.failures
        total.first_failure = total.first_failure or result.first_failure
    if problem:
        raise BenchError(problem)
    return total.checked()


def run_wrk(
    wrk: tuple[Path, Mapping[str, str]], url: str, headers: Mapping[str, str], connections: int, seconds: float
) -> float:
    """Requests per second as wrk counts them, two threads; `BenchError` when an answer was not a 2xx."""
    binary, environment = wrk
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [str(binary), "-t2", f"-c{connections}", f"-d{max(1, round(seconds))}s", *given, url]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    wrong = re.search(r"(Non-2xx.*|Socket errors:.*)", done.stdout)
    if not rate or wrong:
        raise BenchError(f"wrk: {wrong.group(1) if wrong else done.stderr.strip()[:200]}")
    return float(rate.group(1))
