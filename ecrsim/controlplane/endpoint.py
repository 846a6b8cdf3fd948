"""One API request, from the target header to the answer: the whole flow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ecrsim.contract.models import Operation
from ecrsim.contract.operations import function_of, resolve_target
from ecrsim.contract.parse import parse
from ecrsim.contract.shape import error_body, shape
from ecrsim.controlplane.caller import caller_of
from ecrsim.core import ids
from ecrsim.core.arn import Registry, parse_repository_arn
from ecrsim.core.errors import (
    NotImplementedException,
    RequestEntityTooLargeException,
    ServerException,
    ServiceError,
    UnknownOperationException,
)
from ecrsim.core.runtime import Caller, Runtime
from ecrsim.core.web import Answer, Request
from ecrsim.ecr.access.service import authorize

log = logging.getLogger("ecrsim.api")

CONTENT_TYPE = "application/x-amz-json-1.1"
_ACCEPTED_TYPES = (CONTENT_TYPE, "application/x-amz-json-1.0")
#: Operations that change nothing run in a read transaction; the two that move bytes open their own (ecr/layers).
_READS = ("Describe", "Get", "List", "BatchGet", "BatchCheck", "UploadLayerPart", "CompleteLayerUpload")
#: The IAM action of an operation is its name, with one exception in the model's text.
_ACTIONS = {"ListImageReferrers": "BatchGetImage"}


def answer(runtime: Runtime, request: Request) -> Answer:
    """Every outcome is an answer; what nobody foresaw is ServerException, and logged."""
    request_id = ids.new_uuid()
    try:
        body = _perform(runtime, request, request_id)
        status = 200
    except ServiceError as error:
        status, body = error.status, error_body(error)
        if isinstance(error, UnknownOperationException) and not _is_json(request):
            status = 404
    except Exception:
        log.exception("request %s failed", request_id)
        status, body = 500, error_body(ServerException("An internal error has occurred."))
    headers = [
        ("Content-Type", CONTENT_TYPE),
        ("x-amzn-RequestId", request_id),
        ("Content-Length", str(len(body))),
    ]
    return Answer(status, headers, body)


def _is_json(request: Request) -> bool:
    return (request.content_type or "").partition(";")[0].strip().lower() in _ACCEPTED_TYPES


def _perform(runtime: Runtime, request: Request, request_id: str) -> bytes:
    if not _is_json(request):
        raise UnknownOperationException("The content type must be application/x-amz-json-1.1.")  # I
    operation = resolve_target(request.header("X_AMZ_TARGET") or "")
    caller = caller_of(runtime.config, request)
    function = function_of(operation)
    if function is None:
        raise NotImplementedException(operation=operation.name)
    content = request.read(runtime.config.max_body)
    if content is None:
        raise RequestEntityTooLargeException(f"The request body is longer than {runtime.config.max_body} bytes.")  # I
    arguments = parse(operation, content)
    _authorize(caller, operation, arguments)
    with runtime.call(caller, request_id, request.origin) as call:
        if operation.name.startswith(_READS):
            return shape(operation, function(call, **arguments))
        with call.writing():
            return shape(operation, function(call, **arguments))


def _authorize(caller: Caller, operation: Operation, arguments: Mapping[str, Any]) -> None:
    account, region = arguments.get("registry_id") or caller.account, caller.region
    name = arguments.get("repository_name")
    if operation.name == "DescribeRepositories":
        # Recorded: the denial names the first repository that was asked for, or all of them.
        name = arguments.get("repository_names", "*")[0]
    if (arn := arguments.get("resource_arn")) and (parsed := parse_repository_arn(arn)):
        region, account, name = parsed
    authorize(caller, _ACTIONS.get(operation.name, operation.name), Registry(account, region), name)
