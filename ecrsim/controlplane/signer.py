"""The part of AWS Signer's API that signing profiles need, on the same endpoint: REST with JSON, as its model says.

    PUT    /signing-profiles/{profileName}          PutSigningProfile
    GET    /signing-profiles/{profileName}          GetSigningProfile
    GET    /signing-profiles                        ListSigningProfiles
    DELETE /signing-profiles/{profileName}          CancelSigningProfile
    PUT    /signing-profiles/{profileName}/revoke   RevokeSigningProfile

And the revocation list, which verifiers fetch without credentials. Sentences are inferred, but for those of access.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from ecrsim.controlplane.caller import authenticate
from ecrsim.core import ids, paging
from ecrsim.core.errors import AccessDeniedException, ServerException, ServiceError
from ecrsim.core.misses import Fetched, persistently
from ecrsim.core.numbers import whole
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.core.web import Answer, Request, RequestRefused, Work
from ecrsim.ecr.access.authorization import decision_about
from ecrsim.ecr.signing import profiles
from ecrsim.ecr.signing.profiles import ProfileRefused, SigningProfile, WantedProfile
from ecrsim.ecr.signing.rules import LIST_PATH, NAME, PLATFORM, VALIDITY, ProfileName, is_validity
from ecrsim.iam.decision import denial
from ecrsim.records import audit

log = logging.getLogger("ecrsim.signer")

_PREFIX = "/signing-profiles"
_MAX_BODY = 1 << 16
#: The longest page (documented), and how long one is when nobody says.
_MAX_RESULTS = 25
#: Platforms, as they are shown (documented).
_PLATFORMS = {
    PLATFORM: "Notation for Container Registries",
    "AWSLambda-SHA384-ECDSA": "AWS Lambda",
    "AWSIoTDeviceManagement-SHA256-ECDSA": "AWS IoT Device Management SHA256-ECDSA",
}
_STATUSES = ("Active", "Canceled", "Revoked")
_PUT_MEMBERS = {"platformId", "signatureValidityPeriod", "tags"}
#: What only platforms have that ECR does not sign with.
_OTHERS = {"signingMaterial", "overrides", "signingParameters"}
_REVOKE_MEMBERS = {"profileVersion", "reason", "effectiveTime"}
_MAX_REASON, _MAX_TAGS = 500, 200
#: Seconds after 1970 that a time may have: the year 9999.
_MAX_TIME = 253_402_300_799

Result = dict[str, Any]


class SignerError(ServiceError):
    """An error of AWS Signer: its name, sentence and HTTP status."""

    def __init__(self, code: str, message: str, http_status: int) -> None:
        super().__init__(message)
        self._code, self.http_status = code, http_status

    @property
    def code(self) -> str:
        return self._code


class _Operation(NamedTuple):
    name: str
    perform: Callable[[Call, ProfileName, Request, bytes], Result]
    is_about_one: bool = True


def is_signer(request: Request) -> bool:
    """A path of AWS Signer's, which neither plane has."""
    return request.path in (_PREFIX, LIST_PATH) or request.path.startswith(_PREFIX + "/")


def look(runtime: Runtime, request: Request) -> Work:
    """Profiles are written, so that all of them wait for the writer; signing the list takes a moment."""
    if request.path == LIST_PATH:
        return Work("long", 0, partial(_revocations, runtime, request))
    return Work("writer", _MAX_BODY, partial(answer, runtime, request))


def refuse(error: RequestRefused) -> Answer:
    """The answer where the server could not take the request."""
    return _answer(error.status, {"message": error.message, "code": "ValidationException"}, "ValidationException")


def refused(why: str) -> Answer:
    """The answer to a request that is not let in."""
    return _answer(403, {"message": why, "code": "AccessDeniedException"}, "AccessDeniedException")


def answer(runtime: Runtime, request: Request) -> Answer:
    try:
        found, name = _find(request)
        content = request.read(_MAX_BODY)
        if content is None:
            raise _invalid(f"The request body is longer than {_MAX_BODY} bytes.")
        return _answer(200, persistently(None, partial(_performed, runtime, request, found, name, content)))
    except SignerError as error:
        return _answer(error.http_status, {"message": error.message, "code": error.code}, error.code)
    except ServiceError as error:
        status = 403 if error.status == 400 else error.status  # its errors of access are 403 (documented)
        return _answer(status, {"message": error.message, "code": error.code}, error.code)
    except Exception:
        log.exception("a request of signing profiles failed")
        failure = ServerException("An internal error has occurred.")
        return _answer(500, {"message": failure.message}, "InternalServiceErrorException")


