"""STS on the same endpoint, so that real flows run untouched: who am I, assume a role, session tokens, web identities.

The query protocol: a form (or a presigned query) in, XML out. Texts are AWS's where a sentence was recorded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ecrsim.controlplane import answers
from ecrsim.controlplane.caller import authenticate
from ecrsim.controlplane.roles import is_open_to_root, unknown_role
from ecrsim.core import ids
from ecrsim.core.clock import iso
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import ServiceError
from ecrsim.core.misses import Fetched, persistently
from ecrsim.core.numbers import whole
from ecrsim.core.registry import Registry, partition, root_arn
from ecrsim.core.runtime import Call, Caller, Runtime, root_caller
from ecrsim.core.web import Answer, Request, RequestRefused, Work
from ecrsim.ecr.access import directory
from ecrsim.ecr.access.authorization import identity_of, memory, request_context
from ecrsim.iam.decision import AccessRequest, Decision, Policies, Principal, decide, denial
from ecrsim.iam.grammar import MalformedPolicy, PolicyKind, read
from ecrsim.iam.managed import managed_policy
from ecrsim.iam.signatures import QUERY_ERRORS
from ecrsim.iam.webidentity import NO_TOKEN, NOT_VALIDATED, IdentityTokenRefusal, issuer_of, verify
from ecrsim.records import audit

log = logging.getLogger("ecrsim.sts")

_VERSION = "2011-06-15"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
#: AWS's bounds of DurationSeconds.
_SHORTEST, _LONGEST = 900, 43_200
_LONGEST_SESSION = 129_600
#: The greatest DurationSeconds that is read as a number.
_MOST_SECONDS = 999_999_999
_MAX_POLICY_ARNS, _MAX_TAGS = 10, 50

#: Bytes of a form, and fields in it. The longest that STS takes has a token of 20,000 characters, a policy of 2,048,
#: ten ARNs and fifty tags. It is read before it is known who asks: a field costs forty times its bytes.
_MAX_FORM, _MAX_FIELDS = 1 << 17, 500

Parameters = Mapping[str, str]
Result = dict[str, Any]


class StsError(Exception):
    """An error of STS: code, sentence and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class _Operation(NamedTuple):
    perform: Callable[[Call, Parameters], Result]
    is_signed: bool


