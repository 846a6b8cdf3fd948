"""What registries hold and held, and what was done in them, as a bill wants it."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from sqlalchemy import bindparam, select

from ecrsim.core.ids import stable_uuid
from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import image_layers
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.lifecycle.engine import LifecycleImage
from ecrsim.ecr.lifecycle.service import find_policy
from ecrsim.ecr.lifecycle.state import images_of
from ecrsim.ecr.metering.tables import storage_spans
from ecrsim.ecr.repositories.tables import Repository, repositories, repository_tags

_REPOSITORIES = Query(
    select(repositories).order_by(
        repositories.c.kind, repositories.c.registry_id, repositories.c.region, repositories.c.repository_name
    ),
    Repository,
)


class _ImageLayer(NamedTuple):
    image_id: int
    layer_digest: str
    layer_size: int


_LAYERS = Query(
    select(image_layers.c.image_id, image_layers.c.layer_digest, layers.c.layer_size)
    .join(
        layers,
        (layers.c.repository_id == image_layers.c.repository_id)
        & (layers.c.layer_digest == image_layers.c.layer_digest),
    )
    .where(image_layers.c.repository_id == bindparam("repository_id")),
    _ImageLayer,
)


class _ResourceTag(NamedTuple):
    repository_id: int
    key: str
    value: str


_TAGS = Query(
    select(*(repository_tags.c[name] for name in _ResourceTag._fields)).order_by(repository_tags.c.id), _ResourceTag
)


class KeptSpan(NamedTuple):
    """A row of `storage_spans`."""

    kind: str
    registry_id: str
    region: str
    repository_name: str
    storage_class: str
    since: int
    until: int
    size: int
    ended_by: str


_SPANS = Query(
    select(*(storage_spans.c[name] for name in KeptSpan._fields)).where(storage_spans.c.until >= bindparam("since")),
    KeptSpan,
)


class HeldRepository(NamedTuple):
    """A repository and all that it holds: images, the numbers of the layers of each, sizes and digests by number."""

    repository: Repository
    is_key_managed: bool
    resource_tags: dict[str, str]
    policy_text: str | None
    images: list[LifecycleImage]
    layers: dict[int, list[int]]
    sizes: list[int]
    digests: list[str]


def everything_held(call: Call) -> list[HeldRepository]:
    """All repositories, of whatever registry."""
    tags: dict[int, dict[str, str]] = defaultdict(dict)
    for tag in _TAGS.all(call.connection):
        tags[tag.repository_id][tag.key] = tag.value
    return [_held(call, each, tags.get(each.id, {})) for each in _REPOSITORIES.all(call.connection)]


def _held(call: Call, repository: Repository, tags: dict[str, str]) -> HeldRepository:
    numbers: dict[str, int] = {}
    sizes: list[int] = []
    named: dict[int, list[int]] = defaultdict(list)
    for image_id, digest, size in _LAYERS.all(call.connection, repository_id=repository.id):
        number = numbers.setdefault(digest, len(sizes))
        if number == len(sizes):
            sizes.append(size)
        named[image_id].append(number)
    policy = find_policy(call, repository.id)
    return HeldRepository(
        repository,
        _is_managed(repository),
        tags,
        policy.lifecycle_policy_text if policy else None,
        images_of(call.connection, repository.id),
        named,
        sizes,
        list(numbers),
    )


def _is_managed(repository: Repository) -> bool:
    """Whether the key is AWS's own, aws/ecr."""
    own = stable_uuid("kms", repository.registry_id, repository.region, "alias/aws/ecr")
    return repository.kms_key is not None and repository.kms_key.endswith(f":key/{own}")


def spans_since(call: Call, since: int) -> list[KeptSpan]:
    """What ended at that time or later (epoch milliseconds)."""
    return _SPANS.all(call.connection, since=since)
