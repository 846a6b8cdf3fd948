"""Admin routes of ECR Public: aliases of registries, which AWS gives out in its console."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import json_answer, json_body
from ecrsim.core.registry import PUBLIC_REGION, Registry
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.registries.aliases import all_aliases
from ecrsim.ecr_public.catalog import put_registry_catalog, registry_catalog
from ecrsim.ecr_public.custom_aliases import AliasError, request_alias
from ecrsim.values import is_account


def public_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("public", __name__, url_prefix="/_ecrsim")

    @routes.put("/public-aliases")
    def put_public_alias() -> Response:
        """Give a registry an alias, or change one; `verified`: whether its account has the badge of the gallery."""
        body = json_body("name", "account", "status", "primary", "verified")
        account = body.get("account", runtime.config.account)
        if not is_account(account):
            raise BadRequest("account is a text of 12 digits")
        name, status = body.get("name"), body.get("status", "ACTIVE")
        if not isinstance(name, str) or not isinstance(status, str):
            raise BadRequest("name and status are texts")
        primary, verified = body.get("primary", status == "ACTIVE"), body.get("verified")
        if not isinstance(primary, bool) or not isinstance(verified, bool | None):
            raise BadRequest("primary and verified are true or false")
        registry = Registry(account, PUBLIC_REGION, "public")
        with runtime.call(root_caller(account, PUBLIC_REGION)) as call, call.writing():
            try:
                request_alias(call, registry, name, status, is_primary=primary)
            except AliasError as error:
                raise BadRequest(str(error)) from None
            if verified is not None:
                known = registry_catalog(call, registry)
                put_registry_catalog(call, registry, known._replace(is_verified=verified))
        return json_answer({"aliases": _aliases(runtime)})

    @routes.get("/public-aliases")
    def get_public_aliases() -> Response:
        """Those of all registries."""
        return json_answer({"aliases": _aliases(runtime)})

    return routes


def _aliases(runtime: Runtime) -> list[dict[str, Any]]:
    with runtime.database.read() as connection:
        return [
            {
                "name": each.name,
                "account": each.registry_id,
                "status": each.status,
                "primary": each.is_primary,
                "default": each.is_default,
            }
            for each in all_aliases(connection)
        ]