def is_sts(request: Request) -> bool:
    """A form that is posted, or a query that names an action; no request that has a target of the JSON API."""
    if request.header("x-amz-target"):
        return False
    if request.method == "GET":
        return request.parameter("Action") is not None
    return (request.content_type or "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"


def look(runtime: Runtime, request: Request) -> Work:
    """Sessions are written, so that all of it waits for the writer."""
    return Work("writer", min(_MAX_FORM, runtime.config.max_body), partial(answer, runtime, request))


def refuse(error: RequestRefused) -> Answer:
    """The answer where the server could not take the request."""
    request_id = ids.new_uuid()
    code = "RequestTimeout" if error.status == 408 else "MalformedInput"
    return _xml(error.status, request_id, answers.error(code, error.message, request_id))


def answer(runtime: Runtime, request: Request) -> Answer:
    request_id = ids.new_uuid()
    try:
        body = request.read(min(_MAX_FORM, runtime.config.max_body))
        if body is None:
            raise StsError("RequestEntityTooLarge", "The request is too large.", 413)
        parameters = _parameters(request, body)
        action = parameters.get("Action", "")
        found = _OPERATIONS.get(action)
        if found is None:
            raise StsError("InvalidAction", f"Could not find operation {action} for version {_VERSION}")
        attempt = partial(_performed, runtime, request, found, parameters, body, request_id)
        content, status = answers.document(action, persistently(None, attempt), request_id), 200
    except StsError as error:
        content, status = answers.error(error.code, error.message, request_id), error.status
    except ServiceError as error:
        code, status = _named(error)
        content = answers.error(code, error.message, request_id)
    except Exception:
        log.exception("request %s failed", request_id)
        content, status = answers.error("InternalFailure", "An internal error has occurred.", request_id), 500
    return _xml(status, request_id, content)


def _performed(
    runtime: Runtime,
    request: Request,
    found: _Operation,
    parameters: Mapping[str, str],
    body: bytes,
    request_id: str,
    _: Fetched,
) -> Result:
    action = f"sts:{parameters['Action']}"
    nobody = root_caller(runtime.config.account, runtime.config.region)
    with runtime.call(nobody, request_id, request.origin) as call, audit.on_record(call, action):
        if found.is_signed:
            call.caller = authenticate(call, request, body, "sts")
        else:
            call.caller = Caller(nobody.account, nobody.region, "", "", request.source_ip, request.is_secure)
        result = found.perform(call, parameters)
        if not call.decisions:
            registry, reason = call.caller.registry, audit.NEEDS_NOTHING
            audit.record(call, action, "*", registry, is_allowed=True, reason=reason)
    return result


def refused(why: str) -> Answer:
    """The answer to a request that is not let in."""
    request_id = ids.new_uuid()
    return _xml(403, request_id, answers.error("AccessDenied", why, request_id))


def _xml(status: int, request_id: str, content: bytes) -> Answer:
    headers = [
        ("Content-Type", "text/xml"),
        ("x-amzn-RequestId", request_id),
        ("Content-Length", str(len(content))),
    ]
    return Answer(status, headers, content)


def _named(error: ServiceError) -> tuple[str, int]:
    """Code and status in the query protocol."""
    for reason, named in QUERY_ERRORS.items():
        if reason.value == error.code:
            return named
    return error.code.removesuffix("Exception"), error.status


def _parameters(request: Request, body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS) if body else []
    except (UnicodeDecodeError, ValueError):
        raise StsError("MalformedQueryString", "The query string is malformed.") from None
    return {**{name: values[0] for name, values in request.query.items()}, **dict(pairs)}


# --- operations -------------------------------------------------------------------------------------------------------


def _get_caller_identity(call: Call, _: Parameters) -> Result:
    """Allowed to everyone, whatever policies say (documented)."""
    caller = call.caller
    return {"Arn": caller.principal, "UserId": _user_id(call), "Account": caller.account}


def _user_id(call: Call) -> str:
    caller = call.caller
    if caller.principal == root_arn(caller.account, caller.region):
        return caller.account
    if ":assumed-role/" in caller.principal:
        role, _, session = caller.principal.partition(":assumed-role/")[2].partition("/")
        return f"{_unique_id('AROA', caller.account, role)}:{session}"
    return _unique_id("AIDA", caller.account, caller.principal)


def _unique_id(prefix: str, *parts: str) -> str:
    return prefix + ids.stable_uuid("iam", *parts).replace("-", "")[:17].upper()


def _assume_role(call: Call, parameters: Parameters) -> Result:
    role_arn, session_name = _role_and_session(parameters)
    caller = call.caller
    role = directory.find_principal(call.connection, role_arn)
    if caller.principal == root_arn(caller.account, caller.region):
        if not is_open_to_root(call, role_arn):
            raise StsError("AccessDenied", "Roles may not be assumed by root accounts.", 403)  # R
        seconds = _duration(parameters, 3600, role.max_session if role else _LONGEST)
        role = role or unknown_role(role_arn, caller.principal)
        return _begin(call, role, session_name, seconds, _session_policies(parameters), _tags(parameters))
    identity = identity_of(call, memory(call), caller)
    tags = _tags(parameters)
    context = {**request_context(call, identity), "sts:rolesessionname": [session_name]}
    if "ExternalId" in parameters:
        context["sts:externalid"] = [parameters["ExternalId"]]
    for key, value in tags.items():
        context[f"aws:requesttag/{key.lower()}"] = [value]
    account = role_arn.split(":")[4]
    if role is None or role.trust is None:
        raise StsError("AccessDenied", _not_authorized(caller.principal, role_arn), 403)
    trust = read(role.trust, PolicyKind.TRUST, f"trust policy of {role.name}")
    policies = Policies(identity.documents, identity.boundary, identity.session, trust=trust)
    for action in ("sts:AssumeRole", "sts:TagSession") if tags else ("sts:AssumeRole",):
        asked = AccessRequest(identity.principal, action, role_arn, account, context)
        decision = decide(asked, policies)
        _record(call, asked, decision)
        if not decision.allowed:
            raise StsError("AccessDenied", denial(asked, decision), 403)
    # A role that assumes a role has an hour (documented: role chaining).
    longest = 3600 if identity.principal.role_arn else role.max_session
    return _begin(call, role, session_name, _duration(parameters, 3600, longest), _session_policies(parameters), tags)


def _record(call: Call, asked: AccessRequest, decision: Decision) -> None:
    registry = Registry(asked.account, call.caller.region)
    audit.record(call, asked.action, asked.resource, registry, is_allowed=decision.allowed, reason=decision.because)


def _not_authorized(principal: str, role_arn: str) -> str:
    return f"User: {principal} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"  # R


def _assume_role_with_web_identity(call: Call, parameters: Parameters) -> Result:
    """No signature: the token says who asks."""
    role_arn, session_name = _role_and_session(parameters)
    token = parameters.get("WebIdentityToken", "")
    provider, claims = _checked_token(call, token)
    call.caller = call.caller._replace(principal=f"{provider.arn}:{claims.get('sub', '')}")
    role = directory.find_principal(call.connection, role_arn)
    host = provider.arn.partition(":oidc-provider/")[2]
    context = {f"{host}:{name}".lower(): _texts(value) for name, value in claims.items()}
    principal = Principal("", "", federated=provider.arn)
    account = role_arn.split(":")[4]
    asked = AccessRequest(principal, "sts:AssumeRoleWithWebIdentity", role_arn, account, context)
    allowed = role is not None and role.trust is not None
    if allowed:
        trust = read(role.trust, PolicyKind.TRUST, f"trust policy of {role.name}")
        decision = decide(asked, Policies(None, trust=trust))
        _record(call, asked, decision)
        allowed = decision.allowed
    if not allowed:
        raise StsError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)  # R
    seconds = _duration(parameters, 3600, role.max_session)
    result = _begin(call, role, session_name, seconds, _session_policies(parameters), {})
    audience = _texts(claims.get("aud", ""))[0]
    return {
        **result,
        "SubjectFromWebIdentityToken": str(claims.get("sub", "")),
        "Provider": provider.arn,
        "Audience": audience,
    }


