"""Blobs: HEAD, GET with ranges, DELETE. Distribution specification: end-2, end-10."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from ecrsim.blobs.base import CHUNK, BlobNotFound, StreamedBlob
from ecrsim.core.errors import LayerInaccessibleException
from ecrsim.core.misses import ComingLayer, Unfetched, Wanted, ask_first
from ecrsim.core.numbers import whole, whole_or_more
from ecrsim.core.streamed import StreamedPart
from ecrsim.core.web import Answer, FilePart, Headers, Pieces
from ecrsim.dataplane.errors import RegistryError, blob_unknown, not_fetched
from ecrsim.dataplane.repository_request import RepositoryRequest
from ecrsim.ecr.atrest.service import blobs_of, stored_layer_size
from ecrsim.ecr.images.layers import layer_to_pull, layer_use
from ecrsim.ecr.layers import downloads, service
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr_public import limits
from ecrsim.records import tally

log = logging.getLogger("ecrsim.blobs")

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


def head_blob(asked: RepositoryRequest) -> Answer:
    """Whether a pusher may leave the layer out: it is then kept for the push.

    One of archived images alone is there as well, though it cannot be pulled: docker asks after each upload, and could
    otherwise not push an archived image again, which restores it. One of a cache that is on its way, or whose bytes are
    lost, is there for who pulls; for others the upstream is not asked: they are a pusher's.
    """
    repository = asked.repository()
    digest = asked.digest()
    size = service.promise_layer(asked.call, repository, digest)
    if size is None:
        size = _coming(asked, digest, is_here=None).size
    return Answer(200, _headers(digest, size))


def _size(asked: RepositoryRequest, repository: Repository, digest: str) -> int | None:
    """None where the layer, or what its bytes should be, is not there."""
    found = layer_to_pull(asked.call, repository, digest)
    if found is None:
        return None
    size, is_archived = found
    if is_archived:
        raise LayerInaccessibleException(
            layer_digest=digest, repository_name=repository.repository_name, registry_id=repository.registry_id
        )
    if stored_layer_size(asked.call, repository, digest) != size:
        log.error("blob %s is missing or has not its %d bytes: ecrsim fsck says what it means", digest, size)
        return None
    return size


def get_blob(asked: RepositoryRequest) -> Answer:
    repository = asked.repository()
    digest = asked.digest()
    check(asked.call, repository, "pull")
    size = _size(asked, repository, digest)
    if size is None:
        coming = _coming(asked, digest, is_here=False)
        answer = _answer(digest, coming.size, asked.request.header("range"), coming.body)
        _count(asked, answer)
        return answer
    if repository.kind == "public":
        limits.check_data(asked.call)
    blobs = blobs_of(asked.call, repository)
    asked.call.release()
    runtime = asked.call.runtime
    if runtime.config.blob_redirect:
        lifetime = runtime.config.download_url_lifetime
        if repository.kind == "public":
            # Whoever is led to the layer takes it: the URL may be used by anybody, who is not asked who he is.
            limits.count_data(asked.call, size)
        _count_bytes(asked, size)
        if (url := service.store_url(runtime, digest)) is not None:
            return Answer(307, [("Location", url), ("Content-Length", "0")])
        path = downloads.signed_path(runtime.secret("download"), digest, repository.id, asked.call.now, lifetime)
        return Answer(307, [("Location", asked.request.origin + path), ("Content-Length", "0")])
    range_header = asked.request.header("range")
    try:
        file = blobs.open(digest, *wanted_part(range_header, size))
        answer = serve_blob(file, digest, size, range_header, _match(asked))
    except (BlobNotFound, OSError) as error:
        log.error("blob %s cannot be read: %s", digest, error)  # noqa: TRY400 - what it means is in the sentence
        raise _unknown(asked, digest) from None
    _count(asked, answer)
    if repository.kind == "public":
        limits.count_data(asked.call, whole(dict(answer.headers).get("Content-Length", "0")) or 0)
    return answer


def _count(asked: RepositoryRequest, answer: Answer) -> None:
    if answer.status in (200, 206):
        _count_bytes(asked, whole(dict(answer.headers)["Content-Length"]) or 0)


def _count_bytes(asked: RepositoryRequest, size: int) -> None:
    """For the bill, in a batch: all that is about to be sent, whether the client takes it or not."""
    tally.note_pull(asked.call, asked.registry, asked.repository_name, size)


def _coming(asked: RepositoryRequest, digest: str, *, is_here: bool | None) -> ComingLayer:
    """A blob that is not here and comes from an upstream. RegistryError."""
    wanted = Wanted(asked.registry, asked.repository_name, "layer", digest, streams=True)
    fetched = ask_first(asked.call, wanted, is_here=is_here)
    if isinstance(fetched, ComingLayer):
        return fetched
    if isinstance(fetched, Unfetched) and fetched.kind != "missing":
        raise not_fetched(fetched)
    raise _unknown(asked, digest)


def _match(asked: RepositoryRequest) -> str | None:
    return asked.request.header("if-none-match")


def _unknown(asked: RepositoryRequest, digest: str) -> RegistryError:
    return blob_unknown(digest, asked.repository_name, asked.registry_name)


def _headers(digest: str, size: int) -> Headers:
    return [
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(size)),
        ("Docker-Content-Digest", digest),
        ("ETag", f'"{digest}"'),
        ("Accept-Ranges", "bytes"),
    ]


def serve_blob(file: BinaryIO, digest: str, size: int, range_header: str | None, none_match: str | None) -> Answer:
    """The bytes of an open blob, or the range that was asked for (RFC 9110, one range)."""
    if none_match is not None and f'"{digest}"' in none_match:
        file.close()
        return Answer(304, [("ETag", f'"{digest}"')])
    part = _streamed if isinstance(file, StreamedBlob) else FilePart
    answer = _answer(digest, size, range_header, partial(part, file))
    if answer.status == 416:
        file.close()
    return answer


def _streamed(file: BinaryIO, first: int, length: int) -> bytes | Pieces:
    """What one read gives is an answer without further ado."""
    part = StreamedPart(file, first, length)
    if length > CHUNK:
        return part
    with contextlib.closing(part):
        return b"".join(part)


def _answer(digest: str, size: int, range_header: str | None, part: Callable[[int, int], bytes | Pieces]) -> Answer:
    """All of it, or the range that was asked for; `part(first, length)` gives the bytes."""
    span = _span(range_header, size)
    if span is None:
        return Answer(200, _headers(digest, size), part(0, size))
    first, last = span
    if first > last:
        body = b'{"errors":[{"code":"RANGE_INVALID","message":"the range cannot be satisfied"}]}'
        return Answer(
            416,
            [
                ("Content-Type", "application/json"),
                ("Content-Range", f"bytes */{size}"),
                ("Content-Length", str(len(body))),
            ],
            body,
        )
    headers = _headers(digest, last - first + 1)
    headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    return Answer(206, headers, part(first, last - first + 1))


def wanted_part(header: str | None, size: int) -> tuple[int, int | None]:
    """(first byte, length) that a store is to be asked for; (0, None) for all of it."""
    first, last = _span(header, size) or (0, size - 1)
    return (first, last - first + 1) if (first or last != size - 1) and first <= last else (0, None)


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte; first > last when unsatisfiable; None for no range, several, or another unit."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    first, last = whole_or_more(match[1], size), whole_or_more(match[2], size)
    if first is None:
        length = min(last or 0, size)
        return (size - length, size - 1) if length else (1, 0)
    return (first, size - 1 if last is None else min(last, size - 1)) if first < size else (1, 0)


def delete_blob(asked: RepositoryRequest) -> Answer:
    """Only a layer that no image uses goes; ECR, strictly, has no such route."""
    repository = asked.repository()
    digest = asked.digest()
    if not asked.profile.delete_blobs:
        raise RegistryError(405, "UNSUPPORTED", "The operation is unsupported.")
    with asked.call.writing(asked.scope):
        if service.layer_size(asked.call, repository, digest) is None:
            raise _unknown(asked, digest)
        if layer_use(asked.call, repository, digest) is not None:
            raise RegistryError(405, "UNSUPPORTED", "The layer is used by an image of the repository.")
        service.remove_layer(asked.call, repository, digest)
    return Answer(202, [("Content-Length", "0")])
