"""PutImage, UpdateImageStorageClass, what gets, lists and deletes images, and the pull-time update exclusions."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core import paging
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.core.errors import (
    ImageStorageClassUpdateNotSupportedException,
    KmsException,
    LimitExceededException,
)
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.manifests import opened_annotations
from ecrsim.ecr.images import details, exclusions, fetching, listing, lookup, pushing, rules, storage
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.deletion import delete_by_id
from ecrsim.ecr.images.pulls import record_pull, write_pulls
from ecrsim.ecr.images.rules import IS_TAGGED
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.service import repository_to_push
from ecrsim.records import tally

ImageId = dict[str, str]

#: Characters of manifests that BatchGetImage answers with, those that are given once for each tag counted each time.
_MOST_BYTES = 64 * 1024 * 1024

#: What the service checks in its own voice where one image is named, and the model lacks. Recorded for DescribeImages
#: and DescribeImageScanFindings; inferred for UpdateImageStorageClass, StartImageScan and the statuses of replication
#: and signing.
_IMAGE_ID = {"ImageTag": rules.TAG_TEXT, "ImageDigest": ECR_DIGEST_TEXT}


def _learn_layers(call: Call, arguments: dict[str, Any]) -> None:
    manifest = arguments.get("image_manifest") or ""
    pushing.learn_layers(call, manifest.encode(), arguments.get("image_manifest_media_type"))


@operation(
    "PutImage",
    transaction="write",
    scope="repository",
    service_checks={"ImageTag": rules.TAG_TEXT},  # R
    asks_store=True,
    ahead=_learn_layers,
)
def put_image(
    call: Call,
    repository_name: str,
    image_manifest: str,
    registry_id: str | None = None,
    image_manifest_media_type: str | None = None,
    image_tag: str | None = None,
    image_digest: str | None = None,
) -> dict[str, Any]:
    """Store a manifest whose layers or images are there. The digest is that of the exact bytes.

    A template may make the repository (CREATE_ON_PUSH), together with the image or not at all.
    """
    registry = registry_of(call, registry_id)
    repository = repository_to_push(call, registry, repository_name)
    pushed = pushing.put_image(
        call,
        repository,
        image_manifest.encode(),
        image_manifest_media_type,
        tags=() if image_tag is None else (image_tag,),
        expected_digest=image_digest,
    )
    image = {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "imageId": {"imageDigest": pushed.image_digest, "imageTag": image_tag},
        "imageManifest": image_manifest,
        "imageManifestMediaType": pushed.media_type,
    }
    return {"image": image}


def _failure(image_id: ImageId, failure: rules.Failure) -> dict[str, Any]:
    return {"imageId": image_id, "failureCode": failure.code, "failureReason": failure.reason}


def _key_failure(call: Call, repository: Repository) -> rules.Failure | None:
    """Why no image of the repository can be read, where its key cannot be used. Miss."""
    try:
        check(call, repository, "pull")
    except KmsException as error:
        return rules.Failure("KmsError", error.message)
    return None


@operation("BatchGetImage", transaction="read")
def batch_get_image(
    call: Call,
    repository_name: str,
    image_ids: list[ImageId],
    registry_id: str | None = None,
    accepted_media_types: list[str] | None = None,
) -> dict[str, Any]:
    """Manifests; by digest one entry for each tag of the image. A success counts as a pull."""
    registry = registry_of(call, registry_id)
    repository = fetching.repository_of(call, registry, repository_name, image_ids)
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    failures = []
    size = 0
    locked = _key_failure(call, repository)
    for image_id in image_ids:
        image, failure = lookup.find_image(call, repository, image_id)
        if image is not None and image.image_status != "ACTIVE":
            failure = rules.INACCESSIBLE
        elif image is not None and locked is not None:
            failure = locked
        elif image is not None and not _is_accepted(image.image_manifest_media_type, accepted_media_types):
            failure = rules.NOT_FOUND
        if image is None or failure is not None:
            failures.append(_failure(image_id, fetching.why(call, registry, repository_name, image_id, failure)))
            continue
        record_pull(call, registry, image)
        content = lookup.manifest_of(call, image)
        tally.note_pull(call, registry, repository_name, len(content))
        manifest = content.decode()
        if "imageTag" in image_id:
            tags: list[str | None] = [image_id["imageTag"]]
        else:
            tags = [*lookup.tags_of(call, image)] or [None]
        size += len(manifest) * len(tags)
        if size > _MOST_BYTES:
            raise LimitExceededException(f"The manifests have more than {_MOST_BYTES} bytes together")  # I
        for tag in tags:
            found[image.image_digest, tag] = {
                "registryId": registry.account,
                "repositoryName": repository_name,
                "imageId": {"imageDigest": image.image_digest, "imageTag": tag},
                "imageManifest": manifest,
                "imageManifestMediaType": image.image_manifest_media_type,
            }
    return {"images": list(found.values()), "failures": failures}


def _is_accepted(media_type: str, accepted: list[str] | None) -> bool:
    """Nothing is converted here: an image whose type is not accepted is "not found"; an index is always given."""
    return accepted is None or media_type in accepted or media_type in manifests.INDEX_TYPES or "*/*" in accepted


@operation("BatchDeleteImage", transaction="write", scope="repository")
def batch_delete_image(
    call: Call, repository_name: str, image_ids: list[ImageId], registry_id: str | None = None
) -> dict[str, Any]:
    """By tag: the tag, and the image with its last one. By digest: the image and all its tags.

    Ids are resolved, and indexes that hold an image are found, against the state before the call: a request that names
    an index and its images deletes the index and refuses the images, and a second one takes them (recorded).
    """
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    found = [lookup.find_image(call, repository, image_id) for image_id in image_ids]
    indexes = {
        image.id: lookup.indexes_listing(call, repository, image.image_digest)
        for image, _ in found
        if image is not None
    }
    failures = []
    locked = _key_failure(call, repository)
    deleted: dict[tuple[str, str | None], ImageId] = {}
    for image_id, (image, unfound) in zip(image_ids, found, strict=True):
        if image is None or unfound is not None:
            failures.append(_failure(image_id, unfound or rules.NOT_FOUND))
            continue
        if locked is not None:
            failures.append(_failure(image_id, locked))
            continue
        deletion = delete_by_id(call, repository, image, image_id.get("imageTag"), indexes[image.id])
        if deletion.failure is not None:
            failures.append(_failure(image_id, deletion.failure))
        for tag in deletion.tags:
            deleted[image.image_digest, tag] = {"imageDigest": image.image_digest, "imageTag": tag}
        if deletion.is_gone and not deletion.tags:
            deleted[image.image_digest, None] = {"imageDigest": image.image_digest}
    return {"imageIds": list(deleted.values()), "failures": failures}


@operation("DescribeImages", transaction="read", service_checks=_IMAGE_ID)
def describe_images(
    call: Call,
    repository_name: str,
    registry_id: str | None = None,
    image_ids: list[ImageId] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    filter: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One detail per digest. Without ids only ACTIVE images, unless the filter says otherwise; with ids, any status."""
    if image_ids is not None:
        paging.refuse_with("imageIds", next_token, max_results)
    write_pulls(call)
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    wanted = filter or {}
    tagged = IS_TAGGED.get(wanted.get("tagStatus", "ANY"))
    if image_ids is not None:
        rows = details.named(call, repository, image_ids, wanted.get("imageStatus"), tagged)
        token = None
    else:
        status = wanted.get("imageStatus", "ACTIVE")
        request = ("DescribeImages", *registry, repository.id, status, tagged)
        limit = max_results or 100
        (after,) = paging.decode(request, next_token, [0])
        rows = listing.page_of_details(call, repository, status, tagged, after, limit + 1)
        rows, token = paging.page_of(request, rows, limit, lambda row: [row.id])
    return {"imageDetails": details.describe(call, repository, rows), "nextToken": token}