def _checked_token(call: Call, token: str) -> tuple[Any, Mapping[str, Any]]:
    issuer = issuer_of(token)
    provider = directory.find_provider(call.connection, issuer) if issuer else None
    if issuer is not None and provider is None:
        raise StsError(NOT_VALIDATED.code, NOT_VALIDATED.message)
    if issuer is None or provider is None:
        raise StsError(NO_TOKEN.code, NO_TOKEN.message)
    found = verify(token, provider.keys, issuer, provider.audiences, call.now)
    if isinstance(found, IdentityTokenRefusal):
        raise StsError(found.code, found.message)
    return provider, found


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _get_session_token(call: Call, parameters: Parameters) -> Result:
    """The caller's own rights under a key that expires."""
    caller = call.caller
    is_root = caller.principal == root_arn(caller.account, caller.region)
    if ":assumed-role/" in caller.principal:
        raise StsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)  # R
    seconds = _duration(parameters, 3600 if is_root else 43_200, 3600 if is_root else _LONGEST_SESSION)
    with call.writing():
        session = directory.begin_session(call, caller.principal, None, seconds, [], {})
    return {"Credentials": _credentials(session)}


def _begin(
    call: Call, role: Any, session_name: str, seconds: int, policies: list[dict[str, Any]], tags: dict[str, str]
) -> Result:
    arn = f"arn:{partition(call.caller.region)}:sts::{role.account}:assumed-role/{role.name}/{session_name}"
    with call.writing():
        session = directory.begin_session(call, role.arn, arn, seconds, policies, tags)
    role_id = _unique_id("AROA", role.account, role.name)
    return {
        "Credentials": _credentials(session),
        "AssumedRoleUser": {"AssumedRoleId": f"{role_id}:{session_name}", "Arn": arn},
    }


def _credentials(session: directory.Session) -> Result:
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.session_token,
        "Expiration": iso(session.expires_at // SECOND * SECOND),
    }


# --- parameters -------------------------------------------------------------------------------------------------------


def _role_and_session(parameters: Parameters) -> tuple[str, str]:
    role_arn, name = parameters.get("RoleArn", ""), parameters.get("RoleSessionName", "")
    if not _ROLE.fullmatch(role_arn):
        raise StsError("ValidationError", f"{role_arn} is invalid")
    if not _SESSION_NAME.fullmatch(name):
        raise StsError(
            "ValidationError",
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]*",
        )  # R
    return role_arn, name


def _duration(parameters: Parameters, default: int, longest: int) -> int:
    text = parameters.get("DurationSeconds", str(min(default, longest)))
    seconds = whole(text, _MOST_SECONDS)
    if seconds is None:
        raise StsError("ValidationError", f"Value '{text}' at 'durationSeconds' is not a number")
    if not _SHORTEST <= seconds <= max(longest, _LONGEST):
        raise StsError(
            "ValidationError",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            + (
                f"Member must have value greater than or equal to {_SHORTEST}"
                if seconds < _SHORTEST
                else f"Member must have value less than or equal to {max(longest, _LONGEST)}"
            ),
        )  # R
    if seconds > longest:
        raise StsError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )  # R
    return seconds


def _session_policies(parameters: Parameters) -> list[dict[str, Any]]:
    """The policy of the request and the managed ones that it names: what any of them allows is left to the session."""
    policies: list[dict[str, Any]] = []
    text = parameters.get("Policy")
    if text is not None:
        try:
            read(text, PolicyKind.SESSION, "session policy")
        except MalformedPolicy as error:
            raise StsError("MalformedPolicyDocument", str(error)) from None
        policies.append({"name": "session policy", "document": text})
    for number in range(1, _MAX_POLICY_ARNS + 1):
        arn = parameters.get(f"PolicyArns.member.{number}.arn")
        if arn is None:
            break
        if managed_policy(arn, PolicyKind.SESSION) is None:
            raise StsError("ValidationError", f"The policy {arn} does not exist or is not attachable.")  # I
        policies.append({"name": arn, "document": None})
    return policies


def _tags(parameters: Parameters) -> dict[str, str]:
    tags = {}
    for number in range(1, _MAX_TAGS + 2):
        key = parameters.get(f"Tags.member.{number}.Key")
        if key is None:
            break
        tags[key] = parameters.get(f"Tags.member.{number}.Value", "")
    if len(tags) > _MAX_TAGS:
        raise StsError(
            "ValidationError",
            "1 validation error detected: Value at 'tags' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_MAX_TAGS}",
        )  # I
    return tags


_OPERATIONS = {
    "GetCallerIdentity": _Operation(_get_caller_identity, True),
    "AssumeRole": _Operation(_assume_role, True),
    "AssumeRoleWithWebIdentity": _Operation(_assume_role_with_web_identity, False),
    "GetSessionToken": _Operation(_get_session_token, True),
}
