"""Custom aliases of public registries, which at AWS one asks for in the console and waits to be approved."""

from __future__ import annotations

import re

from ecrsim.contract.models import service as model
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.registries.aliases import Alias, aliases_of, find_alias, put_alias

_NAME = model("ecr-public").shapes["RegistryAliasName"]
STATUSES = model("ecr-public").shapes["RegistryAliasStatus"].enum


class AliasError(ValueError):
    """The alias is refused; the text says why."""


def request_alias(call: Call, registry: Registry, name: str, status: str, *, is_primary: bool) -> Alias:
    """Give the registry an alias, or change one of its own, in the open write transaction. AliasError.

    All ACTIVE aliases of a registry can be used; the primary one stands in its URIs (documented).
    """
    low, high = _NAME.min or 0, _NAME.max or 0
    if not low <= len(name) <= high or not re.fullmatch(_NAME.pattern or "", name):
        raise AliasError(
            f"an alias has {low} to {high} small letters, digits and single . _ - between them, not {name}"
        )
    if status not in STATUSES:
        raise AliasError(f"the status of an alias is {', '.join(STATUSES)}, not {status}")
    known = find_alias(call.connection, name)
    if known is not None and known.registry_id != registry.account:
        raise AliasError(f"{name} is an alias of another account, {known.registry_id}")
    if known is not None and known.is_default and status != "ACTIVE":
        raise AliasError(f"{name} is the default alias of its registry, which is always ACTIVE")
    if is_primary and status != "ACTIVE":
        raise AliasError(f"the primary alias is an ACTIVE one, and {name} would be {status}")
    alias = Alias(name, registry.account, status, is_primary, is_default=bool(known and known.is_default))
    put_alias(call.connection, alias)
    _choose_primary(call, registry)
    return alias


def _choose_primary(call: Call, registry: Registry) -> None:
    """Make the first ACTIVE alias the primary one where none is: a registry with aliases has one."""
    aliases = aliases_of(call.connection, registry)
    active = [each for each in aliases if each.status == "ACTIVE"]
    if active and not any(each.is_primary for each in aliases):
        put_alias(call.connection, active[0]._replace(is_primary=True))
