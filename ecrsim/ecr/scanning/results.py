"""What is shown of the scan of an image, by the clock and the configuration of now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import tags_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning import finding_rows, rules
from ecrsim.ecr.scanning import findings as shapes
from ecrsim.ecr.scanning.beginning import unscannable
from ecrsim.ecr.scanning.configuration import applied_to, configuration_of
from ecrsim.ecr.scanning.scans import Scan, find_scan, fresh


class Result(NamedTuple):
    """The last scan of an image, None of one that has not been, and what is shown of it."""

    scan_type: str
    scan: Scan | None
    shown: rules.Shown


def scan_of(call: Call, repository: Repository, image: Image) -> Result | None:
    """By the scan type that the registry has now; None where nothing is shown, as of an index."""
    configuration = configuration_of(call, repository.registry)
    scan_type = configuration.scan_type
    kept = find_scan(call, image.id, scan_type)
    if kept is None and unscannable(call, image) is not None:
        return None
    pushed_at = kept.pushed_at if kept is not None else fresh(call, image.id).image_pushed_at
    days = call.runtime.config.scan_duration
    pulled_at = image.last_recorded_pull_time if kept is not None else None
    shown = rules.shown(
        scan_type,
        kept.kept if kept is not None else None,
        applied_to(configuration, repository).frequency,
        is_archived=image.image_status != "ACTIVE",
        is_monitored=rules.is_monitored(pushed_at, pulled_at, call.now, days),
    )
    return None if shown is None else Result(scan_type, kept, shown)


def rows_behind(call: Call, image: Image, result: Result, after: Sequence[Any], limit: int) -> list[finding_rows.Page]:
    """At most so many findings behind the key; none where none are shown."""
    if result.scan is None or not result.shown.has_findings:
        return []
    return finding_rows.page(call, image.id, result.scan_type, after, limit)


def findings(
    call: Call, repository: Repository, image: Image, result: Result, page: Sequence[finding_rows.Page]
) -> dict[str, Any] | None:
    """`imageScanFindings` with a page of them, None where none are shown."""
    scan = result.scan
    if scan is None or not result.shown.has_findings:
        return None
    if result.scan_type == "BASIC":
        listed = {"findings": [_basic(row) for row in page]}
    else:
        about = about_image(repository, image, tags_of(call, image), scan)
        listed = {"enhancedFindings": [_enhanced(row, about, scan) for row in page]}
    return {**summary(call, image.id, scan), **listed}


def summary(call: Call, image_id: int, scan: Scan) -> dict[str, Any]:
    """What is said of all findings together; times are whole seconds (recorded)."""
    return {
        "imageScanCompletedAt": _second(scan.image_scan_completed_at),
        "vulnerabilitySourceUpdatedAt": _second(scan.vulnerability_source_updated_at),
        "findingSeverityCounts": finding_rows.counts(call, image_id, scan.scan_type),
    }


def _second(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000 * 1000


def about_image(repository: Repository, image: Image, tags: Sequence[str], scan: Scan) -> shapes.ScannedImage:
    """What enhanced findings say of their image."""
    name, registry = repository.repository_name, repository.registry
    kinds = scan.architecture, scan.author, scan.platform
    return shapes.ScannedImage(registry, name, image.image_digest, tags, scan.pushed_at, *kinds)


def _basic(row: finding_rows.Page) -> dict[str, Any]:
    detail = orjson.loads(row.detail)
    return detail["finding"] if isinstance(detail, dict) else shapes.show_basic(row.severity, detail)


def _enhanced(row: finding_rows.Page, image: shapes.ScannedImage, scan: Scan) -> dict[str, Any]:
    detail = orjson.loads(row.detail)
    if isinstance(detail, dict):
        return dict(detail["finding"])
    times = shapes.Times(row.first_observed_at, scan.image_scan_completed_at or row.updated_at, row.updated_at)
    return shapes.show_enhanced(row.severity, detail, image, times)
