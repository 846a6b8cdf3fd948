"""The audit: each decision of either plane, kept for whoever asks what was done and why not.

Written by the batching writer, so that no request waits for it; the newest rows stay, up to a setting.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select

from ecrsim.core.db import MustWait
from ecrsim.core.misses import Miss
from ecrsim.core.query import Addition, Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime
from ecrsim.records.tables import audit

#: The reason of what everybody may do: no policy needs to name it.
NEEDS_NOTHING = "allowed to everyone"
#: Characters of a text of a row; ARNs have fewer.
_LONGEST = 512


class AuditEntry(NamedTuple):
    """A row of the audit: one decision. `at` in epoch milliseconds, `error` of the call that it was made for."""

    id: int
    at: int
    plane: str
    principal: str
    account: str
    region: str
    action: str
    resource: str
    is_allowed: bool
    reason: str
    request_id: str
    source: str
    error: str | None
    kind: str


_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):role/(?:.*/)?([^/]+)")
_INSERT = Addition(audit, *AuditEntry._fields[1:])
_PAGE = Query(
    select(audit)
    .where(audit.c.id > bindparam("after"), audit.c.at >= bindparam("since"))
    .order_by(audit.c.id)
    .limit(bindparam("limit")),
    AuditEntry,
)


def record(call: Call, action: str, resource: str, registry: Registry, *, is_allowed: bool, reason: str) -> None:
    """Remember a decision until the call ends (`on_record`)."""
    call.decisions.append((registry, action, resource, is_allowed, reason))


def on_record(call: Call, action: str) -> contextlib.AbstractContextManager[None]:
    """Put the decisions of the block on record, with the error that it ended with.

    A call that fails before anything was decided is on record as well, as `action` on `*`.
    """
    return _OnRecord(call, action)


class _OnRecord:
    """A class, since a generator takes as long again as a small answer's other bookkeeping."""

    __slots__ = ("_action", "_call")

    def __init__(self, call: Call, action: str) -> None:
        self._call, self._action = call, action

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        call = self._call
        if isinstance(failure, Miss | MustWait) or getattr(failure, "is_undone", False):
            call.decisions.clear()  # they are made again
            return
        error: str | None = None
        if isinstance(failure, Exception):
            error = getattr(failure, "code", "ServerException")
            if not call.decisions:
                why = "refused before it was decided"
                record(call, self._action, "*", call.caller.registry, is_allowed=False, reason=why)
        limit = call.runtime.config.audit_limit
        if limit and call.decisions:
            caller = call.caller
            begin = (call.now, caller.plane, caller.principal)
            end = (call.request_id, caller.source_ip, error)
            for number, (registry, *decision) in enumerate(call.decisions):
                row = (*begin, registry.account, registry.region, *decision, *end, registry.kind)
                call.runtime.batch.note(_write, (call.request_id, number), (limit, _short(row)))


def _short(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Rows are counted, not weighed: none may be long. Paths and access keys come from outside."""
    if any(type(value) is str and len(value) > _LONGEST for value in row):
        return tuple(
            f"{value[: _LONGEST - 1]}…" if type(value) is str and len(value) > _LONGEST else value for value in row
        )
    return row


def write_entries(runtime: Runtime) -> None:
    """Before the audit is read: write what is noted, and give other workers the moment that they need for theirs."""
    runtime.batch.flush()
    if runtime.config.workers > 1:
        runtime.batch.wait_for_others()


def _write(connection: Connection, notes: Mapping[Hashable, Any]) -> None:
    _INSERT.many(connection, [row for _, row in notes.values()])
    newest = connection.execute(select(func.max(audit.c.id))).scalar_one()
    kept = max(limit for limit, _ in notes.values())
    connection.execute(delete(audit).where(audit.c.id <= newest - kept))


def page(connection: Connection, after: int, since: int, limit: int) -> list[AuditEntry]:
    """Rows after the number `after` that are not older than `since` (epoch milliseconds), oldest first."""
    return _PAGE.all(connection, after=after, since=since, limit=limit)


def done_by(connection: Connection, principal: str, since: int) -> list[tuple[str, str]]:
    """(action, resource) of what the principal was allowed since then, each once. A session counts as its role."""
    of_principal = audit.c.principal == principal
    role = _ROLE.fullmatch(principal)
    if role is not None:
        sessions = f"arn:{role[1]}:sts::{role[2]}:assumed-role/{role[3]}/"
        of_principal |= audit.c.principal.startswith(sessions, autoescape=True)
    query = (
        select(audit.c.action, audit.c.resource)
        .where(of_principal, audit.c.is_allowed, audit.c.at >= since, audit.c.reason != NEEDS_NOTHING)
        .distinct()
        .order_by(audit.c.resource, audit.c.action)
    )
    return [(action, resource) for action, resource in connection.execute(query)]
