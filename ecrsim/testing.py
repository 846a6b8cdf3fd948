"""For tests: boto3 clients that reach an ecrsim, with or without a socket, and small images to push."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ecrsim.core.neighbours import is_installed

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def client_over_socket(service: str, endpoint_url: str, *, region: str, account: str) -> Any:
    """A boto3 client whose access key is the account's number. ImportError, with what to do, without boto3."""
    if not is_installed():
        raise ImportError('clients are made by boto3, which is not installed: pip install "ecrsim[boto]"')
    # 100 ms and 19 MB that tests do without which make no client.
    import boto3
    from botocore.config import Config as BotoConfig
    from botocore.session import Session

    session = Session()
    # Reading the model is six sevenths of what a client takes, and it is the same for all of them.
    session.register_component("data_loader", _loader())
    session.user_agent_extra = f"Botocore/{session.user_agent_version}"
    session.user_agent_name, session.user_agent_version = "Boto3", boto3.__version__
    session.set_credentials(account, "ecrsim")
    # Tests want the first answer, not the fifth.
    once = BotoConfig(retries={"total_max_attempts": 1})
    return session.create_client(service, region_name=region, endpoint_url=endpoint_url, config=once)


@cache
def _loader() -> Any:
    from botocore.loaders import create_loader  # 100 ms and 19 MB that tests do without which make no client

    return create_loader()


def client_without_socket(
    service: str, application: Application, endpoint_url: str, *, region: str, account: str
) -> Any:
    """The same client, calling the WSGI application in this process instead of sending."""
    client = client_over_socket(service, endpoint_url, region=region, account=account)
    from botocore.awsrequest import AWSResponse  # 100 ms and 19 MB that tests do without which make no client

    def send(request: Any, **_: Any) -> Any:
        body = request.body or b""
        answer = call_application(
            application, request.method, request.url, dict(request.headers.items()), _to_bytes(body)
        )
        return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.body))

    client.meta.events.register(f"before-send.{service}", send)
    return client


def _to_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


class _Raw(io.BytesIO):
    """The raw response that botocore reads from."""

    def stream(self, amount: int = 1 << 16, **_: Any) -> Iterable[bytes]:
        while piece := self.read(amount):
            yield piece


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call_application(
    application: Application,
    method: str,
    url: str,
    headers: dict[str, Any] | None = None,
    body: bytes = b"",
    *,
    peer: str = "127.0.0.1",
) -> Response:
    """One request to a WSGI application, from `peer`. Repeated headers of the answer are joined with commas."""
    parts = urlsplit(url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote(parts.path, "latin-1") or "/",
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc or "localhost",
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme or "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in (headers or {}).items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    started: list[Any] = []

    def start_response(status: str, response_headers: list[tuple[str, str]], _error: Any = None) -> None:
        started[:] = [status, response_headers]

    chunks = application(environ, start_response)
    try:
        content = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    joined: dict[str, str] = {}
    for name, value in started[1]:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return Response(int(started[0].split(" ", 1)[0]), joined, content)


class BuiltImage(NamedTuple):
    """An image as it is pushed: manifest bytes and the blobs that they name, by digest."""

    manifest: bytes
    media_type: str
    digest: str
    blobs: dict[str, bytes]


def build_image(
    *layers: bytes,
    media_type: str = "application/vnd.oci.image.manifest.v1+json",
    config: bytes = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
    config_media_type: str = "application/vnd.oci.image.config.v1+json",
    layer_media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip",
    **members: Any,
) -> BuiltImage:
    """A small image of these layers (one of a few bytes when none is given); `members` go into the manifest."""
    contents = layers or (b"a layer",)
    blobs = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in (config, *contents)}
    digests = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (config, *contents)]
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_media_type, "digest": digests[0], "size": len(config)},
        "layers": [
            {"mediaType": layer_media_type, "digest": digest, "size": len(data)}
            for digest, data in zip(digests[1:], contents, strict=True)
        ],
        **members,
    }
    manifest = json.dumps(document).encode()
    return BuiltImage(manifest, media_type, f"sha256:{hashlib.sha256(manifest).hexdigest()}", blobs)


#: Bytes of an upload's part: more than ECR's least, less than its most.
_PART = 8 * 1024 * 1024


def push_image(client: Any, repository: str, image: BuiltImage, *tags: str) -> None:
    """Push it through the API, to a repository that is there; layers that it has already are left alone.

    Without tags the image is untagged. Errors are botocore's ClientError.
    """
    place = {"repositoryName": repository}
    for digest, content in image.blobs.items():
        known = client.batch_check_layer_availability(layerDigests=[digest], **place)["layers"]
        if known and known[0]["layerAvailability"] == "AVAILABLE":
            continue
        upload = place | {"uploadId": client.initiate_layer_upload(**place)["uploadId"]}
        for first in range(0, len(content), _PART):
            part = content[first : first + _PART]
            client.upload_layer_part(
                partFirstByte=first, partLastByte=first + len(part) - 1, layerPartBlob=part, **upload
            )
        client.complete_layer_upload(layerDigests=[digest], **upload)
    manifest = {"imageManifest": image.manifest.decode(), "imageManifestMediaType": image.media_type, **place}
    for tag in tags or (None,):
        client.put_image(**manifest, **({} if tag is None else {"imageTag": tag}))
