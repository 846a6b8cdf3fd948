"""Upload sessions: start, mount, chunks, finish, status, cancel.

Distribution specification: end-4 to end-6, end-11, end-13, end-14. A session's state is the file that its bytes are in:
how far it goes is its length. Its URL never changes.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from ecrsim.blobs.base import LongBody, OffsetMismatch, ShortBody, Sink, TooLarge, UploadBusy, UploadNotFound
from ecrsim.core.digest import algorithm_of, is_oci_digest
from ecrsim.core.errors import (
    AccessDeniedException,
    EmptyUploadException,
    InvalidLayerException,
    LayerPartTooSmallException,
    LimitExceededException,
)
from ecrsim.core.numbers import whole
from ecrsim.core.web import Answer, RequestRefused, Steps
from ecrsim.dataplane.errors import RegistryError, digest_invalid
from ecrsim.dataplane.repository_request import BODY, RepositoryRequest
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.images.layers import layer_use
from ecrsim.ecr.layers import service
from ecrsim.ecr.registries.service import account_setting
from ecrsim.ecr.repositories.protection import check, may_share
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository

# `0-1023`; a prefix and a total are let pass, as lenient registries do.
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]+)-([0-9]+)(?:/.*)?")
_ALGORITHMS = ("sha256", "sha512")


def start_upload(asked: RepositoryRequest) -> Steps:
    """A session; or at once a layer, by mount or by a body that comes with its digest."""
    mount, digest = asked.request.parameter("mount"), asked.request.parameter("digest")
    if mount is not None:
        asked.call.runtime.blobs.learn([mount])
    # One transaction: a request that is refused leaves no repository that was made for it.
    with asked.call.writing(asked.scope):
        repository = asked.repository_to_push()
        if mount is not None and _mount(asked, repository, mount):
            return _created(asked, mount)
        _check_start(asked, digest)
        upload_id = service.initiate_upload(asked.call, repository)
    service.open_upload(asked.call, repository, upload_id)
    if digest is None:
        return _session(asked, 202, upload_id, 0)
    try:
        yield from _append(asked, repository, upload_id)
        return _finish(asked, repository, upload_id, digest)
    except BaseException:
        service.discard_upload(asked.call, upload_id)
        raise


def _check_start(asked: RepositoryRequest, digest: str | None) -> None:
    algorithm = asked.request.parameter("digest-algorithm")
    if algorithm is not None and algorithm not in _ALGORITHMS:
        raise RegistryError(400, "UNSUPPORTED", f"'{algorithm[:100]}' is not a digest algorithm of this registry")
    if digest is not None:
        asked.allow("UploadLayerPart")
        asked.allow("CompleteLayerUpload")
        if not is_oci_digest(digest):
            raise digest_invalid(digest)


def _mount(asked: RepositoryRequest, repository: Repository, digest: str) -> bool:
    """Never an error: a mount that cannot be is a session. Rules of ECR's BLOB_MOUNTING setting (documented).

    Inside the transaction of the request, so that nothing can be taken away between the look and the mount.
    """
    call, registry = asked.call, asked.registry
    if not is_oci_digest(digest) or account_setting(call, registry, "BLOB_MOUNTING") != "ENABLED":
        return False
    source_name = asked.request.parameter("from")
    if source_name is not None:
        name = source_name.removeprefix(asked.path_name.removesuffix(asked.repository_name))
        # Before anything is looked up: who may not read there learns nothing of what is there.
        asked._replace(repository_name=name).allow("GetDownloadUrlForLayer")
        source = find_repository(call, registry, name)
        sources = [] if source is None else [source]
    elif asked.profile.mount_anything:
        sources = service.repositories_with_layer(call, registry, digest)
    else:
        return False
    for source in sources:
        size = service.stored_size(call, source, digest)
        if size is None or not may_share(source, repository):
            continue
        use = layer_use(call, source, digest)
        # What cannot be pulled there cannot be mounted here (inferred, of archived images).
        if use.is_archived if use else not asked.profile.mount_anything:
            continue
        if source_name is None and not _may_read(asked, source):
            continue
        check(call, repository, "push")
        service.share_layers(call, source, repository, {digest: size})
        return True
    return False


def _may_read(asked: RepositoryRequest, source: Repository) -> bool:
    try:
        asked._replace(repository_name=source.repository_name).allow("GetDownloadUrlForLayer")
    except AccessDeniedException:
        return False
    return True


def append_to_upload(asked: RepositoryRequest) -> Steps:
    """A chunk with Content-Range, or a stream without."""
    repository = asked.repository()
    before = service.received(asked.call, repository, asked.reference)
    upload = service.get_upload(asked.call, repository, asked.reference)
    # Before the body: where a KMS has to be asked, all of this is done again.
    check(asked.call, repository, "push")
    if not asked.profile.lenient_content:
        service.check_part(asked.call, repository, upload, before)
    size = yield from _append(asked, repository, asked.reference)
    if not asked.profile.lenient_content:
        service.record_part(asked.call, asked.reference, size - before)
    return _session(asked, asked.profile.patch_status, asked.reference, size)


def finish_upload(asked: RepositoryRequest) -> Steps:
    """The last bytes, perhaps, and the digest of them all."""
    repository = asked.repository()
    upload = service.get_upload(asked.call, repository, asked.reference)
    digest = asked.request.parameter("digest")
    if digest is None or not is_oci_digest(digest):
        raise digest_invalid(digest or "")
    check(asked.call, repository, "push")
    if asked.request.has_body:
        asked.allow("UploadLayerPart")
        before = service.received(asked.call, repository, asked.reference)
        if not asked.profile.lenient_content:
            service.check_part(asked.call, repository, upload, before)
        size = yield from _append(asked, repository, asked.reference)
        if not asked.profile.lenient_content:
            service.record_part(asked.call, asked.reference, size - before)
    return _finish(asked, repository, asked.reference, digest)


def _append(asked: RepositoryRequest, repository: Repository, upload_id: str) -> Generator[Sink, None, int]:
    """Let the body be written to the session. Returns the bytes that are there now."""
    blobs = blobs_of(asked.call, repository)
    first, length = _content_range(asked)
    limit = service.most_bytes(asked.call, repository)
    asked.call.release()
    try:
        with blobs.receive(upload_id, offset=first, limit=limit, length=length) as sink:
            asked.call.lookups[BODY] = True
            yield sink
            return sink.close()
    except OffsetMismatch as error:
        raise RegistryError(
            416,
            "BLOB_UPLOAD_INVALID",
            f"First byte of the layer part is {first} instead of {error.expected}",  # R
            [("Location", asked.url(f"blobs/uploads/{upload_id}")), ("Range", _range(error.expected))],
        ) from None
    except UploadBusy:
        raise RegistryError(416, "BLOB_UPLOAD_INVALID", "Another request is writing to this upload.") from None
    except UploadNotFound:
        raise service.upload_not_found(repository, upload_id) from None
    except TooLarge:
        raise LimitExceededException(f"A layer can have {limit} bytes at most") from None  # I
    except LongBody as error:
        raise RegistryError(
            400, "SIZE_INVALID", f"The body goes on after the {error.length} bytes of its range"
        ) from None
    except ShortBody as error:
        # The client is gone; what came stays, so that it can go on from there.
        raise RegistryError(400, "SIZE_INVALID", f"The body ended after {error.received} of {length} bytes") from None
    except RequestRefused as error:
        raise RegistryError(error.status, "SIZE_INVALID", error.message) from None


def _content_range(asked: RepositoryRequest) -> tuple[int | None, int | None]:
    """(first byte, length) of the body; None where the request does not say."""
    header, length = asked.request.header("content-range"), asked.request.content_length
    if header is None:
        return None, length
    match = _CONTENT_RANGE.fullmatch(header.strip())
    first, last = (whole(match[1]), whole(match[2])) if match else (None, None)
    if first is None or last is None:
        raise RegistryError(416, "BLOB_UPLOAD_INVALID", f"'{header[:100]}' is not a content range")
    if last < first or (length is not None and last - first + 1 != length):
        raise RegistryError(400, "SIZE_INVALID", "Content-Range and Content-Length do not agree")
    return first, last - first + 1


def _finish(asked: RepositoryRequest, repository: Repository, upload_id: str, digest: str) -> Answer:
    asked.allow("CompleteLayerUpload")
    call = asked.call
    size = service.received(call, repository, upload_id)
    if size == 0 and not asked.profile.lenient_content:
        raise EmptyUploadException(
            upload_id=upload_id, repository_name=repository.repository_name, registry_id=repository.registry_id
        )
    if not asked.profile.lenient_content and service.get_upload(call, repository, upload_id).small_part_inside:
        raise LayerPartTooSmallException
    call.release()
    try:
        computed, size = blobs_of(call, repository).digest_upload(upload_id, algorithm_of(digest))
    except UploadNotFound:
        raise service.upload_not_found(repository, upload_id) from None
    if computed != digest:
        service.discard_upload(call, upload_id)
        raise InvalidLayerException
    service.complete_upload(call, repository, upload_id, digest, size)
    return _created(asked, digest)


def upload_status(asked: RepositoryRequest) -> Answer:
    repository = asked.repository()
    service.get_upload(asked.call, repository, asked.reference)
    return _session(asked, 204, asked.reference, service.received(asked.call, repository, asked.reference))


def cancel_upload(asked: RepositoryRequest) -> Answer:
    repository = asked.repository()
    service.get_upload(asked.call, repository, asked.reference)
    service.discard_upload(asked.call, asked.reference)
    return Answer(204, [])


def _range(size: int) -> str:
    return f"0-{max(size - 1, 0)}"


def _session(asked: RepositoryRequest, status: int, upload_id: str, size: int) -> Answer:
    headers = [
        ("Location", asked.url(f"blobs/uploads/{upload_id}")),
        ("Range", _range(size)),
        ("Docker-Upload-UUID", upload_id),
    ]
    if status != 204:
        headers.append(("Content-Length", "0"))
    return Answer(status, headers)


def _created(asked: RepositoryRequest, digest: str) -> Answer:
    return Answer(
        201,
        [("Location", asked.url(f"blobs/{digest}")), ("Docker-Content-Digest", digest), ("Content-Length", "0")],
    )
