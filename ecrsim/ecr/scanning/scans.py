"""Rows of scans: one for each image and scan type that was ever scanned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, select, update

from ecrsim.core.durations import DAY
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.tables import images
from ecrsim.ecr.repositories.tables import OF_REGISTRY, repositories
from ecrsim.ecr.scanning.rules import Kept
from ecrsim.ecr.scanning.tables import image_scans, scan_findings


class Scan(NamedTuple):
    """A row of `image_scans`; times are epoch milliseconds."""

    image_id: int
    scan_type: str
    repository_id: int
    status: str
    description: str | None
    requested_at: int
    pushed_at: int
    image_scan_completed_at: int | None
    vulnerability_source_updated_at: int | None
    revision: str | None
    architecture: str | None
    author: str | None
    platform: str | None

    @property
    def kept(self) -> Kept:
        return Kept(self.status, self.description, self.image_scan_completed_at is not None)


_COLUMNS = [image_scans.c[name] for name in Scan._fields]
_ONE = (image_scans.c.image_id == bindparam("image")) & (image_scans.c.scan_type == bindparam("type"))
_FIND = Query(select(*_COLUMNS).where(_ONE), Scan)
_INSERT = Addition(
    image_scans, "image_id", "scan_type", "repository_id", "status", "description", "requested_at", "pushed_at"
)
_BEGIN = Change(
    update(image_scans)
    .where(_ONE)
    .values(
        status=bindparam("now_status"),
        description=None,
        requested_at=bindparam("now"),
        pushed_at=bindparam("pushed"),
    )
)
_PUSHED = Change(update(image_scans).where(_ONE).values(pushed_at=bindparam("now")))
_FAIL = Change(update(image_scans).where(_ONE).values(status=bindparam("outcome"), description=bindparam("reason")))
_COMPLETE = Change(
    update(image_scans)
    .where(_ONE)
    .values(
        status="COMPLETE",
        description=None,
        image_scan_completed_at=bindparam("now"),
        vulnerability_source_updated_at=bindparam("updated"),
        revision=bindparam("compared"),
        architecture=bindparam("arch"),
        author=bindparam("by"),
        platform=bindparam("system"),
    )
)
_OBSERVE = Change(update(image_scans).where(_ONE).values(image_scan_completed_at=bindparam("now")))
_FORGET = (
    Change(delete(scan_findings).where(scan_findings.c.image_id == bindparam("image"))),
    Change(delete(image_scans).where(image_scans.c.image_id == bindparam("image"))),
)
_TODAY = Query(
    select(func.count())
    .select_from(image_scans.join(repositories, repositories.c.id == image_scans.c.repository_id))
    .where(
        OF_REGISTRY,
        image_scans.c.scan_type == "BASIC",
        image_scans.c.status != "LIMIT_EXCEEDED",
        image_scans.c.requested_at > bindparam("since"),
    ),
    int,
)


class Fresh(NamedTuple):
    """An image as the push that is under way made or found it; `tag_count`: of all tags that it has."""

    image_pushed_at: int
    image_size_in_bytes: int


_FRESH = Query(
    select(images.c.image_pushed_at, images.c.image_size_in_bytes).where(images.c.id == bindparam("image")), Fresh
)


def find_scan(call: Call, image_id: int, scan_type: str) -> Scan | None:
    return _FIND.first(call.connection, image=image_id, type=scan_type)


def scans_of(call: Call, image_ids: Sequence[int], scan_type: str) -> dict[int, Scan]:
    """The scans of a page of images, by the numbers of these."""
    query = select(*_COLUMNS).where(image_scans.c.image_id.in_(image_ids), image_scans.c.scan_type == scan_type)
    return {row.image_id: Scan._make(row) for row in call.connection.execute(query)}


def fresh(call: Call, image_id: int) -> Fresh:
    return _FRESH.one(call.connection, image=image_id)


def begin(
    call: Call,
    repository_id: int,
    image_id: int,
    scan_type: str,
    status: str,
    pushed_at: int,
) -> None:
    """Note that a scan was asked for now; what an earlier one found stays until this one has an end."""
    one = {"image": image_id, "type": scan_type}
    if not _BEGIN.run(call.connection, **one, now_status=status, now=call.now, pushed=pushed_at):
        _INSERT.run(
            call.connection,
            image_id=image_id,
            scan_type=scan_type,
            repository_id=repository_id,
            status=status,
            description=None,
            requested_at=call.now,
            pushed_at=pushed_at,
        )


def pushed_again(call: Call, image_id: int) -> None:
    """Let the image be monitored from now on as if it were new."""
    _PUSHED.run(call.connection, image=image_id, type="ENHANCED", now=call.now)


def fail(call: Call, image_id: int, scan_type: str, status: str, reason: str | None) -> None:
    _FAIL.run(call.connection, image=image_id, type=scan_type, outcome=status, reason=reason)


class ScanResult(NamedTuple):
    """What a scan that completed says of its image and of the advisories."""

    updated_at: int | None
    revision: str
    architecture: str | None
    author: str | None
    platform: str | None


def complete(call: Call, image_id: int, scan_type: str, outcome: ScanResult) -> None:
    _COMPLETE.run(
        call.connection,
        image=image_id,
        type=scan_type,
        now=call.now,
        updated=outcome.updated_at,
        compared=outcome.revision,
        arch=outcome.architecture,
        by=outcome.author,
        system=outcome.platform,
    )


def observe(call: Call, image_id: int, scan_type: str) -> None:
    """Note that the image was looked at again, and nothing is new."""
    _OBSERVE.run(call.connection, image=image_id, type=scan_type, now=call.now)


def forget(call: Call, image_id: int) -> None:
    """Forget all that was found in an image (documented: results are gone when it is archived and restored)."""
    for change in _FORGET:
        change.run(call.connection, image=image_id)


def count_today(call: Call, registry: Registry) -> int:
    """Basic scans that a registry began in the last 24 hours."""
    return _TODAY.one(call.connection, since=call.now - DAY, **registry._asdict())
