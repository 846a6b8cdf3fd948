"""A client of a real server, both planes over one connection, that tells an answer from a server that is gone."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from tests.pushing import digest_of

ACCOUNT = "000000000000"
REGION = "us-east-1"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Gone(Exception):
    """The server went away before the whole answer was there: nobody knows what came of the request."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error class, or the OCI code; empty for a success."""
        if self.status < 400 or not self.body.startswith(b"{"):
            return ""
        document = self.json()
        return str(document["errors"][0]["code"] if "errors" in document else document["__type"].rpartition("#")[2])


def manifest_of(config: bytes, *layers: bytes, **members: Any) -> bytes:
    """An OCI image of these blobs."""
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    described = [{"digest": digest_of(data), "size": len(data)} for data in (config, *layers)]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": kinds[0], **described[0]},
        "layers": [{"mediaType": kinds[1], **each} for each in described[1:]],
        **members,
    }
    return json.dumps(document).encode()


class Client:
    """One connection, opened again when it was closed. Not for several threads."""

    def __init__(self, url: str, account: str = ACCOUNT, timeout: float = 60) -> None:
        self._address = urlsplit(url).netloc
        self._timeout = timeout
        self._account = account
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One exchange. A body of pieces is sent in chunks, unless the headers tell its length."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address, timeout=self._timeout)
        chunked = not isinstance(body, bytes) and "Content-Length" not in (headers or {})
        try:
            self._connection.request(method, path, body or None, dict(headers or {}), encode_chunked=chunked)
            response = self._connection.getresponse()
            # One that says "Connection: close" has the socket to itself, also where it breaks off.
            with response:
                answer = Answer(response.status, cast("Mapping[str, str]", response.headers), response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Gone(f"{method} {path}: {error!r}") from error
        if response.will_close:
            self.close()
        return answer

    def registry(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request to `/v2/<path>`."""
        given = {"Authorization": f"Basic {self.token()}"} | dict(headers or {})
        return self.send(method, path if path.startswith("/") else f"/v2/{path}", body, given)

    def api(self, operation: str, **members: Any) -> Answer:
        """A request to the JSON API. Its signature is not looked at: the key names the account."""
        scope = f"{self._account}/20260101/{REGION}/ecr/aws4_request"
        headers = {
            "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        return self.send("POST", "/", json.dumps(members).encode(), headers)

    def token(self) -> str:
        if not self._token:
            answer = self.api("GetAuthorizationToken")
            assert answer.status == 200, answer
            self._token = answer.json()["authorizationData"][0]["authorizationToken"]
        return self._token

    def use_token(self, token: str) -> None:
        """Log in with a token that somebody was given already."""
        self._token = token

    def upload_part(self, place: Mapping[str, str], first: int, data: bytes) -> Answer:
        """UploadLayerPart. `place`: repository and upload."""
        last = first + len(data) - 1
        blob = base64.b64encode(data).decode()
        return self.api("UploadLayerPart", **place, partFirstByte=first, partLastByte=last, layerPartBlob=blob)

    def push_layer(self, repository: str, data: bytes) -> Answer:
        return self.registry("POST", f"{repository}/blobs/uploads/?digest={digest_of(data)}", data)

    def push_manifest(self, repository: str, reference: str, manifest: bytes) -> Answer:
        return self.registry("PUT", f"{repository}/manifests/{reference}", manifest, {"Content-Type": OCI_MANIFEST})
