"""Where events arrive: a webhook that is down for a while, moto's EventBridge and SQS, `ecrsim events --follow`.

What arrives is kept in the order in which it came. Nothing here knows how ecrsim sends it.
"""

import hashlib
import hmac
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import boto3
import pytest
import requests

from tests.e2e.server import REGION

Envelope = dict[str, Any]


class Request(NamedTuple):
    """A POST to a webhook; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def envelope(self) -> Envelope:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Whether X-Ecrsim-Signature is the HMAC of timestamp, dot and body."""
        signed = self.headers["x-ecrsim-timestamp"].encode() + b"." + self.body
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(self.headers["x-ecrsim-signature"], f"sha256={expected}")


class Webhook:
    """A webhook on a port of 127.0.0.1, which is its own from the beginning but refuses connections until `open`.

    `status` answers each request. With `hold` set, so many more are answered; the next one waits until `let_go`, and
    fails then.
    """

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.hold: int | None = None
        #: The request that waits, or waited.
        self.held: Request | None = None
        #: All that was asked, and what of it was to be answered with 2xx.
        self.asked: list[Request] = []
        self.taken: list[Request] = []
        self._going = threading.Event()
        self._changed = threading.Condition()
        # Bound and not listening: the kernel refuses connections, and gives the port to nobody else.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(), bind_and_activate=False)
        self._server.server_bind()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/events"

    def open(self) -> None:
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.let_go()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join(10)
        self._server.server_close()

    def let_go(self) -> None:
        """Fail the request that waits, and hold no further one."""
        self.hold = None
        self._going.set()

    def wait_for(self, predicate: Callable[[], bool], seconds: float = 30) -> None:
        """Until it holds, looked at after each request; AssertionError when it does not in time."""
        with self._changed:
            assert self._changed.wait_for(predicate, seconds), f"asked {len(self.asked)}, taken {len(self.taken)}"

    def _hear(self, request: Request) -> int:
        with self._changed:
            self.asked.append(request)
            is_held = self.hold == 0
            if is_held:
                self.held = request
            elif self.hold:
                self.hold -= 1
            self._changed.notify_all()
        if is_held:
            self._going.wait(60)
            return 503
        with self._changed:
            status = self.status
            if 200 <= status < 300:
                self.taken.append(request)
            self._changed.notify_all()
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    self.send_response(webhook._hear(Request(headers, body)))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    self.close_connection = True  # whoever asked was killed

            def log_message(self, *_: Any) -> None:
                return None

        return Handler


class Moto:
    """moto's server in a thread, with clients of its EventBridge and SQS."""

    def __init__(self) -> None:
        try:
            import jsonpath_ng  # noqa: F401  # moto's rules with targets need it
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            pytest.skip(f"moto's server cannot run here: {error}")
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self._events, self._sqs = (
            boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys) for service in ("events", "sqs")
        )

    def stop(self) -> None:
        self._server.stop()

    def queue(self, name: str) -> str:
        """The URL of a new queue; a FIFO one where the name ends so."""
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        return str(self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def bus(self, name: str, pattern: dict[str, Any], queue_url: str) -> None:
        """A new bus whose rule sends what matches the pattern to the queue."""
        asked = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        target = {"Id": "queue", "Arn": asked["Attributes"]["QueueArn"]}
        self._events.create_event_bus(Name=name)
        self._events.put_rule(Name=f"{name}-rule", EventBusName=name, EventPattern=json.dumps(pattern))
        answer = self._events.put_targets(Rule=f"{name}-rule", EventBusName=name, Targets=[target])
        assert answer["FailedEntryCount"] == 0

    def read(self, queue_url: str) -> list[dict[str, Any]]:
        """The messages of the queue, which has none of them afterwards."""
        found: list[dict[str, Any]] = []
        ask = {"QueueUrl": queue_url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"]}
        while messages := self._sqs.receive_message(**ask).get("Messages"):
            for message in messages:
                self._sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            found.extend(messages)
        return found


class Follower:
    """`ecrsim events --follow` as a process; a thread keeps the lines that it prints."""

    def __init__(self, port: int, environ: Mapping[str, str], *options: str) -> None:
        command = [sys.executable, "-m", "ecrsim", "events", "--follow", "--port", str(port), *options]
        self.process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def lines(self, count: int, seconds: float = 30) -> list[str]:
        """What it printed, once that are so many lines; after that time, what there is."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) >= count, seconds)
            return list(self._lines)

    def stop(self) -> int:
        """Ctrl-C, and the exit status."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(10)
        finally:
            self.process.kill()
            self._reader.join(10)
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()
        return status


def settle(url: str) -> None:
    """Wait until the targets of the ecrsim at `url` have what there is for them now."""
    answer = requests.post(f"{url}/_ecrsim/targets/settle", json={"seconds": 60}, timeout=90)
    assert answer.status_code == 200, answer.text


def durations_of(call: Callable[[], object], count: int) -> list[float]:
    """How long each of so many calls takes."""
    durations = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return durations
