"""Admin routes of access: who is known, what was decided, why, and what a principal needs at least."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import check_query, json_answer, json_body, number
from ecrsim.admin.guard import reaches_beyond
from ecrsim.contract.models import SERVICES, service
from ecrsim.core.clock import iso
from ecrsim.core.registry import Registry, parse_arn
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.ecr.access.authorization import explanation_of
from ecrsim.ecr.access.directory import DirectoryError, known_arns, replace_all
from ecrsim.iam.explanation import minimal_policy
from ecrsim.records import audit
from ecrsim.spelling import hint

_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\d{12}):.+", re.ASCII)
_NAMED = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(?:user|role)/.+", re.ASCII)
_SESSION = re.compile(r"(arn:aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+", re.ASCII)
#: Actions that no operation has (service authorization reference).
_RIGHTS = {"BatchImportUpstreamImage", "GetImageCopyStatus", "ReplicateImage"}
_ACTION = re.compile(r"ecr(?:-public)?:[A-Za-z]+")
_MAX_PAGE = 1000


def access_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("access", __name__, url_prefix="/_ecrsim")

    @routes.put("/principals")
    @reaches_beyond
    def put_principals() -> Response:
        """Replace all users, roles, keys and identity providers."""
        try:
            with runtime.database.write() as connection:
                counts = replace_all(connection, json_body(), runtime.config.account, runtime.config.region)
        except DirectoryError as error:
            raise BadRequest(str(error)) from None
        return jsonify(counts)

    @routes.post("/explain")
    def explain() -> Response:
        """The decision for a principal, an action and a resource; of a denial, what would have allowed it."""
        body = json_body("principal", "action", "resource", "context")
        principal, action, resource = (str(body.get(name, "")) for name in ("principal", "action", "resource"))
        context = body.get("context", {})
        if not isinstance(context, Mapping):
            raise BadRequest("context is an object of condition keys")
        match = _PRINCIPAL.fullmatch(principal)
        if match is None:
            raise BadRequest("principal is the ARN of a user, a role, a session or root")
        action = _known_action(action)
        registry, name = _target(runtime, match[1], resource)
        caller = Caller(match[1], registry.region, principal)
        given = {key.lower(): [str(item) for item in _list(value)] for key, value in context.items()}
        with runtime.call(caller) as call:
            _check_known(call, principal)
            return json_answer(explanation_of(call, action, registry, name, given))

    @routes.get("/audit")
    def read_audit() -> Response:
        """Decisions after the number `after`, oldest first, with the number to go on after."""
        check_query("after", "since", "limit")
        limit = min(number("limit", 100), _MAX_PAGE)
        audit.write_entries(runtime)
        with runtime.database.read() as connection:
            rows = audit.page(connection, number("after", 0), number("since", 0), limit)
        records = [_record(row) for row in rows]
        return json_answer({"records": records, "next": rows[-1].id if rows else number("after", 0)})

    @routes.get("/policy/minimal")
    def minimal() -> Response:
        """The least that covers what a principal was allowed since then (epoch milliseconds)."""
        check_query("principal", "since")
        principal = request.args.get("principal", "")
        audit.write_entries(runtime)
        with runtime.database.read() as connection:
            done = audit.done_by(connection, principal, number("since", 0))
        if not done:
            raise BadRequest(f"the audit has nothing that {principal or 'nobody'} was allowed")
        return json_answer(minimal_policy(done))

    return routes


def _known_action(text: str) -> str:
    """The action as IAM spells it, of whatever case. BadRequest, with the nearest, when there is none."""
    if not _ACTION.fullmatch(text):
        raise BadRequest("action is one of ecr's: ecr:PutImage")
    known = {f"{name}:{operation}" for name in SERVICES for operation in service(name).operations}
    known |= {f"ecr:{right}" for right in _RIGHTS}
    found = {action.lower(): action for action in known}.get(text.lower())
    if found is None:
        raise BadRequest(f"there is no action {text}{hint(text, known)}")
    return found


def _check_known(call: Call, principal: str) -> None:
    """BadRequest for a user, a role, or a session of a role, that is not known: with the nearest."""
    session = _SESSION.fullmatch(principal)
    if session is None and not _NAMED.fullmatch(principal):
        return
    known = known_arns(call.connection)
    if session is not None:
        # A session's ARN leaves out the path of its role.
        principal = f"{session[1]}:iam::{session[2]}:role/{session[3]}"
        known = {re.sub(r":role/.*/", ":role/", each) for each in known}
    if principal not in known:
        raise BadRequest(f"nobody is known as {principal}{hint(principal, known)}")


def _target(runtime: Runtime, account: str, resource: str) -> tuple[Registry, str | None]:
    if resource == "*":
        return Registry(account, runtime.config.region), None
    parsed = parse_arn(resource)
    if parsed is None:
        raise BadRequest("resource is the ARN of a repository, or *")
    return parsed


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _record(row: audit.AuditEntry) -> dict[str, Any]:
    return {
        "number": row.id,
        "time": iso(row.at),
        "plane": row.plane,
        "principal": row.principal,
        "account": row.account,
        "region": row.region,
        "action": row.action,
        "resource": row.resource,
        "decision": "allowed" if row.is_allowed else "denied",
        "reason": row.reason,
        "requestId": row.request_id,
        "source": row.source,
        "error": row.error,
    }
