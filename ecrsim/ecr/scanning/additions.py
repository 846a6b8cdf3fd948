"""What scanning adds to DescribeImages.

Documented: basic scanning as it is now fills neither member. Enhanced scanning does (recorded by others).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecrsim.contract.additions import adds_to
from ecrsim.core.runtime import Call
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning import results, rules, scans
from ecrsim.ecr.scanning.configuration import applied_to, configuration_of


@adds_to("DescribeImages", "imageScanStatus", "imageScanFindingsSummary")
def add_scans(call: Call, repository: Repository, keys: Sequence[int]) -> Mapping[int, dict[str, Any]]:
    """Scan status and summary of the images on the page that enhanced scanning has looked at."""
    configuration = configuration_of(call, repository.registry)
    if configuration.scan_type != "ENHANCED":
        return {}
    frequency = applied_to(configuration, repository).frequency
    found = {}
    for image_id, scan in scans.scans_of(call, keys, "ENHANCED").items():
        members = _members(call, image_id, scan, frequency)
        if members is not None:
            found[image_id] = members
    return found


def _members(call: Call, image_id: int, scan: scans.Scan, frequency: str) -> dict[str, Any] | None:
    shown = rules.shown(
        "ENHANCED",
        scan.kept,
        frequency,
        is_archived=False,
        is_monitored=rules.is_monitored(scan.pushed_at, None, call.now, call.runtime.config.scan_duration),
    )
    if shown is None:
        return None
    members: dict[str, Any] = {"imageScanStatus": {"status": shown.status, "description": shown.description}}
    if shown.has_findings:
        members["imageScanFindingsSummary"] = results.summary(call, image_id, scan)
    return members
