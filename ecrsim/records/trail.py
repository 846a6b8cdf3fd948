"""The trail: each request that changed something, as CloudTrail would have it, in the transaction of the change.

Reads are left to the audit, and so is the traffic of layers: a push would leave dozens of records of no interest.
"""

from __future__ import annotations

import orjson

from ecrsim.core.errors import ServiceError
from ecrsim.core.outbox import emit
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call

#: Bytes that CloudTrail keeps of parameters or elements (documented).
_LONGEST = 100 * 1024
#: The same of a user agent.
_LONGEST_AGENT = 1024


def record_call(
    call: Call,
    operation: str,
    registry: Registry,
    repository_name: str | None,
    request: bytes,
    response: bytes,
    user_agent: str | None,
    plane: str | None = None,
    error: ServiceError | None = None,
    *,
    is_read: bool = False,
    key_arn: str | None = None,
) -> None:
    """`request` and `response` are the JSON of the wire; the response of a call on the registry plane too.

    `plane`: the caller's, if none is given; "registry" for what ECR calls itself on a caller's behalf. `error`: what
    the call was answered with, of those that nobody hears of otherwise. `is_read`: it changed nothing. `key_arn`:
    of the key that ECR asked KMS for on the caller's behalf; the record is then KMS's.
    """
    if not call.runtime.config.events_limit:
        return
    caller = call.caller
    facts = orjson.dumps(
        {
            "event_source": "kms.amazonaws.com" if key_arn else registry.event_source,
            "event_name": operation,
            "error_code": error.code if error else None,
            "error_message": error.message if error else None,
            "read_only": is_read,
            "resources": [key_arn] if key_arn else [registry.arn(repository_name)] if repository_name else [],
        }
    )
    trail = {
        "principal": caller.principal,
        "account": caller.account,
        "access_key": caller.access_key,
        "source_ip": caller.source_ip,
        "user_agent": (user_agent or "")[:_LONGEST_AGENT],
        "request_id": call.request_id,
        "plane": plane or caller.plane,
    }
    # Both are JSON already: reading them only to write them again would cost as much as the row does.
    whole = b'%s,"request":%s,"response":%s}' % (
        facts[:-1],
        _limited("requestParameters", request.strip() or b"{}"),
        _limited("responseElements", response or b"null"),
    )
    emit(call, registry, repository_name, "ApiCalled", whole, trail)


def _limited(name: str, text: bytes) -> bytes:
    """The event leaves out what CloudTrail would leave out: two copies of a manifest of 4 MiB would stay for long."""
    if len(text) <= _LONGEST:
        return text
    return orjson.dumps({"reason": f"{name} too large", "omitted": True, "originalSize": len(text)})