def _performed(
    runtime: Runtime, request: Request, found: _Operation, name: str, content: bytes, _: Fetched
) -> Mapping[str, Any]:
    nobody = root_caller(runtime.config.account, runtime.config.region)
    with runtime.call(nobody, None, request.origin) as call, audit.on_record(call, f"signer:{found.name}"):
        call.caller = authenticate(call, request, content, "signer")
        profile = ProfileName(_owner(call, request), call.caller.region, name)
        _authorize(call, found, profile)
        with call.writing():
            return found.perform(call, profile, request, content)


def _find(request: Request) -> tuple[_Operation, str]:
    """The operation, and the name in the path; empty for the list."""
    parts = request.path.removeprefix(_PREFIX).strip("/").split("/")
    key = request.method, len(parts) if parts[0] else 0, "revoke" if parts[1:] == ["revoke"] else ""
    found = _OPERATIONS.get(key)
    if found is None:
        raise SignerError("NotFoundException", "There is no such operation here.", 404)
    if parts[0] and not NAME.fullmatch(parts[0]):
        raise _constraint(parts[0], "profileName", "Member must satisfy regular expression pattern: ^[a-zA-Z0-9_]{2,}")
    return found, parts[0]


def _owner(call: Call, request: Request) -> str:
    """The account of the profile: the caller's, unless another is named."""
    owner = request.parameter("profileOwner")
    if owner is not None and (len(owner) != 12 or whole(owner) is None):
        raise _constraint(owner, "profileOwner", "Member must satisfy regular expression pattern: ^[0-9]{12}$")
    return owner or call.caller.account


def _authorize(call: Call, found: _Operation, profile: ProfileName) -> None:
    owner = Registry(profile.account, profile.region)
    resource = profile.arn if found.is_about_one else "*"
    asked, decision = decision_about(call, call.caller, f"signer:{found.name}", resource, owner)
    audit.record(call, asked.action, resource, owner, is_allowed=decision.allowed, reason=decision.because)
    if not decision.allowed:
        raise AccessDeniedException(denial(asked, decision))


# --- the operations ---------------------------------------------------------------------------------------------------


def _put(call: Call, name: ProfileName, _: Request, content: bytes) -> Result:
    body = _body(content, _PUT_MEMBERS | _OTHERS)
    given = _OTHERS & body.keys()
    if given:
        raise _invalid(f"{min(given)} is of platforms that images are not signed with.")
    platform, tags = body.get("platformId"), body.get("tags", {})
    if not isinstance(platform, str) or platform not in _PLATFORMS:
        raise _invalid(f"The platform {platform} does not exist.")
    validity = body.get("signatureValidityPeriod", VALIDITY)
    if not isinstance(validity, Mapping) or not is_validity(validity.get("value"), validity.get("type")):
        raise _invalid("The signature validity period is a number of DAYS, MONTHS or YEARS, 135 months at most.")
    is_map = isinstance(tags, Mapping) and all(isinstance(text, str) for pair in tags.items() for text in pair)
    if not is_map or len(tags) > _MAX_TAGS:
        raise _invalid(f"Tags are a map of texts, {_MAX_TAGS} at most.")
    period = {"value": validity["value"], "type": validity["type"]}
    try:
        made = profiles.put(call.connection, WantedProfile(name, platform, period, tags))
    except ProfileRefused as error:
        raise _invalid(str(error)) from None
    return {"arn": made.arn, "profileVersion": made.profile_version, "profileVersionArn": made.version_arn}


def _get(call: Call, name: ProfileName, _: Request, __: bytes) -> Result:
    profile = _known(call, name)
    record = {
        "revocationEffectiveFrom": _epoch(profile.revocation_effective_from),
        "revokedAt": _epoch(profile.revoked_at),
        "revokedBy": profile.revoked_by,
    }
    more = {
        "statusReason": profile.status_reason,
        "revocationRecord": record if profile.status == "Revoked" else None,
    }
    return _shown(profile) | {member: value for member, value in more.items() if value is not None}


def _list(call: Call, name: ProfileName, request: Request, _: bytes) -> Result:
    query = parse_qs(request.query_text)
    statuses = query.get("statuses", [])
    for status in statuses:
        if status not in _STATUSES:
            raise _constraint(status, "statuses", f"Member must satisfy enum value set: [{', '.join(_STATUSES)}]")
    if not statuses:
        statuses = list(_STATUSES) if query.get("includeCanceled") == ["true"] else ["Active"]
    limit = whole(request.parameter("maxResults") or str(_MAX_RESULTS))
    if limit is None or not 1 <= limit <= _MAX_RESULTS:
        raise _constraint(request.parameter("maxResults"), "maxResults", f"Member must be between 1 and {_MAX_RESULTS}")
    platform = request.parameter("platformId")
    asked = ("ListSigningProfiles", name.account, name.region, sorted(statuses), platform)
    try:
        (after,) = paging.decode(asked, request.parameter("nextToken"), [""])
    except ServiceError as error:
        raise _invalid(error.message) from None
    found = [
        each
        for each in profiles.page(call.connection, name.account, name.region, after)
        if each.status in statuses and platform in (None, each.platform_id)
    ]
    shown, token = paging.page_of(asked, found, limit, lambda each: [each.profile_name])
    return {"profiles": [_shown(each) for each in shown], **({"nextToken": token} if token else {})}