@operation("ListImages", transaction="read")
def list_images(
    call: Call,
    repository_name: str,
    registry_id: str | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    filter: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One entry for each tag, one for an untagged image; pages count entries."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    wanted = filter or {}
    status, tagged = wanted.get("imageStatus", "ACTIVE"), IS_TAGGED.get(wanted.get("tagStatus", "ANY"))
    request = ("ListImages", *registry, repository.id, status, tagged)
    limit = max_results or 100
    after = paging.decode(request, next_token, [0, 0])
    rows = listing.page_of_ids(call, repository, status, tagged, (after[0], after[1]), limit + 1)
    shown, token = paging.page_of(request, rows, limit, lambda row: [row[0], row[1]])
    entries = [{"imageDigest": digest, "imageTag": tag} for _, _, digest, tag in shown]
    return {"imageIds": entries, "nextToken": token}


@operation(
    "ListImageReferrers", transaction="read", action="BatchGetImage", service_checks={"ImageDigest": ECR_DIGEST_TEXT}
)  # I
def list_image_referrers(
    call: Call,
    repository_name: str,
    subject_id: ImageId,
    registry_id: str | None = None,
    filter: dict[str, Any] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """Artifacts whose manifest names the subject. An unknown subject has none and is no error (inferred)."""
    registry = registry_of(call, registry_id)
    subject = subject_id["imageDigest"]
    fetching.referrers(call, registry, repository_name, subject)
    repository = get_repository(call, registry, repository_name)
    wanted = filter or {}
    types, status = wanted.get("artifactTypes") or None, wanted.get("artifactStatus", "ACTIVE")
    request = ("ListImageReferrers", *registry, repository.id, subject, types, status)
    limit = max_results or 20
    (after,) = paging.decode(request, next_token, [0])
    rows, has_more = listing.page_of_referrers(call, repository, subject, types, status, after, limit)
    return {
        "referrers": [
            {
                "digest": row.image_digest,
                "mediaType": row.image_manifest_media_type,
                "size": row.manifest_size,
                "artifactType": row.artifact_type,
                "annotations": opened_annotations(call, row.annotations, row.image_digest),
                "artifactStatus": row.image_status,
            }
            for row in rows
        ],
        "nextToken": paging.encode(request, [rows[-1].id]) if has_more else None,
    }


@operation("UpdateImageStorageClass", transaction="write", scope="repository", service_checks=_IMAGE_ID)
def update_image_storage_class(
    call: Call, repository_name: str, image_id: ImageId, target_storage_class: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Archive the whole image at once, whatever tag names it, or begin to restore it."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    image = lookup.get_image(call, repository, image_id, "imageId")
    status = rules.storage_move(image.image_status, target_storage_class)
    if status is None:
        raise ImageStorageClassUpdateNotSupportedException(
            **lookup.place_of(repository, image_id),
            image_status=image.image_status,
            target_storage_class=target_storage_class,
        )
    if status == "ARCHIVED":
        indexes = storage.indexes_in_use(call, repository, image.image_digest)
        if indexes:
            raise ImageStorageClassUpdateNotSupportedException(rules.referenced_by(indexes).reason)  # I
        storage.archive(call, repository, image)
    else:
        storage.begin_restore(call, repository, image)
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "imageId": image_id,
        "imageStatus": status,
    }


@operation("RegisterPullTimeUpdateExclusion", transaction="write")
def register_pull_time_update_exclusion(call: Call, principal_arn: str) -> dict[str, Any]:
    """From now on pulls by this principal leave lastRecordedPullTime as it is."""
    exclusions.register(call, registry_of(call), principal_arn)
    return {"principalArn": principal_arn, "createdAt": call.now}


@operation("DeregisterPullTimeUpdateExclusion", transaction="write")
def deregister_pull_time_update_exclusion(call: Call, principal_arn: str) -> dict[str, Any]:
    """Its pulls count again."""
    exclusions.deregister(call, registry_of(call), principal_arn)
    return {"principalArn": principal_arn}


@operation("ListPullTimeUpdateExclusions", transaction="read")
def list_pull_time_update_exclusions(
    call: Call, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """ARNs as plain strings."""
    registry = registry_of(call)
    request = ("ListPullTimeUpdateExclusions", *registry)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [""])
    arns = exclusions.page_of_arns(call, registry, after, limit + 1)
    shown, token = paging.page_of(request, arns, limit, lambda arn: [arn])
    return {"pullTimeUpdateExclusions": shown, "nextToken": token}
