"""The scanning configuration of a repository: stored and shown."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from ecrsim.contract.operations import operation
from ecrsim.core.runtime import Call
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import repositories


@operation("PutImageScanningConfiguration", transaction="write")
def put_image_scanning_configuration(
    call: Call,
    repository_name: str,
    image_scanning_configuration: dict[str, bool],
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Deprecated by ECR in favour of the registry's configuration, and still answered."""
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
