"""Layers by signed URL, for GetDownloadUrlForLayer and for redirected pulls: no credentials, ranges allowed."""

from __future__ import annotations

from ecrsim.blobs.base import BlobNotFound, BlobStore, StoreUnwritable
from ecrsim.core.digest import is_oci_digest
from ecrsim.core.errors import KmsException
from ecrsim.core.numbers import whole
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.core.web import RETRY_LATER, Answer, Request
from ecrsim.dataplane.blobs import serve_blob, wanted_part
from ecrsim.ecr.atrest.service import blobs_of, open_keys_now
from ecrsim.ecr.layers import downloads
from ecrsim.ecr.layers.service import recorded_size
from ecrsim.ecr.repositories.service import find_repository_by_id

_DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Request has expired or its signature does not match</Message></Error>"""


def download(runtime: Runtime, request: Request) -> Answer:
    """403 as the bucket answers (inferred) unless the URL is unaltered and in time."""
    found = _download(runtime, request)
    if request.method != "HEAD":
        return found
    if not isinstance(found.body, bytes):
        found.body.close()
    return Answer(found.status, found.headers)


def _download(runtime: Runtime, request: Request) -> Answer:
    digest = request.path.removeprefix(downloads.PREFIX)
    repository, expires = request.parameter("repository") or "", request.parameter("expires") or ""
    signature = request.parameter("signature") or ""
    secret, now = runtime.secret("download"), runtime.clock.now()
    if request.method not in ("GET", "HEAD") or not is_oci_digest(digest):
        return _denied()
    if not downloads.verify(secret, digest, repository, expires, signature, now):
        return _denied()
    blobs = runtime.blobs if runtime.keyed_blobs is None else _opened(runtime, whole(repository))
    if blobs is None:
        return _denied()
    try:
        return _serve(runtime, blobs, request, digest)
    except StoreUnwritable as error:
        text = f"The blob store cannot be used: {error}".encode()
        headers = [("Content-Type", "text/plain"), RETRY_LATER, ("Content-Length", str(len(text)))]
        return Answer(503, headers, text)


def _serve(runtime: Runtime, blobs: BlobStore, request: Request, digest: str) -> Answer:
    size = blobs.stat(digest)
    with runtime.database.read() as connection:
        known = recorded_size(connection, digest)
    # Without a row the layer was taken from its repository since; a URL that was given out is good until the blob goes.
    if size is None or known not in (None, size):
        return _denied()
    range_header = request.header("range")
    try:
        file = blobs.open(digest, *wanted_part(range_header, size))
        return serve_blob(file, digest, size, range_header, request.header("if-none-match"))
    except (BlobNotFound, OSError):
        return _denied()


def _opened(runtime: Runtime, repository_id: int | None) -> BlobStore | None:
    """The blobs of an encrypted repository; None where it is gone, or its key cannot be used."""
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
        with call.reading():
            repository = None if repository_id is None else find_repository_by_id(call, repository_id)
        if repository is None:
            return None
        try:
            open_keys_now(call, repository)
        except KmsException:
            return None
        return blobs_of(call, repository)


def _denied() -> Answer:
    return Answer(403, [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))], _DENIED)
