"""One API request, from the target header to the answer: the whole flow."""

from __future__ import annotations

import logging

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
    ServerException,
    ServiceError,
)
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.core.web import Answer, Request
from ecrsim.ecr.access import audit
from ecrsim.ecr.access.authorization import authorize
from ecrsim.ecr.access.trail import called

log = logging.getLogger("ecrsim.api")

CONTENT_TYPE = "application/x-amz-json-1.1"
#: What the front end says to any other type, also to that of JSON 1.0 (recorded).
_OTHER_TYPE = b"<UnknownOperationException/>\n"


def answer(runtime: Runtime, request: Request) -> Answer:
    """Every outcome is an answer; what nobody foresaw is ServerException, and logged."""
    request_id = ids.new_uuid()
    if (request.content_type or "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        return _answer(404, "application/xml", request_id, _OTHER_TYPE)
    try:
        body = _perform(runtime, request, request_id)
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
    return Answer(status, headers, body)


def _perform(runtime: Runtime, request: Request, request_id: str) -> bytes:
    operation = resolve_target(request.header("X_AMZ_TARGET") or "")
    content = request.read(runtime.config.max_body)
    if content is None:
        raise RequestEntityTooLargeException(f"The request body is longer than {runtime.config.max_body} bytes.")  # I
    with runtime.call(root_caller(runtime.config.account, runtime.config.region), request_id, request.origin) as call:
        declared = declaration_of(operation)
        with audit.kept(call, f"{operation.service}:{declared.action if declared else operation.name}"):
            call.caller = authenticate(call, request, content, operation.service)
            if declared is None:
                raise NotImplementedException(operation=operation.name)
            return _result(call, declared, content, request.header("USER_AGENT"))


def _result(call: Call, declared: Declaration, content: bytes, user_agent: str | None) -> bytes:
    operation = declared.operation
    arguments = parse(operation, content, declared.service_checks)
    plain = plain_question(call.caller, operation.service, declared.action, arguments)
    asked = declared.asks(plain, arguments)
    for question in asked:
        authorize(call, *question)
    if declared.transaction != "write":
        return shape(operation, declared.function(call, **arguments))
    with call.writing():
        body = shape(operation, declared.function(call, **arguments))
        if declared.on_trail:
            place = asked[0].registry, asked[0].repository_name
            called(call, operation.name, *place, content, body, user_agent)
        return body
