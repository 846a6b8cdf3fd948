"""`ecrsim serve` as a user starts it: a process of its own, found by its ready line and stopped by SIGTERM."""

import base64
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.faults.serving import LOOP_LIMIT, nothing_held_the_loop

READY = re.compile(r"^ecrsim ready: http://127\.0\.0\.1:(\d+)$")
ACCOUNT = "000000000000"
REGION = "us-east-1"


class ServerProcess:
    """A running `python -m ecrsim serve`, ready for requests once the constructor returns.

    A thread reads its standard output to the end: the ready line has to be waited for without polling, and a pipe
    that nobody reads would stop the server. Standard error goes to `server.log` beside the data. `environ` is added to
    the environment.
    """

    def __init__(self, folder: Path, *options: str, port: int = 0, **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "server.log"
        self.options = options
        command = [sys.executable, "-m", "ecrsim", "serve", "--port", str(port), "--data-dir", str(folder / "data")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ECRSIM_", "AWS_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=inherited | LOOP_LIMIT | environ,
                text=True,
                start_new_session=True,
            )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = self._wait_until_ready(60)

    @property
    def admin_token(self) -> str:
        return (self.folder / "data" / "admin-token").read_text().strip()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _wait_until_ready(self, timeout: float) -> int:
        seen: list[str] = []
        while True:
            try:
                line = self.lines.get(timeout=timeout)
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                message = f"ecrsim serve did not become ready. Output: {seen}\n{self.log.read_text()}"
                raise AssertionError(message)
            seen.append(line)
            if match := READY.match(line):
                return int(match[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def registry(self) -> str:
        """The registry as clients name it, and as `repositoryUri` begins."""
        return f"localhost:{self.port}"

    def client(self, service: str = "ecr", *, account: str = "test", region: str = REGION) -> Any:
        """A boto3 client on the socket. `account` is the access key: 12 digits are an account, the rest the default."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 1}),
        )

    def password(self, account: str = "test") -> str:
        """What `aws ecr get-login-password` prints."""
        token = self.client(account=account).get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(token).decode().removeprefix("AWS:")

    def workers(self) -> list[int]:
        """The process ids of the workers (Linux)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def kill(self) -> None:
        """What SIGTERM does not wait for."""
        self.process.kill()
        self.process.wait(30)
        self.reader.join(10)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
            raise
        self.reader.join(10)
        nothing_held_the_loop(self.log)
        return status
