"""From a rule to the upstream behind it."""

from __future__ import annotations

from ecrsim.core.arn import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.core.upstream.addresses import Addresses, parse_entry
from ecrsim.core.upstream.registry import UpstreamRegistry
from ecrsim.ecr.pullthrough import credentials
from ecrsim.ecr.pullthrough.rules import Rule, ecr_upstream


def addresses_of(runtime: Runtime) -> Addresses:
    """Where upstreams are, as the settings say."""
    entries = [parse_entry(entry) for entry in runtime.config.upstream]
    return Addresses(dict(entry for entry in entries if entry), network=runtime.config.upstream_network)


def connect(runtime: Runtime, registry: Registry, rule: Rule) -> UpstreamRegistry:
    """The upstream of a rule, with its credentials. UpstreamError; no transaction may be open."""
    addresses = addresses_of(runtime)
    base = addresses.base(rule.upstream_registry_url)
    name = rule.upstream_registry_url
    known = credentials.of_rule(runtime, registry, rule, base)
    # Another ecrsim has many registries at one address.
    namespace = name if ecr_upstream(name) and base != f"https://{name}" else ""
    return runtime.upstreams.registry(name, addresses, known, namespace)
