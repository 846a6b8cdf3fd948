"""Put-, Get- and DeleteLifecyclePolicy, Start- and GetLifecyclePolicyPreview."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core import paging
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import find_image
from ecrsim.ecr.images.rules import IS_TAGGED
from ecrsim.ecr.lifecycle import service
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import Repository


@operation("PutLifecyclePolicy", transaction="write")
def put_lifecycle_policy(
    call: Call, repository_name: str, lifecycle_policy_text: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Create or replace the policy. Nothing is evaluated now; the first run comes within a day."""
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    return _named(repository) | {"lifecyclePolicyText": service.put_policy(call, repository, lifecycle_policy_text)}


@operation("GetLifecyclePolicy", transaction="read")
def get_lifecycle_policy(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """The text as ECR rewrites it. Before the first run, lastEvaluatedAt is the epoch."""
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    return _policy(repository, service.get_policy(call, repository))


@operation("DeleteLifecyclePolicy", transaction="write")
def delete_lifecycle_policy(call: Call, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
    """Answers with what was deleted."""
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    return _policy(repository, service.delete_policy(call, repository))


@operation("StartLifecyclePolicyPreview", transaction="write", runs="long")
def start_lifecycle_policy_preview(
    call: Call, repository_name: str, lifecycle_policy_text: str | None = None, registry_id: str | None = None
) -> dict[str, Any]:
    """Of this policy, or of the repository's own. Takes a while, and changes nothing."""
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    text = service.start_preview(call, repository, lifecycle_policy_text)
    return _named(repository) | {"lifecyclePolicyText": text, "status": "IN_PROGRESS"}


@operation("GetLifecyclePolicyPreview", transaction="read")
def get_lifecycle_policy_preview(
    call: Call,
    repository_name: str,
    registry_id: str | None = None,
    image_ids: list[dict[str, str]] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    filter: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The images that the policy would act on, and how many there are in all, whatever page and filter."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    if image_ids is not None:
        paging.refuse_with("imageIds", next_token, max_results)
    preview = service.get_preview(call, repository)
    tagged = IS_TAGGED.get((filter or {}).get("tagStatus", "ANY"))
    request = ("GetLifecyclePolicyPreview", *registry, repository.id, preview.preview_id, tagged)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [-1])
    digests = None if image_ids is None else _digests(call, repository, image_ids)
    if digests is not None:
        limit = len(digests)
    rows = []
    if preview.status == "COMPLETE":
        rows = service.page_of_results(call, repository.id, after, limit + 1, tagged=tagged, digests=digests)
    shown, token = paging.page_of(request, rows, limit, lambda row: [row.position])
    return _named(repository) | {
        "lifecyclePolicyText": preview.lifecycle_policy_text,
        "status": preview.status,
        "previewResults": [_result(row) for row in shown],
        "summary": _summary(preview),
        "nextToken": token,
    }


def _named(repository: Repository) -> dict[str, Any]:
    return {"registryId": repository.registry_id, "repositoryName": repository.repository_name}


def _policy(repository: Repository, policy: service.StoredPolicy) -> dict[str, Any]:
    return _named(repository) | {
        "lifecyclePolicyText": policy.lifecycle_policy_text,
        "lastEvaluatedAt": policy.last_evaluated_at or 0,
    }


def _digests(call: Call, repository: Repository, image_ids: list[dict[str, str]]) -> list[str]:
    """Of the images that the ids name; an unknown one names none (inferred)."""
    digests = []
    for image_id in image_ids:
        image, failure = find_image(call, repository, image_id)
        if image is not None:
            digests.append(image.image_digest)
        elif failure is not None and "imageTag" not in image_id:
            # It may be gone since the preview, which still knows it.
            digests.append(image_id.get("imageDigest", ""))
    return digests


def _result(row: Any) -> dict[str, Any]:
    is_transition = row.action == "TRANSITION"
    return {
        "imageTags": row.image_tags or None,
        "imageDigest": row.image_digest,
        "imagePushedAt": row.image_pushed_at,
        "action": {"type": row.action, "targetStorageClass": "ARCHIVE" if is_transition else None},
        "appliedRulePriority": row.applied_rule_priority,
        "storageClass": row.storage_class,
    }


def _summary(preview: service.Preview) -> dict[str, Any]:
    expired, archived = preview.expiring_image_total_count, preview.transitioning_image_total_count
    # Known a little before it is COMPLETE, and still afterwards.
    if preview.status != "COMPLETE":
        expired = archived = 0
    transitions = [{"targetStorageClass": "ARCHIVE", "imageTotalCount": archived}] if archived else None
    return {"expiringImageTotalCount": expired, "transitioningImageTotalCounts": transitions}
