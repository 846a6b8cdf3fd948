"""Registries and the names that AWS gives to what is in them."""

from __future__ import annotations

import re
from typing import NamedTuple


class Registry(NamedTuple):
    """One registry: an account in a region. Services act on the registry that they are given, never on the caller's."""

    account: str
    region: str
    kind: str = "private"


class RepositoryArn(NamedTuple):
    """The parts of `arn:aws:ecr:<region>:<account>:repository/<name>`."""

    region: str
    account: str
    repository_name: str


_REPOSITORY_ARN = re.compile(r"arn:(aws[a-z-]*):ecr:([a-z0-9-]+):([0-9]{12}):repository/(.+)", re.DOTALL)
_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)


def partition(region: str) -> str:
    for prefix, name in _PARTITIONS:
        if region.startswith(prefix):
            return name
    return "aws"


def repository_arn(registry: Registry, repository_name: str) -> str:
    return f"arn:{partition(registry.region)}:ecr:{registry.region}:{registry.account}:repository/{repository_name}"


def parse_repository_arn(arn: str) -> RepositoryArn | None:
    """None when it is no repository's ARN, or names another partition than the region's."""
    match = _REPOSITORY_ARN.fullmatch(arn)
    return RepositoryArn(match[2], match[3], match[4]) if match and match[1] == partition(match[2]) else None


def root_arn(account: str, region: str) -> str:
    return f"arn:{partition(region)}:iam::{account}:root"
