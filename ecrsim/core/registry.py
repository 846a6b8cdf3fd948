"""Registries and the names that AWS gives to what is in them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ecrsim.core.partitions import partition_of

#: The kinds of registries: the service that each belongs to, and so its IAM prefix.
_SERVICES = {"private": "ecr", "public": "ecr-public"}
_KINDS = {service: kind for kind, service in _SERVICES.items()}
#: A public registry is one for all regions; its API and its records are in this one (documented).
PUBLIC_REGION = "us-east-1"
#: What a region is called, of whatever partition.
REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")


class Registry(NamedTuple):
    """One registry: an account in a region. Services act on the registry that they are given, never on the caller's.

    `kind` is "private" or "public"; ECR and ECR Public share tables and services and differ in nothing else.
    """

    account: str
    region: str
    kind: str = "private"

    @classmethod
    def of_service(cls, service: str, account: str, region: str) -> Registry:
        """The registry of an account that "ecr" or "ecr-public" means. KeyError for another service."""
        kind = _KINDS[service]
        return cls(account, PUBLIC_REGION if kind == "public" else region, kind)

    @property
    def service(self) -> str:
        """The signing name: "ecr" or "ecr-public"."""
        return _SERVICES[self.kind]

    @property
    def event_source(self) -> str:
        """As CloudTrail names the service."""
        return f"{self.service}.amazonaws.com"

    def action(self, name: str) -> str:
        """The IAM action of that name: `ecr:PutImage`, `ecr-public:PutImage`; another service's is named whole."""
        return name if ":" in name else f"{self.service}:{name}"

    def arn(self, repository_name: str) -> str:
        """`arn:aws:ecr:<region>:<account>:repository/<name>`; a public one has no region (documented)."""
        region = "" if self.kind == "public" else self.region
        return f"arn:{partition(self.region)}:{self.service}:{region}:{self.account}:repository/{repository_name}"

    def scope(self, repository_name: str = "") -> str:
        """What a write transaction concerns (`core/db.py: Database.write`): a repository, or the registry itself."""
        return f"{self.kind}/{self.account}/{self.region}/{repository_name}"

    @property
    def own_arn(self) -> str:
        """`arn:aws:ecr-public::<account>:registry/<account>` (inferred from the ARNs of repositories)."""
        return f"{self.arn('').removesuffix('repository/')}registry/{self.account}"

    @property
    def host(self) -> str:
        """The host name that AWS gives it."""
        if self.kind == "public":
            return "public.ecr.aws"
        return f"{self.account}.dkr.ecr.{self.region}.{partition_of(self.region).dns_suffix}"

    def resource(self, repository_name: str | None) -> str:
        """What a policy names: the repository's ARN, `*` where an action concerns none."""
        return "*" if repository_name is None else self.arn(repository_name)


_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):"
    r"(?:(?P<service>ecr):(?P<region>[a-z0-9-]+)|(?P<public>ecr-public):)"
    r":(?P<account>[0-9]{12}):repository/(?P<name>.+)",
    re.DOTALL,
)


def partition(region: str) -> str:
    """The second part of the ARNs of a region."""
    return partition_of(region).name


def parse_arn(arn: str) -> tuple[Registry, str] | None:
    """The registry and the name of a repository's ARN.

    None when it is no repository's ARN, or names another partition than the region's.
    """
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    registry = Registry.of_service(match["service"] or match["public"], match["account"], match["region"] or "")
    return (registry, match["name"]) if match["partition"] == partition(registry.region) else None


def root_arn(account: str, region: str) -> str:
    return f"arn:{partition(region)}:iam::{account}:root"
