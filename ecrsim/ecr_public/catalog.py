"""Catalog data: what the gallery says of a repository and of a registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select

from ecrsim.core.belonging import of_registry, values_of
from ecrsim.core.ids import new_uuid, stable_uuid
from ecrsim.core.public_errors import RepositoryCatalogDataNotFoundException
from ecrsim.core.query import Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr_public import rules
from ecrsim.ecr_public.tables import registry_catalogs, repository_catalogs, repository_logos

#: Below it logos are served: `/logo/<registry>/<logo>.png`, as AWS's are on a host of their own (documented samples).
LOGOS = "/logo"


class CatalogData(NamedTuple):
    """A row of `repository_catalogs`; what was not given is None."""

    repository_id: int
    description: str | None
    architectures: list[str] | None
    operating_systems: list[str] | None
    about_text: str | None
    usage_text: str | None
    logo_id: str | None


class RegistryCatalog(NamedTuple):
    """What the gallery says of a registry."""

    display_name: str | None
    is_verified: bool


_OF_REPOSITORY = Query(
    select(repository_catalogs).where(repository_catalogs.c.repository_id == bindparam("repository_id")), CatalogData
)
_OF_REGISTRY = Query(
    select(registry_catalogs.c.display_name, registry_catalogs.c.is_verified).where(of_registry(registry_catalogs)),
    RegistryCatalog,
)
_LOGO = Query(
    select(repository_logos.c.image)
    .join(repository_catalogs, repository_catalogs.c.repository_id == repository_logos.c.repository_id)
    .where(repository_catalogs.c.logo_id == bindparam("logo_id")),
    bytes,
)


def find_catalog(call: Call, repository_id: int) -> CatalogData | None:
    return _OF_REPOSITORY.first(call.connection, repository_id=repository_id)


def catalog_of(call: Call, repository: Repository) -> dict[str, Any]:
    """Catalog data as answers show it. RepositoryCatalogDataNotFoundException where none was ever put."""
    found = find_catalog(call, repository.id)
    if found is None:
        raise RepositoryCatalogDataNotFoundException(
            repository_name=repository.repository_name, registry_id=repository.registry_id
        )
    return describe(call, repository, found)


def describe(call: Call, repository: Repository, data: CatalogData) -> dict[str, Any]:
    members = data._asdict()
    logo_id = members.pop("logo_id")
    del members["repository_id"]
    return members | {"logo_url": logo_url(call, repository.registry, logo_id), "marketplace_certified": False}


def logo_url(call: Call, registry: Registry, logo_id: str | None) -> str | None:
    """Where the logo is to be had, by the name under which the caller reached ecrsim."""
    return f"{call.origin}{LOGOS}/{stable_uuid('logos', registry.account)}/{logo_id}.png" if logo_id else None


def put_catalog(call: Call, repository: Repository, data: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the catalog data of a repository (inferred). InvalidParameterException of `rules.check_logo`.

    `data`: the members of RepositoryCatalogDataInput by their wire names.
    """
    logo = data.get("logoImageBlob")
    if logo:
        rules.check_logo(logo)
    row = CatalogData(
        repository.id,
        data.get("description"),
        data.get("architectures"),
        data.get("operatingSystems"),
        data.get("aboutText"),
        data.get("usageText"),
        new_uuid() if logo else None,
    )
    values = row._asdict()
    place = {"repository_id": values.pop("repository_id")}
    upsert(call.connection, repository_catalogs, place, values)
    call.connection.execute(delete(repository_logos).where(repository_logos.c.repository_id == repository.id))
    if logo:
        upsert(call.connection, repository_logos, place, {"image": logo})
    return describe(call, repository, row)


def find_logo(call: Call, logo_id: str) -> bytes | None:
    """The PNG of a logo's URL."""
    return _LOGO.first(call.connection, logo_id=logo_id)


def registry_catalog(call: Call, registry: Registry) -> RegistryCatalog:
    return _OF_REGISTRY.first(call.connection, **registry._asdict()) or RegistryCatalog(None, is_verified=False)


def put_registry_catalog(call: Call, registry: Registry, catalog: RegistryCatalog) -> None:
    upsert(call.connection, registry_catalogs, values_of(registry), catalog._asdict())
