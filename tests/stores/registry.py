"""A server as one of several nodes, and the registry protocol as a client speaks it to whichever of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config

from tests.faults.serving import Serving

NAME = "app"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Node:
    """One `ecrsim serve` of one worker over a data directory that it may share."""

    def __init__(self, folder: Path, data_dir: Path, options: Sequence[str], environ: Mapping[str, str]) -> None:
        settings: dict[str, Any] = {name.removeprefix("ECRSIM_").lower(): value for name, value in environ.items()}
        self._is_dead = False
        self._serving = Serving(data_dir, *options, workers=1, log=Path(f"{folder}.log"), **settings)
        self.log = Path(f"{folder}.log")
        self.url = f"http://127.0.0.1:{self._serving.port}"
        self._http = urllib3.PoolManager(retries=False)
        self.ecr: Any = boto3.client(
            "ecr",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        token = self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self._headers = {"Authorization": f"Basic {token}"}
        assert base64.b64decode(token).startswith(b"AWS:")

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        given = {**self._headers, **(headers or {})}
        return self._http.request(method, self.url + path, body=body, headers=given, redirect=False, **more)

    def begin_upload(self) -> str:
        answer = self.ask("POST", f"/v2/{NAME}/blobs/uploads/")
        assert answer.status == 202, answer.data
        return answer.headers["Location"]

    def push_layer(self, data: bytes) -> str:
        where = self.begin_upload()
        answer = self.ask("PATCH", where, data, {"Content-Type": "application/octet-stream"})
        assert answer.status == 202, answer.data
        answer = self.ask("PUT", f"{where}?digest={sha256(data)}")
        assert answer.status == 201, answer.data
        return sha256(data)

    def pull_layer(self, digest: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", f"/v2/{NAME}/blobs/{digest}", headers=headers)

    def kill(self) -> None:
        """`kill -9`."""
        self._serving.kill()
        self._is_dead = True

    def close(self) -> None:
        """SIGTERM; nothing may have held the loop."""
        if not self._is_dead:
            self._is_dead = True
            assert self._serving.stop() == 0
