"""Tables of repositories. Columns carry the wire names in snake case; times are epoch milliseconds."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
)

from ecrsim.core.belonging import of_registry
from ecrsim.core.columns import Json, metadata
from ecrsim.core.registry import Registry

repositories = Table(
    "repositories",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(7), nullable=False),
    Column("registry_id", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("repository_name", String(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("image_tag_mutability", String, nullable=False),
    Column("image_tag_mutability_exclusion_filters", Json),
    Column("scan_on_push", Boolean, nullable=False),
    Column("encryption_type", String, nullable=False),
    Column("kms_key", Text),
    UniqueConstraint("kind", "registry_id", "region", "repository_name"),
    sqlite_autoincrement=True,
)

repository_tags = Table(
    "repository_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    UniqueConstraint("repository_id", "key"),
)


#: The repositories of a registry, and the one of a name in it: `**registry._asdict()` and `repository_name`.
OF_REGISTRY = of_registry(repositories)
NAMED = and_(OF_REGISTRY, repositories.c.repository_name == bindparam("repository_name"))


class Repository(NamedTuple):
    """A row of `repositories`."""

    id: int
    kind: str
    registry_id: str
    region: str
    repository_name: str
    created_at: int
    image_tag_mutability: str
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None
    scan_on_push: bool
    encryption_type: str
    kms_key: str | None

    @property
    def registry(self) -> Registry:
        return Registry(self.registry_id, self.region, self.kind)

    @property
    def scope(self) -> str:
        return self.registry.scope(self.repository_name)
