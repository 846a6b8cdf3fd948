"""Findings as rows: what a scan found takes the place of what the one before it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import bindparam, delete, func, literal_column, select, update

from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.scanning import findings as shapes
from ecrsim.ecr.scanning.findings import Finding
from ecrsim.ecr.scanning.tables import scan_details, scan_findings

_OF_IMAGE = (scan_findings.c.image_id == bindparam("image")) & (scan_findings.c.scan_type == bindparam("type"))
_IS_SHOWN = (scan_findings.c.closed_at.is_(None), scan_findings.c.suppressed.is_(None))
_THIS = (
    (scan_findings.c.rank == bindparam("at"))
    & (scan_findings.c.name == bindparam("called"))
    & (scan_findings.c.package == bindparam("inside"))
)


class Row(NamedTuple):
    """A finding of an image."""

    rank: int
    name: str
    package: str
    severity: str
    detail_id: int
    first_observed_at: int
    updated_at: int
    closed_at: int | None
    suppressed: str | None


class Page(NamedTuple):
    """A finding that is shown, with what it is made of (JSON)."""

    rank: int
    name: str
    package: str
    severity: str
    first_observed_at: int
    updated_at: int
    detail: str


class _Count(NamedTuple):
    severity: str
    number: int


_ROWS = Query(select(*(scan_findings.c[name] for name in Row._fields)).where(_OF_IMAGE), Row)
_PAGE = Query(
    select(*(scan_findings.c[name] for name in Page._fields[:-1]), scan_details.c.detail)
    .join(scan_details, scan_details.c.id == scan_findings.c.detail_id)
    .where(
        _OF_IMAGE,
        *_IS_SHOWN,
        (scan_findings.c.rank > bindparam("rank"))
        | (
            (scan_findings.c.rank == bindparam("rank"))
            & (
                (scan_findings.c.name > bindparam("after"))
                | ((scan_findings.c.name == bindparam("after")) & (scan_findings.c.package > bindparam("behind")))
            )
        ),
    )
    .order_by(scan_findings.c.rank, scan_findings.c.name, scan_findings.c.package)
    .limit(bindparam("limit")),
    Page,
)
_COUNTS = Query(
    select(scan_findings.c.severity, func.count().label("number"))
    .where(_OF_IMAGE, *_IS_SHOWN)
    .group_by(scan_findings.c.severity)
    .order_by(func.min(scan_findings.c.rank)),
    _Count,
)
_CLEAR = Change(delete(scan_findings).where(_OF_IMAGE))
_DROP = Change(delete(scan_findings).where(_OF_IMAGE, _THIS))
_CLOSE = Change(update(scan_findings).where(_OF_IMAGE, _THIS).values(closed_at=bindparam("now")))
_SUPPRESS = Change(update(scan_findings).where(_OF_IMAGE, _THIS).values(suppressed=bindparam("reason")))
_INSERT = Addition(scan_findings, "image_id", "scan_type", *Row._fields)
_DETAIL = Query(select(scan_details.c.id).where(scan_details.c.digest == bindparam("digest")), int)
_ADD_DETAIL = Addition(scan_details, "digest", "detail", identity=scan_details.c.id)
_ORPHANS = delete(scan_details).where(
    scan_details.c.id.in_(
        select(scan_details.c.id)
        .where(~select(literal_column("1")).where(scan_findings.c.detail_id == scan_details.c.id).exists())
        .limit(bindparam("most"))
    )
)
_FORGET_CLOSED = Change(
    delete(scan_findings).where(scan_findings.c.closed_at.is_not(None), scan_findings.c.closed_at < bindparam("before"))
)

#: (name, package) → why a finding is of no concern.
Suppressed = Mapping[tuple[str, str], str]


class Changed(NamedTuple):
    """What is another since the scan before: findings that are new or say something else, and those that are closed."""

    told: Sequence[Row]
    closed: Sequence[Row]


def replace(call: Call, image_id: int, found: Sequence[Finding], suppressed: Suppressed) -> None:
    """Replace the findings of a basic scan: nothing of the scan before is left (documented)."""
    _CLEAR.run(call.connection, image=image_id, type="BASIC")
    _insert(call, image_id, "BASIC", [_row(call, each, suppressed, call.now) for each in found])


def update_to(call: Call, image_id: int, found: Sequence[Finding], suppressed: Suppressed) -> Changed:
    """Bring the findings of an enhanced scan up to date: those that stay keep their first time, others are closed."""
    before = {row.name: row for row in _ROWS.all(call.connection, image=image_id, type="ENHANCED")}
    told, closed, added = [], [], []
    for each in found:
        known = before.pop(each.name, None)
        row = _row(call, each, suppressed, call.now if known is None else known.first_observed_at)
        if known is None or known.closed_at is not None or _said(known) != _said(row):
            if known is not None:
                _drop(call, image_id, known)
            added.append(row)
            if row.suppressed is None:
                told.append(row)
            elif known is not None and known.closed_at is None and known.suppressed is None:
                closed.append(row)
    for row in before.values():
        if row.closed_at is None:
            _CLOSE.run(call.connection, now=call.now, **_place(image_id, row))
            if row.suppressed is None:
                closed.append(row)
    _insert(call, image_id, "ENHANCED", added)
    return Changed(told, closed)


def close_all(call: Call, image_id: int) -> list[Row]:
    """Close all findings of an image that is not monitored any more. Those that were open and shown."""
    open_ones = [row for row in _ROWS.all(call.connection, image=image_id, type="ENHANCED") if row.closed_at is None]
    for row in open_ones:
        _CLOSE.run(call.connection, now=call.now, **_place(image_id, row))
    return [row for row in open_ones if row.suppressed is None]


def suppress(call: Call, image_id: int, suppressed: Suppressed) -> None:
    """Let the findings of the last basic scan be of no concern, or of concern again."""
    for row in _ROWS.all(call.connection, image=image_id, type="BASIC"):
        reason = suppressed.get((row.name, row.package))
        if reason != row.suppressed:
            _SUPPRESS.run(call.connection, reason=reason, **_place(image_id, row, "BASIC"))


def _said(row: Row) -> tuple[Any, ...]:
    return row.rank, row.detail_id, row.suppressed


def _place(image_id: int, row: Row, scan_type: str = "ENHANCED") -> dict[str, Any]:
    return {"image": image_id, "type": scan_type, "at": row.rank, "called": row.name, "inside": row.package}


def _drop(call: Call, image_id: int, row: Row) -> None:
    _DROP.run(call.connection, **_place(image_id, row))


def _insert(call: Call, image_id: int, scan_type: str, rows: Sequence[Row]) -> None:
    _INSERT.many(call.connection, [(image_id, scan_type, *row) for row in rows])


def _row(call: Call, finding: Finding, suppressed: Suppressed, first_observed_at: int) -> Row:
    place = finding.rank, finding.name, finding.package, finding.severity
    reason = suppressed.get((finding.name, finding.package))
    return Row(*place, _detail(call, finding), first_observed_at, call.now, None, reason)


def _detail(call: Call, finding: Finding) -> int:
    digest = shapes.identity(finding.detail)
    known = _DETAIL.first(call.connection, digest=digest)
    if known is not None:
        return known
    return _ADD_DETAIL.add(call.connection, digest=digest, detail=finding.detail.decode())


# --- reading ----------------------------------------------------------------------------------------------------------


def page(call: Call, image_id: int, scan_type: str, after: Sequence[Any], limit: int) -> list[Page]:
    """Findings that are shown, behind the key `after` (rank, name, package)."""
    rank, name, package = after
    place = {"image": image_id, "type": scan_type}
    return _PAGE.all(call.connection, **place, rank=rank, after=name, behind=package, limit=limit)


def counts(call: Call, image_id: int, scan_type: str) -> dict[str, int]:
    """The number of findings by severity, the most severe first; severities without findings are left out."""
    return {row.severity: row.number for row in _COUNTS.all(call.connection, image=image_id, type=scan_type)}


def rows(call: Call, image_id: int, scan_type: str) -> list[Row]:
    """All findings, closed and suppressed ones too."""
    return _ROWS.all(call.connection, image=image_id, type=scan_type)


def details(call: Call, numbers: Sequence[int]) -> dict[int, Any]:
    """What findings are made of, by the number of it."""
    query = select(scan_details.c.id, scan_details.c.detail).where(scan_details.c.id.in_(numbers))
    return {row.id: orjson.loads(row.detail) for row in call.connection.execute(query)}


# --- tidying ----------------------------------------------------------------------------------------------------------


def forget_closed(call: Call, before: int) -> None:
    """Delete findings that were closed before then (epoch milliseconds)."""
    _FORGET_CLOSED.run(call.connection, before=before)


def forget_details(call: Call, most: int) -> int:
    """Delete details that no finding is made of any more, at most so many. How many went."""
    return call.connection.execute(_ORPHANS, {"most": most}).rowcount
