"""What replication adds to DescribeRegistry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecrsim.contract.additions import adds_to
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.replication.service import rules_of


@adds_to("DescribeRegistry", "replicationConfiguration")
def add_configuration(call: Call, registry: Registry, keys: Sequence[Registry]) -> Mapping[Registry, dict[str, Any]]:
    """`replicationConfiguration`: the rules as they were put."""
    return {registry: {"replicationConfiguration": {"rules": rules_of(call, registry)}}}
