"""The layer operations: check, initiate, upload parts, complete, and a URL to download from.

UploadLayerPart and CompleteLayerUpload move bytes, so they open their own short transactions around the move.
"""

from __future__ import annotations

from typing import Any

from ecrsim.blobs.base import OffsetMismatch, UploadBusy, UploadNotFound
from ecrsim.contract.operations import operation
from ecrsim.core.digest import ECR_DIGEST_TEXT, algorithm_of, is_ecr_digest
from ecrsim.core.errors import (
    EmptyUploadException,
    InvalidLayerException,
    InvalidLayerPartException,
    KmsException,
    LayerAlreadyExistsException,
    LayerInaccessibleException,
    LayerPartTooSmallException,
    LayersNotFoundException,
)
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.images import fetching
from ecrsim.ecr.images.layers import layer_use
from ecrsim.ecr.layers import downloads, rules, service
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.service import repository_to_push
from ecrsim.records import tally

#: The part size that InitiateLayerUpload advises (recorded), in bytes.
PART_SIZE = 10_485_760


@operation("BatchCheckLayerAvailability", transaction="own", runs="loop", asks_store=True)
def batch_check_layer_availability(
    call: Call, repository_name: str, layer_digests: list[str], registry_id: str | None = None
) -> dict[str, Any]:
    """A layer that is not there is an answer, not a failure; failures are for digests that are none."""
    call.runtime.blobs.learn(layer_digests)
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    found, failures = [], []
    for digest in layer_digests:
        if not digest:
            failures.append(
                {
                    "layerDigest": digest,
                    "failureCode": "MissingLayerDigest",
                    "failureReason": "Invalid request parameters: layer digest cannot be null",  # I
                }
            )
        elif not is_ecr_digest(digest):
            failures.append(
                {
                    "layerDigest": digest,
                    "failureCode": "InvalidLayerDigest",
                    "failureReason": "Invalid request parameters: layer digest should satisfy the regex "  # I
                    f"'{ECR_DIGEST_TEXT}'",
                }
            )
        else:
            found.append(_availability(call, repository, digest))
    return {"layers": found, "failures": failures}


