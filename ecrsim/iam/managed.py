"""The policies that AWS keeps for ECR (documented, as of 2026), to be attached by name or by ARN. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from ecrsim.iam.grammar import PolicyDocument, PolicyKind, read


def _allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def _of(service: str, names: Sequence[str]) -> list[str]:
    return [f"{service}:{name}" for name in names]


_PULL = (
    "GetAuthorizationToken",
    "BatchCheckLayerAvailability",
    "GetDownloadUrlForLayer",
    "GetRepositoryPolicy",
    "DescribeRepositories",
    "ListImages",
    "DescribeImages",
    "BatchGetImage",
    "GetLifecyclePolicy",
    "GetLifecyclePolicyPreview",
    "ListTagsForResource",
    "DescribeImageScanFindings",
)
_PUSH = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")
_PUBLIC_TOKEN = ("ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken")
_PUBLIC_PULL = (
    "BatchCheckLayerAvailability",
    "GetRepositoryPolicy",
    "DescribeRepositories",
    "DescribeRegistries",
    "DescribeImages",
    "DescribeImageTags",
    "GetRepositoryCatalogData",
    "GetRegistryCatalogData",
)

_STATEMENTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "AdministratorAccess": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    "AmazonEC2ContainerRegistryFullAccess": [
        _allow("ecr:*", "cloudtrail:LookupEvents"),
        _allow(
            "iam:CreateServiceLinkedRole",
            Condition={"StringEquals": {"iam:AWSServiceName": ["replication.ecr.amazonaws.com"]}},
        ),
    ],
    "AmazonEC2ContainerRegistryPowerUser": [_allow(*_of("ecr", _PULL), *_of("ecr", _PUSH))],
    "AmazonEC2ContainerRegistryPullOnly": [
        _allow(
            "ecr:GetAuthorizationToken",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchImportUpstreamImage",
        )
    ],
    "AmazonEC2ContainerRegistryReadOnly": [_allow(*_of("ecr", _PULL))],
    "AmazonElasticContainerRegistryPublicFullAccess": [_allow("ecr-public:*", "sts:GetServiceBearerToken")],
    "AmazonElasticContainerRegistryPublicPowerUser": [
        _allow(*_PUBLIC_TOKEN, *_of("ecr-public", _PUBLIC_PULL), *_of("ecr-public", _PUSH))
    ],
    "AmazonElasticContainerRegistryPublicReadOnly": [_allow(*_PUBLIC_TOKEN, *_of("ecr-public", _PUBLIC_PULL))],
}
#: By name: what JSON says.
POLICIES: Mapping[str, Mapping[str, Any]] = {
    name: {"Version": "2012-10-17", "Statement": list(statements)} for name, statements in _STATEMENTS.items()
}

_ARN = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/(.+)")

#: Roles that are a service's own: by name, the service and what the role may do (documented). Nobody else can take one.
_SERVICE_LINKED: Mapping[str, tuple[str, Sequence[str]]] = {
    "AWSServiceRoleForECRReplication": (
        "replication.ecr.amazonaws.com",
        # The last is for templates with tags, which the destination's registry has to allow as well (documented there).
        ("ecr:CreateRepository", "ecr:ReplicateImage", "ecr:TagResource"),
    ),
}


class ServiceRole(NamedTuple):
    """A service-linked role of an account. `session_arn` is who calls."""

    role_arn: str
    session_arn: str
    document: PolicyDocument


@cache
def service_role(partition: str, account: str, name: str) -> ServiceRole:
    """KeyError for a role that no service has."""
    service, actions = _SERVICE_LINKED[name]
    return ServiceRole(
        f"arn:{partition}:iam::{account}:role/aws-service-role/{service}/{name}",
        f"arn:{partition}:sts::{account}:assumed-role/{name}/ecr",  # the session's name is inferred
        read({"Version": "2012-10-17", "Statement": [_allow(*actions)]}, PolicyKind.IDENTITY, name),
    )


_SERVICE_SESSION = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sts::(?P<account>[0-9]{12}):assumed-role/(?P<name>[^/]+)/ecr"
)


def service_role_of(session_arn: str) -> ServiceRole | None:
    """The service-linked role that this session is of; None when it is of none."""
    match = _SERVICE_SESSION.fullmatch(session_arn)
    if match is None or match["name"] not in _SERVICE_LINKED:
        return None
    return service_role(match["partition"], match["account"], match["name"])


@cache
def managed_policy(name: str, kind: PolicyKind = PolicyKind.IDENTITY) -> PolicyDocument | None:
    """The policy of that name or ARN (`arn:aws:iam::aws:policy/<name>`); None when it is not built in.

    `kind`: a permissions boundary, too, can be a managed policy.
    """
    match = _ARN.fullmatch(name)
    plain = match[1] if match else name
    return read(POLICIES[plain], kind, plain) if plain in POLICIES else None
