"""Registries that a cache stands in front of: Debian's docker-registry, with Basic or behind a token service.

Each is a process on loopback that ends with its test.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.e2e.clients import require
from tests.e2e.images import MANIFEST, Image, digest

USERNAME, PASSWORD = "user", "the token"
BASIC = f"Basic {base64.b64encode(f'{USERNAME}:{PASSWORD}'.encode()).decode()}"
#: bcrypt, the only form that docker-registry reads.
_HASH = "$2b$04$jB80d3p88Ao0JMhMYnBLFu.OZokSNQSHfdBMFJYSTfWAiG52MMinS"
_SERVICE, _ISSUER = "registry.test", "ecrsim's tests"
_CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth:
  {auth}
"""


class DebianRegistry:
    """docker-registry on a port of its own, with `auth` as its configuration has it."""

    def __init__(self, folder: Path, auth: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        program = require("docker-registry")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=self.port, auth=auth))
        self._log = (folder / "log").open("wb")
        command = [program, "serve", str(folder / "config.yml")]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self.url = f"http://127.0.0.1:{self.port}"
        self._wait()

    def _wait(self) -> None:
        deadline, pause = time.monotonic() + 30, threading.Event()
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                requests.get(f"{self.url}/v2/", timeout=5)
                return
            pause.wait(0.05)
        raise AssertionError(f"docker-registry did not start: {self._process.poll()}")

    def push(self, name: str, image: Image, authorization: str) -> None:
        """As v1, in few requests: crane does not log in to a token service on loopback."""
        headers = {"Authorization": authorization}
        for blob in (image.config, image.layer):
            begun = requests.post(f"{self.url}/v2/{name}/blobs/uploads/", headers=headers, timeout=30)
            assert begun.status_code == 202, begun.text
            place = f"{begun.headers['Location']}&digest={digest(blob)}"
            assert requests.put(place, blob, headers=headers, timeout=30).status_code == 201
        headers["Content-Type"] = MANIFEST
        put = requests.put(f"{self.url}/v2/{name}/manifests/v1", image.manifest, headers=headers, timeout=30)
        assert put.status_code == 201, put.text

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._log.close()


@contextlib.contextmanager
def with_basic(folder: Path, image: Image) -> Iterator[DebianRegistry]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(f"{USERNAME}:{_HASH}\n")
    registry = DebianRegistry(folder, f"htpasswd: {{realm: here, path: {folder}/htpasswd}}")
    try:
        registry.push("library/app", image, BASIC)
        yield registry
    finally:
        registry.stop()


@contextlib.contextmanager
def behind_tokens(folder: Path, image: Image) -> Iterator[DebianRegistry]:
    """The registry believes the tokens of a service that asks for the password."""
    folder.mkdir(parents=True, exist_ok=True)
    service = TokenService(folder)
    auth = (
        f'token: {{realm: "{service.url}/token", service: {_SERVICE}, issuer: "{_ISSUER}", '
        f"rootcertbundle: {folder}/tokens.pem}}"
    )
    registry = DebianRegistry(folder, auth)
    try:
        answer = service.answer("/token?scope=repository:library/app:pull,push", BASIC)[1]
        registry.push("library/app", image, f"Bearer {json.loads(answer)['token']}")
        yield registry
    finally:
        registry.stop()
        service.stop()


class TokenService:
    """Gives tokens (JWT, RS256) for whatever is asked, to who knows the password."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        self._chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
        (folder / "tokens.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = service.answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        if authorization != BASIC:
            return 401, b"{}"
        access = []
        for scope in parse_qs(urlsplit(path).query).get("scope", []):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": USERNAME,
            "aud": _SERVICE,
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": str(now),
            "access": access,
        }
        header = {"typ": "JWT", "alg": "RS256", "x5c": self._chain}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        token = b".".join((signed, _encoded(signature))).decode()
        return 200, json.dumps({"token": token, "expires_in": 300}).encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
