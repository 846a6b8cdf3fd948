"""Findings that a test sets for an image, to be shown as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete

from ecrsim.contract.models import Shape, service
from ecrsim.core.query import upsert
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning import scans
from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.ecr.scanning.examination_messages import Examined
from ecrsim.ecr.scanning.scan_outcomes import complete, set_for
from ecrsim.ecr.scanning.tables import set_findings

#: What `packageVulnerabilityDetails.source` says of a finding that was set and says nothing of its own.
SOURCE = "SET_BY_TEST"
#: By scan type, the member of ECR's answer.
MEMBERS = {"BASIC": "findings", "ENHANCED": "enhancedFindings"}

_ACCEPTED: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "timestamp": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "structure": (dict,),
    "map": (dict,),
}


class FindingsRefused(ValueError):
    """Findings that ECR could not show; the text says which member is wrong."""


def read(scan_type: str, given: Any) -> list[dict[str, Any]]:
    """Findings as JSON has them, with times in seconds, as they are kept. FindingsRefused."""
    found = service("ecr").operations["DescribeImageScanFindings"].output.members["imageScanFindings"]
    member = MEMBERS[scan_type]
    read_ones: list[dict[str, Any]] = _read(found.members[member], given, member)
    if scan_type == "ENHANCED":
        for each in read_ones:
            each.setdefault("packageVulnerabilityDetails", {}).setdefault("source", SOURCE)
    return read_ones


def _read(shape: Shape, value: Any, where: str) -> Any:
    accepted = _ACCEPTED[shape.type]
    if type(value) not in accepted:
        raise FindingsRefused(f"{where} is not of the type {shape.type}")
    if shape.enum and value not in shape.enum:
        raise FindingsRefused(f"{where} is one of {', '.join(shape.enum)}")
    if shape.type == "timestamp":
        return int(value * 1000)
    if shape.member is not None:
        return [_read(shape.member, each, f"{where}[{place}]") for place, each in enumerate(value)]
    if shape.members:
        for name in value:
            if name not in shape.members:
                raise FindingsRefused(f"{where} has no member {name}")
        for name in shape.required:
            if name not in value:
                raise FindingsRefused(f"{where}.{name} is missing")
        return {name: _read(shape.members[name], each, f"{where}.{name}") for name, each in value.items()}
    return value


def put(call: Call, repository: Repository, image: Image, scan_type: str, found: Sequence[dict[str, Any]]) -> None:
    """Let every scan of the image find these, and one end with them now. In a write transaction."""
    upsert(call.connection, set_findings, {"image_id": image.id, "scan_type": scan_type}, {"findings": list(found)})
    scan = scans.find_scan(call, image.id, scan_type)
    if scan is None:
        pushed_at = scans.fresh(call, image.id).image_pushed_at
        status = "PENDING" if scan_type == "ENHANCED" else "IN_PROGRESS"
        scans.begin(call, repository.id, image.id, scan_type, status, pushed_at)
        scan = scans.find_scan(call, image.id, scan_type)
    assert scan is not None  # noqa: S101 - it was begun in this transaction
    known = open_advisories(call.runtime)
    examined = Examined((), updated_at=known.updated_at, revision="set", architecture=scan.architecture)
    complete(call, repository, image, scan, examined, set_for(call, image.id, scan_type) or [])


def forget(call: Call, image: Image) -> int:
    """Forget what was set for the image; scans find again what is there. The number of scan types that it concerns."""
    return call.connection.execute(delete(set_findings).where(set_findings.c.image_id == image.id)).rowcount


def is_set(call: Call, image: Image, scan_type: str) -> bool:
    """Whether a test set the findings of this type."""
    return set_for(call, image.id, scan_type) is not None
