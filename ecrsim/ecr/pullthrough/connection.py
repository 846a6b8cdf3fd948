"""From a rule to the upstream behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.core.upstream.addresses import Addresses, parse_entry
from ecrsim.core.upstream.registry import UpstreamRegistry
from ecrsim.ecr.pullthrough import credentials
from ecrsim.ecr.pullthrough.own_upstream import InsideEcr, InsideEcrPublic
from ecrsim.ecr.pullthrough.rules import Rule, ecr_upstream, kind_of
from ecrsim.ecr.pullthrough.tables import upstream_entries


def entries_of(runtime: Runtime) -> dict[str, str]:
    """Name → URL: of the settings and, before them, of what was put. No transaction may be open."""
    found = [parse_entry(entry) for entry in runtime.config.upstream]
    with runtime.database.read() as connection:
        put = [(name, url) for name, url in connection.execute(select(upstream_entries))]
    return dict([*(entry for entry in found if entry), *put])


def replace_entries(runtime: Runtime, entries: Mapping[str, Any]) -> None:
    """Replace the entries that were put before. ValueError, and nothing is changed."""
    rows = []
    for name, url in entries.items():
        entry = parse_entry(f"{name}={url}") if isinstance(url, str) else None
        if entry is None:
            raise ValueError(f"an entry is NAME: URL of a registry, not {str(name)[:200]}: {str(url)[:200]}")
        rows.append({"name": entry[0], "url": entry[1]})
    if len({row["name"] for row in rows}) < len(rows):
        raise ValueError("a name stands there twice, in different case")
    with runtime.database.write() as connection:
        connection.execute(delete(upstream_entries))
        if rows:
            connection.execute(insert(upstream_entries), rows)


def addresses_of(runtime: Runtime) -> Addresses:
    return Addresses(entries_of(runtime), network=runtime.config.upstream_network)


def connect(runtime: Runtime, registry: Registry, rule: Rule) -> UpstreamRegistry | InsideEcr:
    """The upstream of a rule, with its credentials. UpstreamError; no transaction may be open.

    An ECR that has no entry is this ecrsim; so is ECR Public, unless the network may be asked.
    """
    addresses = addresses_of(runtime)
    if (
        kind_of(rule.upstream_registry_url) == "ecr-public"
        and not runtime.config.upstream_network
        and not addresses.has_entry(rule.upstream_registry_url)
    ):
        return InsideEcrPublic(runtime, registry, rule)
    upstream = ecr_upstream(rule.upstream_registry_url)
    if upstream is not None and not addresses.has_entry(rule.upstream_registry_url):
        return InsideEcr(runtime, registry, rule, Registry(*upstream))
    base = addresses.base(rule.upstream_registry_url)
    name = rule.upstream_registry_url
    known = credentials.of_rule(runtime, registry, rule, base)
    # Another ecrsim has many registries at one address.
    namespace = name if upstream and base != f"https://{name}" else ""
    return runtime.upstreams.registry(name, addresses, known, namespace)
