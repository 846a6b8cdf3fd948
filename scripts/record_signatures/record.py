#!/usr/bin/env python3
"""Record what real SDKs sign: they send their requests to a server on loopback, which writes them down.

    .venv/bin/python scripts/record_signatures/record.py            all of them
    .venv/bin/python scripts/record_signatures/record.py go java    only these

It takes Go, Maven with a JDK, npm with Node, and the aws CLI of `scripts/tools aws`. What they build lies in a
temporary folder. The credentials are the made-up ones of AWS's documentation, and they stand in every file.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIXTURES = ROOT / "fixtures" / "signatures"

PERMANENT = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
TEMPORARY = {
    "access_key": "ASIAIOSFODNN7EXAMPLE",
    "secret": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "session_token": "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQDd+EXAMPLETOKEN/9k=",
}
MANIFEST = (ROOT / "fixtures" / "manifests" / "oci-image.json").read_text("utf-8")
KERNEL = re.compile(r"(\bos/\w+)#\S+")
PRODUCT = re.compile(r"(aws-cli|Boto3|aws-sdk-[a-z0-9-]+)/([0-9.]+)")


class Recorder(BaseHTTPRequestHandler):
    """Writes every request down and denies it, in the protocol that it speaks."""

    protocol_version = "HTTP/1.1"
    requests: list[dict[str, Any]]

    def do_GET(self) -> None:
        self.record(b"")

    def do_POST(self) -> None:
        self.record(self.rfile.read(int(self.headers["Content-Length"])))

    def record(self, body: bytes) -> None:
        # No client signs its user agent, so the kernel of the machine need not stand in the fixture.
        headers = [[name, KERNEL.sub(r"\1", value)] for name, value in self.headers.items()]
        self.requests.append(
            {
                "name": self.operation(body),
                "received": int(time.time() * 1000),
                "method": self.command,
                "target": self.path,
                "headers": headers,
                "body": base64.b64encode(body).decode(),
            }
        )
        if "X-Amz-Target" in self.headers:
            kind, answer = "application/x-amz-json-1.1", b'{"__type":"AccessDeniedException","message":"recorded"}'
        else:
            error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>recorded</Message></Error>"
            kind, answer = "text/xml", f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>".encode()
        self.send_response(403)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def operation(self, body: bytes) -> str:
        """`AmazonEC2ContainerRegistry_V20150921.PutImage`, `sts.AssumeRole`, `sts.GetCallerIdentity, presigned`."""
        query = parse_qs(urlsplit(self.path).query)
        if "X-Amz-Signature" in query:
            return f"sts.{query['Action'][0]}, presigned"
        return self.headers.get("X-Amz-Target") or f"sts.{parse_qs(body.decode())['Action'][0]}"

    def log_message(self, *_: Any) -> None:
        """Quiet: the fixture says it all."""


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that ends with its connections open has done nothing wrong."""


def run(command: list[str], folder: Path, environment: dict[str, str], *, may_fail: bool = False) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def boto3(folder: Path, environment: dict[str, str]) -> None:
    run([sys.executable, "requests_of_boto3.py"], folder, environment)


def aws_cli(folder: Path, environment: dict[str, str]) -> None:
    """The commands that people type. Each is denied, and so fails."""
    commands = {
        "PERMANENT": [
            "ecr get-login-password",
            "ecr describe-repositories",
            "ecr put-image --repository-name team/app --image-manifest v1 --image-tag v1",
            "sts get-caller-identity",
            "sts assume-role --role-arn arn:aws:iam::123456789012:role/deploy --role-session-name ci",
        ],
        "TEMPORARY": ["ecr get-login-password --region eu-west-1", "sts get-caller-identity"],
    }
    for kind, lines in commands.items():
        variables = {
            "AWS_ACCESS_KEY_ID": environment[f"{kind}_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": environment[f"{kind}_SECRET_KEY"],
            "AWS_SESSION_TOKEN": environment.get(f"{kind}_SESSION_TOKEN", ""),
            "AWS_ENDPOINT_URL": environment["RECORDER_ENDPOINT"],
            "AWS_MAX_ATTEMPTS": "1",
        }
        for line in lines:
            command = [str(ROOT / ".tools" / "bin" / "aws"), *line.split()]
            run(command, folder, {"AWS_DEFAULT_REGION": "us-east-1", **environment, **variables}, may_fail=True)


def go(folder: Path, environment: dict[str, str]) -> None:
    run(["go", "run", "."], folder, environment)


def java(folder: Path, environment: dict[str, str]) -> None:
    classpath = folder / "classpath"
    run(["mvn", "-q", "-B", "dependency:build-classpath", f"-Dmdep.outputFile={classpath}"], folder, environment)
    run(["java", "-cp", classpath.read_text("utf-8"), "Requests.java"], folder, environment)


def javascript(folder: Path, environment: dict[str, str]) -> None:
    run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"], folder, environment)
    run(["node", "requests.mjs"], folder, environment)


#: name of the fixture → (folder of its program, how it runs)
CLIENTS: dict[str, tuple[str, Callable[[Path, dict[str, str]], None]]] = {
    "boto3": ("python", boto3),
    "aws-cli": ("python", aws_cli),
    "go": ("go", go),
    "java": ("java", java),
    "javascript": ("javascript", javascript),
}


def record(name: str) -> None:
    """Write `fixtures/signatures/<name>.json`."""
    program, client = CLIENTS[name]
    handler = type("Handler", (Recorder,), {"requests": []})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "AWS_EC2_METADATA_DISABLED": "true",
        "RECORDER_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "RECORDER_MANIFEST": MANIFEST,
        "PERMANENT_ACCESS_KEY": PERMANENT["access_key"],
        "PERMANENT_SECRET_KEY": PERMANENT["secret"],
        "TEMPORARY_ACCESS_KEY": TEMPORARY["access_key"],
        "TEMPORARY_SECRET_KEY": TEMPORARY["secret"],
        "TEMPORARY_SESSION_TOKEN": TEMPORARY["session_token"],
    }
    with tempfile.TemporaryDirectory() as folder:
        client(Path(shutil.copytree(HERE / program, Path(folder) / program)), environment)
    server.shutdown()
    requests = handler.requests
    agents = [value for each in requests for header, value in each["headers"] if header.lower() == "user-agent"]
    found = next(match for agent in agents if (match := PRODUCT.search(agent)))
    document = {
        "about": "Requests as the client sent them; written by scripts/record_signatures. All credentials are made up.",
        "client": found[1],
        "version": found[2],
        "credentials": [PERMANENT, TEMPORARY],
        "requests": requests,
    }
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"{name}: {len(requests)} requests of {found[1]} {found[2]}")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or CLIENTS:
        record(chosen)
