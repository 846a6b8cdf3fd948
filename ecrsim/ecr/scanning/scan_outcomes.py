"""What becomes of an examined image: its scan gets an end, its findings take their places, and that is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select

from ecrsim.core.facts import record, record_all
from ecrsim.core.query import Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import tags_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning import finding_rows, rules, scans
from ecrsim.ecr.scanning import findings as shapes
from ecrsim.ecr.scanning.events import EnhancedScanCompleted, FindingChanged, ImageScanned
from ecrsim.ecr.scanning.examination_input import remember
from ecrsim.ecr.scanning.examination_messages import Examined
from ecrsim.ecr.scanning.findings import Finding
from ecrsim.ecr.scanning.results import about_image
from ecrsim.ecr.scanning.scans import Scan, ScanResult
from ecrsim.ecr.scanning.tables import set_findings
from ecrsim.records import tally

_SET = Query(
    select(set_findings.c.findings).where(
        set_findings.c.image_id == bindparam("image"), set_findings.c.scan_type == bindparam("type")
    ),
    list,
)


def settle(call: Call, repository: Repository, image: Image, scan_type: str, examined: Examined) -> None:
    """End a scan, in a write transaction. A scan that was forgotten meanwhile is left alone."""
    remember(call, examined.read)
    scan = scans.find_scan(call, image.id, scan_type)
    if scan is None:
        return
    wanted = set_for(call, image.id, scan_type)
    if wanted is not None:
        complete(call, repository, image, scan, examined, wanted)
        return
    if examined.failure is not None:
        _fail(call, repository, image, scan, "FAILED", examined.failure)
        return
    status = rules.verdict(scan_type, examined.system, has_language_packages=examined.has_language_packages)
    if status == "COMPLETE":
        complete(call, repository, image, scan, examined, examined.findings[scan_type])
    else:
        _fail(call, repository, image, scan, status, rules.UNSUPPORTED)


def set_for(call: Call, image_id: int, scan_type: str) -> list[Finding] | None:
    """The findings that a test set for the image; None where it set none."""
    found = _SET.first(call.connection, image=image_id, type=scan_type)
    return None if found is None else [shapes.set_by_test(scan_type, each) for each in found]


def _fail(call: Call, repository: Repository, image: Image, scan: Scan, status: str, reason: str) -> None:
    scans.fail(call, image.id, scan.scan_type, status, reason)
    if scan.scan_type == "BASIC":
        tags = tuple(tags_of(call, image))
        record(call, ImageScanned(repository, image.image_digest, tags, "FAILED", {}))
    else:
        _tell(call, repository, image, scan, (), finding_rows.close_all(call, image.id))


def complete(
    call: Call, repository: Repository, image: Image, scan: Scan, examined: Examined, found: Sequence[Finding]
) -> None:
    """Let the scan be COMPLETE, with these findings."""
    suppressed = {(name, package): reason for name, package, reason in examined.suppressed.get(scan.scan_type, ())}
    outcome = ScanResult(
        examined.advisories_updated_at,
        examined.revision,
        examined.architecture,
        examined.author,
        examined.platform,
    )
    tags = tuple(tags_of(call, image))
    place = repository, image.image_digest, tags
    if scan.scan_type == "BASIC":
        finding_rows.replace(call, image.id, found, suppressed)
        scans.complete(call, image.id, "BASIC", outcome)
        tally.record(call, repository.registry, repository.repository_name, tally.BASIC_SCAN)
        record(call, ImageScanned(*place, "COMPLETE", finding_rows.counts(call, image.id, "BASIC")))
        return
    changed = finding_rows.update_to(call, image.id, found, suppressed)
    scans.complete(call, image.id, "ENHANCED", outcome)
    measure = tally.ENHANCED_SCAN if scan.status == "PENDING" else tally.ENHANCED_RESCAN
    tally.record(call, repository.registry, repository.repository_name, measure)
    if scan.status == "PENDING":
        record(call, EnhancedScanCompleted(*place, finding_rows.counts(call, image.id, "ENHANCED")))
    now = scan._replace(architecture=outcome.architecture, author=outcome.author, platform=outcome.platform)
    _tell(call, repository, image, now, changed.told, changed.closed)


def expire(call: Call, repository: Repository, image: Image, scan: Scan) -> None:
    """Close the findings of an image that is monitored no longer (documented of Inspector)."""
    _tell(call, repository, image, scan, (), finding_rows.close_all(call, image.id))


def _tell(
    call: Call,
    repository: Repository,
    image: Image,
    scan: Scan,
    told: Sequence[finding_rows.Row],
    closed: Sequence[finding_rows.Row],
) -> None:
    """One event for each finding that is new, another, or closed (documented)."""
    if not told and not closed:
        return
    about = about_image(repository, image, tags_of(call, image), scan)
    details = finding_rows.details(call, [row.detail_id for row in (*told, *closed)])
    facts = []
    for rows, status in ((told, "ACTIVE"), (closed, "CLOSED")):
        for row in rows:
            finding = _finding(call, row, details[row.detail_id], about, status)
            facts.append(FindingChanged(repository, image.image_digest, finding))
    record_all(call, facts)


def _finding(
    call: Call, row: finding_rows.Row, detail: object, about: shapes.ScannedImage, status: str
) -> Mapping[str, object]:
    if isinstance(detail, dict):
        return dict(detail["finding"]) | {"status": status}
    times = shapes.Times(row.first_observed_at, call.now, call.now)
    return shapes.show_enhanced(row.severity, detail, about, times, status)  # type: ignore[arg-type]