def _cancel(call: Call, name: ProfileName, _: Request, __: bytes) -> Result:
    try:
        profiles.cancel(call.connection, _known(call, name))
    except ProfileRefused as error:
        raise _invalid(str(error)) from None
    return {}


def _revoke(call: Call, name: ProfileName, _: Request, content: bytes) -> Result:
    body = _body(content, _REVOKE_MEMBERS)
    version, reason, since = (body.get(member) for member in ("profileVersion", "reason", "effectiveTime"))
    if not isinstance(version, str) or not isinstance(reason, str) or not 1 <= len(reason) <= _MAX_REASON:
        raise _invalid(f"A profile version and a reason of 1 to {_MAX_REASON} characters are needed.")
    # JSON's true is an int in Python.
    if isinstance(since, bool) or not isinstance(since, int | float):
        raise _invalid("An effective time is needed.")
    if not math.isfinite(since) or not 0 <= since <= _MAX_TIME:
        raise _invalid("An effective time is needed.")
    _known(call, name)
    profile = profiles.of_version(call.connection, name.arn, version)
    if profile is None:
        raise _not_found(f"{name.arn}/{version}")
    profiles.revoke(call.connection, profile, reason, math.floor(since * 1000), call.now, call.caller.principal)
    return {}


_OPERATIONS = {
    ("PUT", 1, ""): _Operation("PutSigningProfile", _put, False),
    ("GET", 1, ""): _Operation("GetSigningProfile", _get),
    ("GET", 0, ""): _Operation("ListSigningProfiles", _list, False),
    ("DELETE", 1, ""): _Operation("CancelSigningProfile", _cancel),
    ("PUT", 2, "revoke"): _Operation("RevokeSigningProfile", _revoke),
}


def _known(call: Call, name: ProfileName) -> SigningProfile:
    profile = profiles.current(call.connection, name.arn)
    if profile is None:
        raise _not_found(name.arn)
    return profile


def _shown(profile: SigningProfile) -> Result:
    """What all answers say of a profile."""
    tags = {"tags": profile.tags} if profile.tags else {}
    return {
        "profileName": profile.profile_name,
        "profileVersion": profile.profile_version,
        "profileVersionArn": profile.version_arn,
        "signatureValidityPeriod": profile.signature_validity_period,
        "platformId": profile.platform_id,
        "platformDisplayName": _PLATFORMS.get(profile.platform_id, profile.platform_id),
        "status": profile.status,
        "arn": profile.arn,
        **tags,
    }


def _epoch(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


# --- the wire ---------------------------------------------------------------------------------------------------------


def _body(content: bytes, members: set[str]) -> Mapping[str, Any]:
    try:
        body = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError:
        raise SignerError("SerializationException", "The body is not JSON.", 400) from None
    if not isinstance(body, Mapping):
        raise SignerError("SerializationException", "The body is not an object.", 400)
    unknown = body.keys() - members - {"profileName"}
    if unknown:
        raise _invalid(f"There is no member {min(unknown)}.")
    return body


def _invalid(message: str) -> SignerError:
    return SignerError("ValidationException", message, 400)


def _constraint(value: str | None, member: str, constraint: str) -> SignerError:
    return _invalid(
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    )


def _not_found(arn: str) -> SignerError:
    return SignerError("ResourceNotFoundException", f"The signing profile {arn} does not exist.", 404)


def _answer(status: int, content: Any, error: str | None = None) -> Answer:
    body = orjson.dumps(content)
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", ids.new_uuid()),
        ("Content-Length", str(len(body))),
    ]
    return Answer(status, headers + ([("x-amzn-ErrorType", error)] if error else []), body)


def _revocations(runtime: Runtime, request: Request) -> Answer:
    """The list as DER. Nobody needs to say who asks."""
    if request.method not in ("GET", "HEAD"):
        return _answer(405, {"message": "The list is only to be read."}, "ValidationException")
    # 80 ms and 8 MB of cryptography that an ecrsim does without which signs nothing.
    from ecrsim.ecr.signing.keys import signed_list

    try:
        with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
            body = signed_list(call)
    except ServiceError as error:
        log.warning("the revocation list cannot be signed: %s", error.message)
        return _answer(503, {"message": "The revocation list cannot be had."}, "InternalServiceErrorException")
    headers = [
        ("Content-Type", "application/pkix-crl"),
        ("Cache-Control", "no-cache"),
        ("Content-Length", str(len(body))),
    ]
    return Answer(200, headers, body)
