"""S3 servers on loopback for tests: moto in this process, and versitygw, a server that others run in earnest."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ecrsim.blobs.s3 import S3Access

ACCESS_KEY, SECRET_KEY = "AKIAS3STOREOFTESTS", "the-secret-of-the-store-of-tests"
TOOLS = Path(__file__).parent.parent / ".tools" / "bin"


class S3Server(ABC):
    """A running server. `url` is its endpoint."""

    url: str

    def __init__(self) -> None:
        self._numbers = count(1)

    @functools.cached_property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
        )

    def new_bucket(self) -> str:
        name = f"store-{os.getpid()}-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    @property
    def access(self) -> S3Access:
        return S3Access(ACCESS_KEY, SECRET_KEY, endpoint_url=self.url)

    @property
    def settings(self) -> dict[str, str]:
        """Those of an ecrsim that keeps its blobs here, but for `blob_store`."""
        return {
            "s3_aws_endpoint_url": self.url,
            "s3_aws_access_key_id": ACCESS_KEY,
            "s3_aws_secret_access_key": SECRET_KEY,
        }

    @abstractmethod
    def age(self, bucket: str) -> None:
        """Make all that is in the bucket look an hour older than it is."""


class Moto(S3Server):
    def __init__(self) -> None:
        super().__init__()
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def age(self, bucket: str) -> None:
        from moto.s3.models import s3_backends

        for key in s3_backends["123456789012"]["aws"].buckets[bucket].keys.values():
            key.last_modified -= timedelta(hours=1)

    def stop(self) -> None:
        self._server.stop()


class Versitygw(S3Server):
    """Keeps objects as files below `root`."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = shutil.which("versitygw", path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
        assert program is not None
        environ = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY, "HOME": str(self._root)}
        objects = self._root / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        command = [program, "--port", f"127.0.0.1:{self._port}", "--quiet", "posix", str(objects)]
        self._process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                assert time.monotonic() < until, "versitygw does not listen"
                time.sleep(0.02)
            else:
                return

    def age(self, bucket: str) -> None:
        for path in (self._root / "objects" / bucket).rglob("*"):
            if path.is_file():
                os.utime(path, (path.stat().st_mtime - 3600,) * 2)

    def kill(self) -> None:
        """As `kill -9` does; `start` starts it again, over the same objects."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill


def has_versitygw() -> bool:
    return shutil.which("versitygw", path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}") is not None


@contextmanager
def versitygw() -> Iterator[Versitygw]:
    # Beside the sources' file system, not pytest's: it needs extended attributes, which tmpfs may not have.
    with tempfile.TemporaryDirectory(prefix="versitygw-", ignore_cleanup_errors=True) as directory:
        server = Versitygw(Path(directory))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def moto() -> Iterator[Moto]:
    server = Moto()
    try:
        yield server
    finally:
        server.stop()
