"""The six operations of scanning."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from ecrsim.contract.operations import operation
from ecrsim.contract.questions import ask_of_each_repository
from ecrsim.core import paging
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.core.errors import (
    ImageArchivedException,
    LimitExceededException,
    ScanNotFoundException,
    UnsupportedImageTypeException,
    ValidationException,
)
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import get_image, place_of
from ecrsim.ecr.images.rules import TAG_TEXT
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.service import find_repository, get_repository
from ecrsim.ecr.repositories.tables import repositories
from ecrsim.ecr.scanning import beginning, results, rules
from ecrsim.ecr.scanning.configuration import applied_to, configuration_of, put_configuration
from ecrsim.ecr.scanning.rules import Configuration
from ecrsim.ecr.scanning.scans import find_scan

#: What the service checks in its own voice where one image is named (R of DescribeImageScanFindings, I of the other).
_IMAGE_ID = {"ImageTag": TAG_TEXT, "ImageDigest": ECR_DIGEST_TEXT}


@operation("PutImageScanningConfiguration", transaction="write")
def put_image_scanning_configuration(
    call: Call,
    repository_name: str,
    image_scanning_configuration: dict[str, bool],
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Deprecated by ECR in favour of the registry's configuration; it holds while that has no rules."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    scan_on_push = image_scanning_configuration.get("scanOnPush", False)
    call.connection.execute(
        update(repositories).where(repositories.c.id == repository.id).values(scan_on_push=scan_on_push)
    )
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "imageScanningConfiguration": {"scanOnPush": scan_on_push},
    }


@operation("PutRegistryScanningConfiguration", transaction="write")
def put_registry_scanning_configuration(
    call: Call, scan_type: Any = None, rules: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Replaces the whole of it: without rules there are none; without a type it stays what it was (inferred)."""
    registry = registry_of(call)
    before = configuration_of(call, registry)
    after = Configuration(scan_type or before.scan_type, rules or [])
    put_configuration(call, registry, after)
    beginning.sweep(call, registry, after)
    return {"registryScanningConfiguration": after}


@operation("GetRegistryScanningConfiguration", transaction="read")
def get_registry_scanning_configuration(call: Call) -> dict[str, Any]:
    """The configuration, under another member than PutRegistryScanningConfiguration has for it."""
    registry = registry_of(call)
    return {"registryId": registry.account, "scanningConfiguration": configuration_of(call, registry)}


@operation("BatchGetRepositoryScanningConfiguration", transaction="read", asks=ask_of_each_repository)
def batch_get_repository_scanning_configuration(call: Call, repository_names: list[str]) -> dict[str, Any]:
    """Each name once, in the order of the request (inferred). One that is unknown is a failure, not an error."""
    registry = registry_of(call)
    configuration = configuration_of(call, registry)
    found, failures = [], []
    for name in dict.fromkeys(repository_names):
        repository = find_repository(call, registry, name)
        if repository is None:
            code = "REPOSITORY_NOT_FOUND"
            failures.append({"repositoryName": name, "failureCode": code, "failureReason": code})
            continue
        applied = applied_to(configuration, repository)
        found.append(
            {
                "repositoryArn": registry.arn(name),
                "repositoryName": name,
                "scanOnPush": repository.scan_on_push,
                "scanFrequency": applied.frequency,
                "appliedScanFilters": list(applied.filters),
            }
        )
    return {"scanningConfigurations": found, "failures": failures}


@operation("StartImageScan", transaction="write", service_checks=_IMAGE_ID)
def start_image_scan(
    call: Call, repository_name: str, image_id: dict[str, str], registry_id: str | None = None
) -> dict[str, Any]:
    """Start a basic scan: one of an image in 24 hours, a push that was scanned included."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    if configuration_of(call, registry).scan_type != "BASIC":
        raise ValidationException("This feature is disabled")  # R
    image = get_image(call, repository, image_id, "imageId")
    if image.image_status != "ACTIVE":
        raise ImageArchivedException(**place_of(repository, image_id))
    media_type = beginning.unscannable(call, image)
    if media_type is not None:
        raise UnsupportedImageTypeException(media_type=media_type)
    kept = find_scan(call, image.id, "BASIC")
    if kept is not None and kept.status != "LIMIT_EXCEEDED" and rules.is_scanned_today(kept.requested_at, call.now):
        raise LimitExceededException("The scan quota per image has been exceeded. Wait and try again.")  # R
    if beginning.is_quota_used(call, registry):
        raise LimitExceededException("The scan quota per registry has been exceeded. Wait and try again.")  # I
    status = beginning.begin(call, repository, image.id, "BASIC")
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "imageId": {"imageDigest": image.image_digest, "imageTag": image_id.get("imageTag")},
        "imageScanStatus": {"status": status},
    }


@operation("DescribeImageScanFindings", transaction="read", service_checks=_IMAGE_ID)
def describe_image_scan_findings(
    call: Call,
    repository_name: str,
    image_id: dict[str, str],
    registry_id: str | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """Findings of the scan type that the registry has now; pages count findings, all else repeats on each (R)."""
    registry = registry_of(call, registry_id)
    repository = get_repository(call, registry, repository_name)
    image = get_image(call, repository, image_id, "imageId")
    request = ("DescribeImageScanFindings", *registry, image.id)
    after = paging.decode(request, next_token, [-1, "", ""])
    scan = results.scan_of(call, repository, image)
    if scan is None:
        raise ScanNotFoundException(**place_of(repository, image_id))
    limit = max_results or 100
    rows = results.rows_behind(call, image, scan, after, limit + 1)
    page, token = paging.page_of(request, rows, limit, lambda row: list(row[:3]))
    return {
        "registryId": registry.account,
        "repositoryName": repository_name,
        "imageId": {"imageDigest": image.image_digest, "imageTag": image_id.get("imageTag")},
        "imageScanStatus": {"status": scan.shown.status, "description": scan.shown.description},
        "imageScanFindings": results.findings(call, repository, image, scan, page),
        "nextToken": token,
    }
