"""Requests to the ECR JSON API, as bytes for the load and as calls for setting up and checking.

The signature is a well-formed placeholder: ecrsim does not check signatures of keys whose secret it does not know,
moto and ministack read the service and region from the scope only. All servers get the same bytes.
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any

from benchmark.figures import BenchError

HOST = "127.0.0.1"
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/ecr/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "0" * 64
)
HEADERS = {
    "Authorization": AUTHORIZATION,
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Date": "20260101T000000Z",
}
TARGET = "AmazonEC2ContainerRegistry_V20150921"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def api_request(operation: str, members: Mapping[str, Any]) -> bytes:
    """One whole HTTP request, ready to be sent again and again."""
    body = json.dumps(members).encode()
    headers = {"Host": HOST, **HEADERS, "X-Amz-Target": f"{TARGET}.{operation}", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body


def get_request(path: str, headers: Mapping[str, str]) -> bytes:
    """A whole GET request."""
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": HOST, **headers}.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()


def put_request(path: str, headers: Mapping[str, str], content: bytes) -> bytes:
    """A whole PUT request."""
    lines = {"Host": HOST, **headers, "Content-Length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"PUT {path} HTTP/1.1\r\n{head}\r\n".encode() + content


class Api:
    """The calls that set a server up; one kept-alive connection, opened anew when the server closes it."""

    def __init__(self, port: int, timeout: float = 120.0) -> None:
        self.connection = http.client.HTTPConnection(HOST, port, timeout=timeout)

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """The answer of an operation; `BenchError` unless it is a 200."""
        body = json.dumps(members).encode()
        headers = {**HEADERS, "X-Amz-Target": f"{TARGET}.{operation}"}
        try:
            status, content = self._exchange(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise BenchError(f"{operation}: {error!r}") from error
        if status != 200:
            raise BenchError(f"{operation} answered {status}: {content[:300].decode(errors='replace')}")
        parsed: dict[str, Any] = json.loads(content)
        return parsed

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and content of an answer. A connection that was idle may be ended by the server just then."""
        for is_last in (self.connection.sock is None, True):
            try:
                self.connection.request("POST", "/", body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except ConnectionError:
                self.connection.close()
                if is_last:
                    raise
        raise AssertionError

    def close(self) -> None:
        self.connection.close()
