"""PutSigningConfiguration, GetSigningConfiguration, DeleteSigningConfiguration, DescribeImageSigningStatus."""

from __future__ import annotations

from typing import Any

from ecrsim.contract.operations import operation
from ecrsim.core.digest import ECR_DIGEST_TEXT
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import get_image
from ecrsim.ecr.images.rules import TAG_TEXT
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.signing import rules, service


@operation("PutSigningConfiguration", transaction="write")
def put_signing_configuration(call: Call, signing_configuration: dict[str, Any]) -> dict[str, Any]:
    """Replaces all rules; an empty list is a configuration too (recorded). What was pushed before stays as it is."""
    registry = registry_of(call)
    wanted = signing_configuration["rules"]
    rules.check(wanted, registry)
    service.put_rules(call, registry, wanted)
    return {"signingConfiguration": {"rules": wanted}}


@operation("GetSigningConfiguration", transaction="read")
def get_signing_configuration(call: Call) -> dict[str, Any]:
    registry = registry_of(call)
    return {
        "registryId": registry.account,
        "signingConfiguration": {"rules": service.get_rules(call, registry)},
    }


@operation("DeleteSigningConfiguration", transaction="write")
def delete_signing_configuration(call: Call) -> dict[str, Any]:
    """Answers what was deleted. Signatures stay (documented)."""
    registry = registry_of(call)
    return {
        "registryId": registry.account,
        "signingConfiguration": {"rules": service.delete_rules(call, registry)},
    }


@operation(
    "DescribeImageSigningStatus",
    transaction="read",
    service_checks={"ImageTag": TAG_TEXT, "ImageDigest": ECR_DIGEST_TEXT},  # I
)
def describe_image_signing_status(
    call: Call, repository_name: str, image_id: dict[str, str], registry_id: str | None = None
) -> dict[str, Any]:
    """One entry for each profile that was ever to sign the image; none where no rule was for it (inferred)."""
    repository = get_repository(call, registry_of(call, registry_id), repository_name)
    image = get_image(call, repository, image_id, "imageId")
    return {
        "repositoryName": repository_name,
        "imageId": {"imageDigest": image.image_digest, **image_id},
        "registryId": repository.registry_id,
        "signingStatuses": [each.as_json() for each in service.statuses(call, image.id)],
    }
