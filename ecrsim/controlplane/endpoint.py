"""One API request, from the target header to the answer: the whole flow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from ecrsim.contract.models import Operation
from ecrsim.contract.operations import Declaration, declaration_of, resolve_target
from ecrsim.contract.parse import parse
from ecrsim.contract.questions import plain_question
from ecrsim.contract.shape import error_body, shape
from ecrsim.controlplane.caller import authenticate
from ecrsim.core import ids
from ecrsim.core.errors import (
    AccessDeniedException,
    NotImplementedException,
    RequestEntityTooLargeException,
    RequestHeaderFieldsTooLargeException,
    RequestTimeoutException,
    SerializationException,
    ServerException,
    ServiceError,
)
from ecrsim.core.misses import Fetched, persistently
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.core.web import RETRY_LATER, Answer, Request, RequestRefused, Work, runs_where
from ecrsim.ecr.access.authorization import authorize
from ecrsim.records import audit
from ecrsim.records.trail import record_call

log = logging.getLogger("ecrsim.api")

#: Operations that bring a manifest or a part of a layer. The bodies of all others have so many bytes at most: what they
#: say costs up to thirty times as much once it is read.
_LARGE = frozenset({"PutImage", "UploadLayerPart"})
_SMALL_BODY = 1 << 20
CONTENT_TYPE = "application/x-amz-json-1.1"
#: The answer of the front end to any other type, also to that of JSON 1.0 (recorded).
_OTHER_TYPE = b"<UnknownOperationException/>\n"
#: Errors of requests that the server could not read (inferred, all three).
_REFUSALS: Mapping[int, type[ServiceError]] = {
    400: SerializationException,
    408: RequestTimeoutException,
    431: RequestHeaderFieldsTooLargeException,
}


def look(runtime: Runtime, request: Request) -> Work:
    """Find the operation. Every outcome is an answer; what nobody foresaw is ServerException, and logged."""
    if (request.content_type or "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        return Work("loop", 0, _other_type)
    try:
        operation = resolve_target(request.header("x-amz-target") or "")
    except ServiceError as error:
        return Work("loop", 0, partial(_refusal, error))
    declared = declaration_of(operation)
    takes = _limit(runtime, operation)
    runs = declared.runs if declared else "loop"
    if declared is not None and declared.asks_store:
        runs = runs_where(runs, waits=runtime.blobs.waits)
    return Work(runs, takes, partial(_answer_of, runtime, request, operation))


def _limit(runtime: Runtime, operation: Operation) -> int:
    """Bytes of a body."""
    longest = runtime.config.max_body
    return longest if operation.name in _LARGE else min(longest, _SMALL_BODY)


def refuse(error: RequestRefused) -> Answer:
    """The answer where the server could not take the request."""
    return _refusal(_REFUSALS[error.status](error.message))


def _other_type() -> Answer:
    return _answer(404, "application/xml", ids.new_uuid(), _OTHER_TYPE)


def _refusal(error: ServiceError) -> Answer:
    return _answer(error.status, CONTENT_TYPE, ids.new_uuid(), error_body(error))


def _answer_of(runtime: Runtime, request: Request, operation: Operation) -> Answer:
    request_id = ids.new_uuid()
    try:
        body = _perform(runtime, request, operation, request_id)
        status = 200
    except ServiceError as error:
        status, body = error.status, error_body(error)
    except Exception:
        log.exception("request %s failed", request_id)
        status, body = 500, error_body(ServerException("An internal error has occurred."))
    return _answer(status, CONTENT_TYPE, request_id, body)


def refused(why: str) -> Answer:
    """The answer to a request that is not let in."""
    error = AccessDeniedException(why)
    return _answer(error.status, CONTENT_TYPE, ids.new_uuid(), error_body(error))


def _answer(status: int, content_type: str, request_id: str, body: bytes) -> Answer:
    headers = [
        ("Content-Type", content_type),
        ("x-amzn-RequestId", request_id),
        ("Content-Length", str(len(body))),
    ]
    if status == 503:
        headers.append(RETRY_LATER)
    return Answer(status, headers, body)


def _perform(runtime: Runtime, request: Request, operation: Operation, request_id: str) -> bytes:
    limit = _limit(runtime, operation)
    content = request.read(limit)
    if content is None:
        raise RequestEntityTooLargeException(f"The request body is longer than {limit} bytes.")  # I
    return persistently(request.fetched, partial(_attempt, runtime, request, operation, request_id, content))


def _attempt(
    runtime: Runtime, request: Request, operation: Operation, request_id: str, content: bytes, fetched: Fetched
) -> bytes:
    with runtime.call(root_caller(runtime.config.account, runtime.config.region), request_id, request.origin) as call:
        call.lookups["fetched"] = fetched
        declared = declaration_of(operation)
        with audit.on_record(call, f"{operation.service}:{declared.action if declared else operation.name}"):
            call.caller = authenticate(call, request, content, operation.service)._replace(service=operation.service)
            if declared is None:
                raise NotImplementedException(operation=operation.name)
            return _result(call, declared, content, request.header("user-agent"))


def _result(call: Call, declared: Declaration, content: bytes, user_agent: str | None) -> bytes:
    operation = declared.operation
    arguments = parse(operation, content, declared.service_checks)
    if declared.enters is not None:
        arguments = declared.enters(call, operation, arguments)
    plain = plain_question(call.caller, operation.service, declared.action, arguments)
    asked = declared.asks(plain, arguments)
    for question in asked:
        authorize(call, *question)
    if declared.transaction != "write":
        return shape(operation, declared.function(call, **arguments))
    if declared.ahead is not None:
        declared.ahead(call, arguments)
    place = asked[0].registry, asked[0].repository_name
    scope = place[0].scope(place[1]) if declared.scope == "repository" and place[1] else ""
    with call.writing(scope):
        body = shape(operation, declared.function(call, **arguments))
        if declared.on_trail:
            record_call(call, operation.name, *place, content, body, user_agent)
    if call.late_error is not None:
        raise call.late_error
    return body
