"""PutReplicationConfiguration, DescribeImageReplicationStatus, and the four operations of backfills."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core import paging
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import get_image
from ecrsim.ecr.images.rules import TAG_TEXT
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.replication import backfills, rules, service
from ecrsim.ecr.repositories.service import get_repository


@operation("PutReplicationConfiguration", transaction="write")
def put_replication_configuration(call: Call, replication_configuration: dict[str, Any]) -> dict[str, Any]:
    """Replaces all rules; an empty list ends replication. What was pushed before is not copied (documented)."""
    registry = registry_of(call)
    wanted = replication_configuration["rules"]
    rules.check(wanted, registry)
    service.put_rules(call, registry, wanted)
    return {"replicationConfiguration": {"rules": wanted}}


@operation(
    "DescribeImageReplicationStatus",
    transaction="read",
    service_checks={"ImageTag": TAG_TEXT, "ImageDigest": ECR_DIGEST_TEXT},  # I
)
def describe_image_replication_status(
    call: Call, repository_name: str, image_id: dict[str, str], registry_id: str | None = None
) -> dict[str, Any]:
    """One entry for each destination that the image was ever sent to; none where nothing was configured (inferred)."""
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    image = get_image(call, repository, image_id, "imageId")
    return {
        "repositoryName": repository_name,
        "imageId": image_id,
        "replicationStatuses": [
            {
                "region": each.region,
                "registryId": each.registry_id,
                "status": each.status,
                "failureCode": each.failure_code,
            }
            for each in service.of_image(call, image.id)
        ],
    }


# --- backfills --------------------------------------------------------------------------------------------------------


def _summary(backfill: backfills.Backfill) -> dict[str, Any]:
    """What all answers say of a backfill."""
    return {
        "replicationBackfillId": backfill.replication_backfill_id,
        "destination": {"region": backfill.destination_region, "registryId": backfill.destination_registry_id},
        "status": backfill.status,
        "startedAt": backfill.started_at,
    }


def _details(backfill: backfills.Backfill) -> dict[str, Any]:
    """And how far it came; nothing of that before it is prepared (documented)."""
    progress = None
    if backfill.total_replication_count is not None:
        progress = {
            "totalReplicationCount": backfill.total_replication_count,
            "completedReplicationCount": backfill.completed_replication_count,
            "failedReplicationCount": backfill.failed_replication_count,
            "failureCodes": backfill.failure_codes,
        }
    more = {"failureCode": backfill.failure_code, "endedAt": backfill.ended_at, "progress": progress}
    return _summary(backfill) | more


@operation("StartReplicationBackfill", transaction="write")
def start_replication_backfill(
    call: Call, destination: dict[str, str], registry_id: str | None = None
) -> dict[str, Any]:
    """Copy what the rules that name the destination match, now that they are there."""
    registry = registry_of(call, registry_id)
    backfill = backfills.start(call, registry, rules.destination_of(destination))
    return {"registryId": registry.account, **_summary(backfill)}


@operation("StopReplicationBackfill", transaction="write")
def stop_replication_backfill(
    call: Call, replication_backfill_id: str, registry_id: str | None = None
) -> dict[str, Any]:
    """STOPPED at once while it prepares, else when what is under way has arrived. What was copied stays."""
    registry = registry_of(call, registry_id)
    backfill = backfills.get(call, registry, replication_backfill_id)
    return {"registryId": registry.account, **_summary(backfill), "status": backfills.stop(call, backfill)}


@operation("ListReplicationBackfills", transaction="read")
def list_replication_backfills(
    call: Call, registry_id: str | None = None, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The newest first (inferred)."""
    registry = registry_of(call, registry_id)
    request = ("ListReplicationBackfills", *registry)
    limit = max_results or 25
    (before,) = paging.decode(request, next_token, [0])
    found = backfills.page_of_backfills(call, registry, before, limit + 1)
    shown, token = paging.page_of(request, found, limit, lambda backfill: [backfill.number])
    return {
        "registryId": registry.account,
        "backfills": [_details(backfill) for backfill in shown],
        "nextToken": token,
    }


@operation("DescribeReplicationBackfillResults", transaction="read")
def describe_replication_backfill_results(
    call: Call,
    replication_backfill_id: str,
    registry_id: str | None = None,
    result_status_filter: str | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> dict[str, Any]:
    """How it stands and, once it has ended, what came of each image and tag, in the order in which they were tried."""
    registry = registry_of(call, registry_id)
    backfill = backfills.get(call, registry, replication_backfill_id)
    request = ("DescribeReplicationBackfillResults", *registry, backfill.number, result_status_filter)
    limit = max_results or 100
    (after,) = paging.decode(request, next_token, [-1])
    answer = {"registryId": registry.account, **_details(backfill)}
    if backfill.ended_at is None:
        return answer
    found = backfills.page_of_results(call, backfill, result_status_filter, after, limit + 1)
    shown, token = paging.page_of(request, found, limit, lambda unit: [unit.position])
    return answer | {"results": [_result(unit) for unit in shown], "nextToken": token}


def _result(unit: backfills.Unit) -> dict[str, Any]:
    return {
        "repositoryName": unit.repository_name,
        "imageId": {"imageDigest": unit.image_digest, "imageTag": unit.image_tag},
        "status": unit.status,
        "failureCode": unit.failure_code,
        "subImageFailureCodes": unit.sub_image_failure_codes,
    }
