"""Manifests: HEAD, GET, PUT, DELETE. Distribution specification: end-3, end-7, end-9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ecrsim.core.digest import is_oci_digest
from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.misses import ComingImage, Unfetched, Wanted, ask_first
from ecrsim.core.web import Answer
from ecrsim.dataplane.errors import RegistryError, digest_invalid, inaccessible, manifest_unknown, not_fetched
from ecrsim.dataplane.repository_request import RepositoryRequest
from ecrsim.ecr.images import lookup, pushing, rules
from ecrsim.ecr.images.deletion import delete_by_id, delete_tag
from ecrsim.ecr.images.pulls import record_pull
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr_public import limits
from ecrsim.records import tally
from ecrsim.records.trail import record_call

#: ECR's limit of a manifest, and the size that the specification asks registries to take.
MAX_MANIFEST = 4 * 1024 * 1024
_MAX_TAGS = 100

Members = dict[str, Any]


def get_manifest(asked: RepositoryRequest) -> Answer:
    """By tag or digest: the bytes as they came. A GET counts as a pull, a HEAD does not."""
    reference = _reference(asked)
    pulled = lookup.pull(asked.call, asked.registry, asked.repository_name, reference)
    if pulled is not None and pulled.image.image_status != "ACTIVE":
        raise inaccessible()
    if pulled is not None:
        check(asked.call, pulled.repository, "pull")
    wanted = Wanted(asked.registry, asked.repository_name, "image", reference, streams=True)
    fetched = ask_first(asked.call, wanted, is_here=pulled is not None)
    is_get = asked.request.method == "GET"
    if pulled is not None:
        image, manifest = pulled.image, pulled.manifest
        if is_get and asked.registry.kind == "public":
            _count_pull(asked, len(manifest))
        if is_get:
            record_pull(asked.call, asked.registry, image)
            tally.note_pull(asked.call, asked.registry, asked.repository_name, len(manifest))
        return _given(asked, image.image_digest, image.image_manifest_media_type, manifest)
    if isinstance(fetched, ComingImage):
        if is_get:
            fetched.pulled()
        return _given(asked, fetched.image_digest, fetched.media_type, fetched.manifest)
    if isinstance(fetched, Unfetched):
        raise not_fetched(fetched)
    asked.repository()
    raise manifest_unknown()


def _given(asked: RepositoryRequest, image_digest: str, media_type: str, manifest: bytes) -> Answer:
    headers = [
        ("Content-Type", media_type),
        ("Content-Length", str(len(manifest))),
        ("ETag", f'"{image_digest}"'),
    ]
    if asked.profile.digest_on_get or asked.request.method != "GET":
        headers.append(("Docker-Content-Digest", image_digest))
    return Answer(200, headers, manifest)


def _count_pull(asked: RepositoryRequest, size: int) -> None:
    """ThrottlingException. An image that an index lists is a part of the index's pull."""
    call, reference = asked.call, asked.reference
    if ":" not in reference or not lookup.indexes_listing(call, asked.repository(), reference):
        limits.check_pull(call)
    limits.check_data(call)
    limits.count_data(call, size)


def _reference(asked: RepositoryRequest) -> str:
    """A digest or a tag. What can be neither is unknown; a digest that is malformed is invalid."""
    reference = asked.reference
    if ":" in reference:
        if not is_oci_digest(reference):
            raise digest_invalid(reference)
    elif rules.tag_fault(reference) is not None:
        if asked.request.method == "HEAD" and asked.profile.malformed_tag_status != 404:
            raise RegistryError(asked.profile.malformed_tag_status, "TAG_INVALID", f"'{reference[:150]}' is not a tag")
        raise manifest_unknown()
    return reference


def put_manifest(asked: RepositoryRequest) -> Answer:
    """By tag, or by digest with any number of `?tag=`."""
    reference = asked.reference
    if ":" in reference:
        expected, tags = reference, asked.request.query.get("tag", [])
        if not is_oci_digest(reference):
            raise digest_invalid(reference)
        if len(tags) > _MAX_TAGS:
            raise RegistryError(414, "UNSUPPORTED", f"A manifest can be pushed with {_MAX_TAGS} tags at most")
    else:
        expected, tags = None, [reference]
    for tag in tags:
        fault = rules.tag_fault(tag)
        if fault is not None:
            raise InvalidParameterException(member="imageTag", constraint=fault)
    body = asked.request.read(MAX_MANIFEST)
    if body is None:
        raise RegistryError(413, "SIZE_INVALID", f"A manifest can have {MAX_MANIFEST} bytes at most")
    pushing.learn_layers(asked.call, body, asked.request.content_type)
    with asked.call.writing(asked.scope):
        pushed = pushing.put_image(
            asked.call,
            asked.repository_to_push(),
            body,
            asked.request.content_type,
            tags,
            expected,
            push_rules=asked.profile.push_rules,
        )
        _on_trail(asked, "PutImage", *_put_image(body.decode(), pushed, tags))
    headers = [("Docker-Content-Digest", pushed.image_digest), ("Content-Length", "0")]
    if asked.profile.location_of_manifest:
        headers.append(("Location", asked.url(f"manifests/{pushed.image_digest}")))
    if pushed.subject is not None:
        headers.append(("OCI-Subject", pushed.subject))
    if expected is not None and tags:
        headers.append(("OCI-Tag", ", ".join(tags)))
    return Answer(201, headers)


def _put_image(manifest: str, pushed: pushing.Pushed, tags: Sequence[str]) -> tuple[Members, Members]:
    """The request and the response that PutImage would have had: CloudTrail knows no other word for a push."""
    image_id = {"imageDigest": pushed.image_digest} | ({"imageTag": tags[0]} if tags else {})
    content = {"imageManifest": manifest, "imageManifestMediaType": pushed.media_type}
    return content | ({"imageTag": tags[0]} if tags else {}), {"image": {"imageId": image_id, **content}}


def _on_trail(asked: RepositoryRequest, operation: str, request: Members, response: Members) -> None:
    place = {"registryId": asked.registry.account, "repositoryName": asked.repository_name}
    if "image" in response:
        response = {"image": place | response["image"]}
    record_call(
        asked.call,
        operation,
        asked.registry,
        asked.repository_name,
        orjson.dumps(place | request),
        orjson.dumps(response),
        asked.request.header("user-agent"),
    )


def delete_manifest(asked: RepositoryRequest) -> Answer:
    """By digest: the image and its tags. By tag: the tag, and the image with its last one, as BatchDeleteImage (I).

    An image that an index lists stays. Its last tag goes by the specification, and stays by ECR's rule.
    """
    reference = _reference(asked)
    repository = asked.repository()
    image_tag = None if ":" in reference else reference
    with asked.call.writing(asked.scope):
        find = lookup.image_by_tag if image_tag else lookup.image_by_digest
        image = find(asked.call, repository, reference)
        if image is None:
            raise manifest_unknown()
        check(asked.call, repository, "pull")
        indexes = lookup.indexes_listing(asked.call, repository, image.image_digest)
        if image_tag and indexes and asked.profile.untag_listed:
            delete_tag(asked.call, repository, image, image_tag)
        elif failure := delete_by_id(asked.call, repository, image, image_tag, indexes).failure:
            raise RegistryError(405, "UNSUPPORTED", failure.reason)
        image_id = {"imageTag": image_tag} if image_tag else {"imageDigest": reference}
        _on_trail(asked, "BatchDeleteImage", {"imageIds": [image_id]}, {"failures": []})
    return Answer(202, [("Content-Length", "0")])
