"""PutReplicationConfiguration and DescribeImageReplicationStatus."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import get_image
from ecrsim.ecr.images.rules import TAG_TEXT
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.replication import rules, service
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
