"""What the gallery shows: repositories that are found, and one of them with its tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import and_, or_, select

from ecrsim.blobs.base import BlobStoreError
from ecrsim.core.clock import iso
from ecrsim.core.entries import has_entry
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.service import blobs_of, stored_layer_size
from ecrsim.ecr.images import lookup
from ecrsim.ecr.registries.aliases import registry_by_alias
from ecrsim.ecr.registries.tables import registry_aliases
from ecrsim.ecr.repositories.service import find_repository, repository_uri
from ecrsim.ecr.repositories.tables import Repository, repositories
from ecrsim.ecr_public import catalog
from ecrsim.ecr_public.tables import registry_catalogs, repository_catalogs
from ecrsim.ecr_public.tags import ImageTag, page_of_image_tags

#: What can be searched by (documented); a repository may name others, which are only kept.
ARCHITECTURES = ("ARM", "ARM 64", "x86", "x86-64")
OPERATING_SYSTEMS = ("Linux", "Windows")
#: Bytes of a configuration that is read for its platform.
_LONGEST = 1 << 20


class Search(NamedTuple):
    """What is looked for: a part of a name or description, and badges, all of which a repository has to have."""

    text: str = ""
    architectures: tuple[str, ...] = ()
    operating_systems: tuple[str, ...] = ()
    is_verified: bool = False


def search(call: Call, wanted: Search, after: int, limit: int) -> list[dict[str, Any]]:
    """Repositories by name, behind the one with the number `after`; one more than `limit` where there are more."""
    query = (
        select(
            repositories.c.id,
            repositories.c.repository_name,
            registry_aliases.c.name.label("alias"),
            repository_catalogs.c.description,
            repository_catalogs.c.architectures,
            repository_catalogs.c.operating_systems,
            repository_catalogs.c.logo_id,
            repositories.c.registry_id,
            registry_catalogs.c.is_verified,
            registry_catalogs.c.display_name,
        )
        .join(
            registry_aliases,
            and_(registry_aliases.c.registry_id == repositories.c.registry_id, registry_aliases.c.is_primary),
        )
        .outerjoin(repository_catalogs, repository_catalogs.c.repository_id == repositories.c.id)
        .outerjoin(
            registry_catalogs,
            and_(registry_catalogs.c.kind == "public", registry_catalogs.c.registry_id == repositories.c.registry_id),
        )
        .where(repositories.c.kind == "public")
        .order_by(repositories.c.repository_name, repositories.c.id)
        .limit(limit + 1)
    )
    if wanted.text:
        name = registry_aliases.c.name + "/" + repositories.c.repository_name
        found = [each.icontains(wanted.text, autoescape=True) for each in (name, repository_catalogs.c.description)]
        query = query.where(or_(*found))
    for column, values in (
        (repository_catalogs.c.architectures, wanted.architectures),
        (repository_catalogs.c.operating_systems, wanted.operating_systems),
    ):
        for value in values:
            query = query.where(has_entry(column, value))
    if wanted.is_verified:
        query = query.where(registry_catalogs.c.is_verified)
    if after:
        last = select(repositories.c.repository_name).where(repositories.c.id == after).scalar_subquery()
        same = and_(repositories.c.repository_name == last, repositories.c.id > after)
        query = query.where(or_(repositories.c.repository_name > last, same))
    return [_found(call, dict(row)) for row in call.connection.execute(query).mappings()]


def _found(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "badges": _badges(row), "logo": _logo(call, row["registry_id"], row["logo_id"])}


def _logo(call: Call, account: str, logo_id: str | None) -> str | None:
    """A path: the page is of the same origin."""
    url = catalog.logo_url(call, call.caller.registry._replace(account=account), logo_id)
    return url and url.removeprefix(call.origin)


def _badges(row: Any) -> list[str]:
    given = {*(row["architectures"] or ()), *(row["operating_systems"] or ())}
    return [each for each in (*ARCHITECTURES, *OPERATING_SYSTEMS) if each in given]


def repository(call: Call, alias: str, name: str) -> tuple[Repository, dict[str, Any]] | None:
    """A repository, and what its catalog data says of it."""
    registry = registry_by_alias(call.connection, alias)
    found = find_repository(call, registry, name) if registry else None
    if registry is None or found is None:
        return None
    known = catalog.find_catalog(call, found.id)
    data = known._asdict() if known else dict.fromkeys(catalog.CatalogData._fields)
    of_registry = catalog.registry_catalog(call, registry)
    return found, {
        **data,
        "alias": alias,
        "name": name,
        "uri": repository_uri(call.runtime, registry, name, alias),
        "badges": _badges(data),
        "logo": _logo(call, registry.account, data["logo_id"]),
        "is_verified": of_registry.is_verified,
        # Of a verified account alone (documented).
        "owner": of_registry.display_name if of_registry.is_verified else None,
    }


def tags(call: Call, found: Repository, after: int, limit: int) -> list[dict[str, Any]]:
    """Tags in the order in which they were attached; one more than `limit` where there are more."""
    return [
        {
            "id": tag.id,
            "tag": tag.image_tag,
            "digest": tag.image_digest,
            "size": tag.image_size_in_bytes,
            "pushed": iso(tag.image_pushed_at)[:10],
            "platforms": _platforms(call, found, tag),
        }
        for tag in page_of_image_tags(call, found, after, limit + 1)
    ]


def _platforms(call: Call, found: Repository, tag: ImageTag) -> list[str]:
    """Platforms of the image (`linux/arm64`), or of all images of an index; [] for an artifact that has none."""
    pulled = lookup.pull(call, found.registry, found.repository_name, tag.image_digest)
    document = _object(pulled.manifest if pulled else None)
    listed = document.get("manifests")
    if isinstance(listed, list):
        named = [_platform(each.get("platform")) for each in listed if isinstance(each, dict)]
    else:
        named = [_platform(_object(_configuration(call, found, document.get("config"))))]
    return list(dict.fromkeys(name for name in named if name))


def _configuration(call: Call, repository: Repository, descriptor: Any) -> bytes | None:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or (stored_layer_size(call, repository, digest) or _LONGEST + 1) > _LONGEST:
        return None
    try:
        with blobs_of(call, repository).open(digest) as file:
            return file.read(_LONGEST)
    except (BlobStoreError, OSError):
        return None


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        document = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _platform(given: Any) -> str | None:
    """`os/architecture` of a platform or a configuration; None where either is missing or "unknown"."""
    members: Sequence[Any] = [given.get(name) for name in ("os", "architecture")] if isinstance(given, dict) else ()
    known = [each for each in members if isinstance(each, str) and each and each != "unknown"]
    return "/".join(known) if len(known) == 2 else None
