"""Layers by signed URL, for GetDownloadUrlForLayer and for redirected pulls: no credentials, ranges allowed."""

from __future__ import annotations

from functools import partial
from xml.sax.saxutils import escape

from ecrsim.blobs.base import BlobNotFound, BlobStore
from ecrsim.core.digest import is_oci_digest
from ecrsim.core.errors import KmsException, ServiceUnavailableException
from ecrsim.core.misses import Fetched, persistently
from ecrsim.core.numbers import whole
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.core.web import RETRY_LATER, Answer, Request
from ecrsim.dataplane.blobs import serve_blob, wanted_part
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.layers import downloads
from ecrsim.ecr.layers.service import recorded_size
from ecrsim.ecr.repositories.protection import check
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
    try:
        return persistently(request.fetched, partial(_serve, runtime, request, digest, whole(repository)))
    except KmsException as error:
        return _locked(error)
    except ServiceUnavailableException as error:
        return _unavailable(error.message)


def _serve(runtime: Runtime, request: Request, digest: str, repository_id: int | None, fetched: Fetched) -> Answer:
    """KmsException, Miss, ServiceUnavailableException."""
    with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
        call.lookups["fetched"] = fetched
        blobs = _blobs(call, repository_id)
        known = recorded_size(call.connection, digest)
        call.release()
        size = None if blobs is None else blobs.stat(digest)
        # Without a row the layer was taken from its repository since; a URL is good until the blob goes.
        if blobs is None or size is None or known not in (None, size):
            return _denied()
        range_header = request.header("range")
        try:
            file = blobs.open(digest, *wanted_part(range_header, size))
            return serve_blob(file, digest, size, range_header, request.header("if-none-match"))
        except (BlobNotFound, OSError):
            return _denied()


def _blobs(call: Call, repository_id: int | None) -> BlobStore | None:
    """Where the layer is, if the key of its repository may be used. None where only the repository could open it."""
    repository = None if repository_id is None else find_repository_by_id(call, repository_id)
    if repository is None:
        return call.runtime.blobs if call.runtime.keyed_blobs is None else None
    check(call, repository, "pull")
    return blobs_of(call, repository)


def _unavailable(reason: str) -> Answer:
    text = reason.encode()
    return Answer(503, [("Content-Type", "text/plain"), RETRY_LATER, ("Content-Length", str(len(text)))], text)


def _locked(error: KmsException) -> Answer:
    """As S3 refuses an object whose key cannot be used (inferred: `KMS.` and KMS's own code)."""
    code = str(error.members.get("kmsError", ""))
    if code == "AccessDeniedException":
        return _denied()
    if code == "DependencyTimeoutException":
        return _unavailable(error.message)
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>KMS.{escape(code)}</Code><Message>{escape(error.message)}</Message></Error>""".encode()
    return Answer(400, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))], text)


def _denied() -> Answer:
    return Answer(403, [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))], _DENIED)
