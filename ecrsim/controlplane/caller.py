"""The caller of an API request: the access key names the principal, the scope of the signature the region.

A signature is checked whenever the secret is known. In the open mode other keys are root's of the account that their
twelve digits name, else of the default account; in the strict mode they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ecrsim.core.errors import (
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    ServiceError,
    UnrecognizedClientException,
)
from ecrsim.core.registry import REGION, root_arn
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.web import Request
from ecrsim.ecr.access import directory
from ecrsim.ecr.access.authorization import memory
from ecrsim.iam import signatures
from ecrsim.iam.signatures import SignatureFault, SignatureRefusal

_ACCOUNT = re.compile(r"[0-9]{12}")
_COMMON_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/[0-9]{8}/([^/,\s]*)/[^/,\s]+/aws4_request, ?"
    r"SignedHeaders=[a-z0-9;-]*\bhost\b[a-z0-9;-]*, ?Signature=[0-9a-f]+"
)
#: Characters of the form below, and of an access key (documented). What is longer is read in the slower way, whose cost
#: grows with its length alone, and no key is remembered that nobody can have.
_LONGEST_FORM, _LONGEST_KEY = 1024, 128
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")

#: The reasons have the names of the errors.
_ERRORS: Mapping[SignatureFault, type[ServiceError]] = {
    SignatureFault.MISSING: MissingAuthenticationTokenException,
    SignatureFault.INCOMPLETE: IncompleteSignatureException,
    SignatureFault.INVALID: InvalidSignatureException,
    SignatureFault.UNRECOGNIZED: UnrecognizedClientException,
    SignatureFault.EXPIRED: ExpiredTokenException,
}


def authenticate(call: Call, request: Request, body: bytes, service: str) -> Caller:
    """The caller of a signed request to `service` (the name that signatures have for it).

    Until then the call is nobody's: while it is refused, the audit has the access key that it claims.
    """
    runtime = call.runtime
    call.caller = Caller(call.caller.account, call.caller.region, "", "", request.source_ip, request.is_secure)
    if not memory(call).has_keys and (claimed := _claimed(request)):
        access_key, region = claimed
        return _unknown(runtime, access_key, region if REGION.fullmatch(region) else runtime.config.region, call.caller)
    parts = signatures.Parts(request.method, request.path, request.query_text, request.headers, body)
    signed = signatures.parse(parts.headers, parts.query)
    if isinstance(signed, SignatureRefusal):
        raise error_of(signed)
    region = signed.region if REGION.fullmatch(signed.region) else runtime.config.region
    call.caller = call.caller._replace(region=region, principal=signed.access_key)
    key = directory.find_key(call.connection, signed.access_key)
    if key is None:
        return _unknown(runtime, signed.access_key, region, call.caller)
    # Clients sign by their own clocks; sessions end by ecrsim's, which a test may have turned.
    now = runtime.clock.unturned()
    turned = runtime.clock.now() - now
    expires_at = None if key.expires_at is None else key.expires_at - turned
    secrets = signatures.KnownKey(key.secret, key.session_token, expires_at)
    refusal = signatures.verify(signed, parts, secrets, now, service=service)
    if refusal is not None:
        raise error_of(refusal)
    return call.caller._replace(
        account=key.owner.split(":")[4], principal=key.session_arn or key.owner, access_key=key.access_key_id
    )


def _claimed(request: Request) -> tuple[str, str] | None:
    """(access key, region) of a signature in the form that the SDKs give it; None for any other.

    Where no key is known there is nothing to compute: reading the whole signature took a third of a small request.
    """
    authorization = request.header("authorization") or ""
    match = _COMMON_FORM.fullmatch(authorization) if len(authorization) <= _LONGEST_FORM else None
    if match is None or not _DATE.fullmatch(request.header("x-amz-date") or "") or request.query_text:
        return None
    return match[1], match[2]


def _unknown(runtime: Runtime, access_key: str, region: str, place: Caller) -> Caller:
    if _ACCOUNT.fullmatch(access_key):
        account = access_key
    elif runtime.config.auth == "strict" or len(access_key) > _LONGEST_KEY:
        raise UnrecognizedClientException
    else:
        account = runtime.config.account
    return place._replace(account=account, region=region, principal=root_arn(account, region), access_key=access_key)


def error_of(refusal: SignatureRefusal) -> ServiceError:
    return _ERRORS[refusal.reason](refusal.message)