def _availability(call: Call, repository: Repository, digest: str) -> dict[str, Any]:
    size = service.promise_layer(call, repository, digest)
    if size is None:
        return {"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}
    use = layer_use(call, repository, digest)
    return {
        "layerDigest": digest,
        "layerAvailability": "ARCHIVED" if use and use.is_archived else "AVAILABLE",  # I
        "layerSize": size,
        "mediaType": use.media_type if use else None,
    }


@operation("InitiateLayerUpload", transaction="own", runs="writer", asks_store=True)
def initiate_layer_upload(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """A session and the part size that ECR advises. A template may make the repository (CREATE_ON_PUSH)."""
    registry = registry_of(call, registry_id)
    with call.writing(registry.scope(repository_name)):
        repository = repository_to_push(call, registry, repository_name)
        upload_id = service.initiate_upload(call, repository)
    service.open_upload(call, repository, upload_id)
    return {"uploadId": upload_id, "partSize": PART_SIZE}


@operation("UploadLayerPart", transaction="own")
def upload_layer_part(
    call: Call,
    repository_name: str,
    upload_id: str,
    part_first_byte: int,
    part_last_byte: int,
    layer_part_blob: bytes,
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Parts are consecutive; one that is not leaves the upload as it was. Both byte numbers are inclusive."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    upload = service.get_upload(call, repository, upload_id)
    received = service.received(call, repository, upload_id)
    length = len(layer_part_blob)
    service.check_part(call, repository, upload, received + length)
    if not rules.part_follows(part_first_byte, part_last_byte, length, received):
        raise _invalid_part(repository, upload_id, received)
    blobs = blobs_of(call, repository)
    call.release()
    try:
        received = blobs.append_bytes(upload_id, layer_part_blob, part_first_byte)
    except OffsetMismatch as error:
        raise _invalid_part(repository, upload_id, error.expected) from None
    except (UploadBusy, UploadNotFound):
        raise service.upload_not_found(repository, upload_id) from None
    service.record_part(call, upload_id, length)
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "uploadId": upload_id,
        "lastByteReceived": received - 1,
    }


def _invalid_part(repository: Repository, upload_id: str, received: int) -> InvalidLayerPartException:
    return InvalidLayerPartException(
        registryId=repository.registry_id,
        repositoryName=repository.repository_name,
        uploadId=upload_id,
        lastValidByteReceived=received - 1 if received else None,
    )


@operation("CompleteLayerUpload", transaction="own")
def complete_layer_upload(
    call: Call, repository_name: str, upload_id: str, layer_digests: list[str], registry_id: str | None = None
) -> dict[str, Any]:
    """Empty, then too small a part, then the digest, then "already there": ECR's own client relies on that order."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    upload = service.get_upload(call, repository, upload_id)
    check(call, repository, "push")
    if service.received(call, repository, upload_id) == 0:
        raise EmptyUploadException(upload_id=upload_id, repository_name=repository_name, registry_id=registry.account)
    if upload.small_part_inside:
        raise LayerPartTooSmallException
    call.release()
    size, matching = _verify(call, repository, upload_id, layer_digests)
    if matching is None:
        service.discard_upload(call, upload_id)
        raise InvalidLayerException
    is_there = service.stored_size(call, repository, matching) is not None
    call.release()
    # A layer that is there is stored again all the same: its bytes may be damaged, and these are right.
    service.complete_upload(call, repository, upload_id, matching, size)
    if is_there:
        raise LayerAlreadyExistsException(
            layer_digest=matching, repository_name=repository_name, registry_id=registry.account
        )
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "uploadId": upload_id,
        "layerDigest": matching,
    }


def _verify(call: Call, repository: Repository, upload_id: str, layer_digests: list[str]) -> tuple[int, str | None]:
    """(size, the given digest that is right). sha512 is computed only when it was given."""
    blobs = blobs_of(call, repository)
    try:
        computed, size = blobs.digest_upload(upload_id)
        if computed in layer_digests:
            return size, computed
        if any(algorithm_of(digest) == "sha512" for digest in layer_digests):
            other, size = blobs.digest_upload(upload_id, "sha512")
            if other in layer_digests:
                return size, other
    except UploadNotFound:
        raise service.upload_not_found(repository, upload_id) from None
    return size, None


@operation("GetDownloadUrlForLayer", transaction="read", asks_store=True)
def get_download_url_for_layer(
    call: Call, repository_name: str, layer_digest: str, registry_id: str | None = None
) -> dict[str, Any]:
    """A plain URL, good for an hour, for a layer that an image uses."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    place = {"layer_digest": layer_digest, "repository_name": repository_name, "registry_id": registry.account}
    size = service.stored_size(call, repository, layer_digest)
    if size is None:
        fetching.layer(call, registry, repository_name, layer_digest)
        raise LayersNotFoundException(
            f"The layer with digest '{layer_digest}' does not exist within the repository "
            f"with name '{repository_name}' in the registry with id '{registry.account}'"  # R
        )
    use = layer_use(call, repository, layer_digest)
    if use is None or use.is_archived:
        raise LayerInaccessibleException(**place)
    # Whoever asks for the URL takes the layer: the URL itself may be used by anybody, and names no repository.
    tally.note_pull(call, registry, repository_name, size)
    runtime = call.runtime
    may_leave = runtime.config.blob_redirect and _is_open(call, repository)
    call.release()
    if may_leave and (url := service.store_url(runtime, layer_digest)) is not None:
        return {"downloadUrl": url, "layerDigest": layer_digest}
    path = downloads.signed_path(
        runtime.secret("download"), layer_digest, repository.id, call.now, runtime.config.download_url_lifetime
    )
    return {"downloadUrl": call.origin + path, "layerDigest": layer_digest}


def _is_open(call: Call, repository: Repository) -> bool:
    """Whether the store itself may give the layer out. ECR gives a URL in any case, and S3 refuses it. Miss."""
    try:
        check(call, repository, "pull")
    except KmsException:
        return False
    return True
