"""The facts of a bill for what the AWS CLI printed of real registries. Pure.

Layers are not in it, so each image is billed whole: an upper bound. Nor is what was done: pulls, scans, copies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ecrsim.core.registry import Registry, parse_arn
from ecrsim.cost.facts import Facts, Holder, Holding, Window
from ecrsim.described import DescribedRepository, milliseconds


def facts_of(found: Iterable[DescribedRepository], window: Window, account: str, region: str) -> Facts:
    """`account` and `region`: where nothing printed says them. UnreadableError."""
    holdings = [_holding(each, account, region) for each in found]
    return Facts(window, holdings, (), (), is_complete=False)


def _holding(found: DescribedRepository, account: str, region: str) -> Holding:
    place = parse_arn(str(found.detail.get("repositoryArn")))
    registry = Registry(found.registry_id or account, region) if place is None else place[0]
    encryption: Any = found.detail.get("encryptionConfiguration") or {}
    images = found.images
    return Holding(
        Holder(registry.kind, registry.account, registry.region, found.repository_name),
        milliseconds(found.detail, "createdAt"),
        str(encryption.get("encryptionType", "AES256")),
        encryption.get("kmsKey"),
        # Which key is AWS's own is not in its ARN.
        False,
        found.resource_tags,
        found.policy_text,
        images,
        {image.id: (place,) for place, image in enumerate(images)},
        [image.image_size_in_bytes for image in images],
        [image.image_digest for image in images],
    )
