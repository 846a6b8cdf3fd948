"""Signature Version 4: what a request claims, and whether a secret bears it out. Pure.

`parse` reads either form, the Authorization header and the presigned query; it needs no body. `verify` checks what was
read. The order of the checks and the sentences are those of AWS's front ends; R recorded from a real service (of which
ECR is one where that is said), D documented, I inferred. A date is good for a quarter of an hour, in ECR (recorded)
as in STS (recorded), while other services give it five minutes. That holds for presigned URLs as well: outside of S3
their X-Amz-Expires is ignored (recorded).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote_plus, unquote_to_bytes

#: How far the date of a signature may be from the server's, in minutes.
TOLERANCE = 15

ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
#: Characters of a region; the other parts of a scope are compared before.
_LONGEST_REGION = 64
_UNSIGNED = "UNSIGNED-PAYLOAD"
_SEPARATOR = re.compile(r"[,\s]+")
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_PLAIN = re.compile(r"[\w.~-]*", re.ASCII)
_SPACES = re.compile(r"\s\s+")
_QUERY_PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")


class SignatureFault(Enum):
    """Why a request is not believed. The values are the names of the errors in the JSON protocol, with status 400."""

    MISSING = "MissingAuthenticationTokenException"
    INCOMPLETE = "IncompleteSignatureException"
    INVALID = "InvalidSignatureException"
    UNRECOGNIZED = "UnrecognizedClientException"
    EXPIRED = "ExpiredTokenException"


#: The same in the query protocol, which STS speaks: code and status (R).
QUERY_ERRORS = {
    SignatureFault.MISSING: ("MissingAuthenticationToken", 403),
    SignatureFault.INCOMPLETE: ("IncompleteSignature", 400),
    SignatureFault.INVALID: ("SignatureDoesNotMatch", 403),
    SignatureFault.UNRECOGNIZED: ("InvalidClientTokenId", 403),
    SignatureFault.EXPIRED: ("ExpiredToken", 403),
}


class SignatureRefusal(NamedTuple):
    """A reason, and what AWS says of it."""

    reason: SignatureFault
    message: str


NO_SIGNATURE = SignatureRefusal(
    SignatureFault.MISSING, "Missing Authentication Token"
)  # R: ECR; STS: Request is missing …
UNKNOWN_TOKEN = SignatureRefusal(
    SignatureFault.UNRECOGNIZED, "The security token included in the request is invalid."
)  # R: ECR, STS
EXPIRED_TOKEN = SignatureRefusal(SignatureFault.EXPIRED, "The security token included in the request is expired")  # R
MISMATCH = SignatureRefusal(
    SignatureFault.INVALID,
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details.",  # R
)
_TWO_FORMS = SignatureRefusal(
    SignatureFault.INVALID,
    "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",  # R
)
_HOST_NOT_SIGNED = SignatureRefusal(
    SignatureFault.INVALID,
    "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",  # R
)


class Parts(NamedTuple):
    """The parts of a request that a signature can cover.

    `path` and `query` are as on the request line, still encoded. `headers` has lower-case names, `content-type` and
    `content-length` among them, and values as WSGI gives them: the bytes of the wire as Latin-1, several of a name
    joined by commas. Any mapping will do: it is asked for the headers that were signed, and for no others.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Signed(NamedTuple):
    """The claims of a signed request: its access key, its scope and its signature.

    `moment`: epoch seconds of `amz_date`. `signed_headers`: in lower case. `expires`: seconds that a presigned URL asks
    for, of which ECR and STS take no notice; None in the header form.
    """

    access_key: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str
    amz_date: str
    moment: int
    session_token: str | None
    presigned: bool
    expires: int | None


class KnownKey(NamedTuple):
    """The secret of an access key. Temporary keys have a session token, and expire (epoch milliseconds)."""

    secret: str
    session_token: str | None = None
    expires_at: int | None = None


def parse(headers: Mapping[str, str], query: str) -> Signed | SignatureRefusal:
    """Read a signature, or say what is wrong with its form. `headers` and `query` as in `Parts`."""
    authorization = headers.get("authorization")
    presigned = "X-Amz-Algorithm" in query and _parameters(query)
    if presigned and "X-Amz-Algorithm" in presigned:
        return _TWO_FORMS if authorization else _from_query(presigned)
    return _from_header(authorization, headers) if authorization else NO_SIGNATURE


def _parameters(query: str) -> dict[str, str]:
    """The first value of each name. Values are decoded; no name that matters here has anything to decode."""
    found: dict[str, str] = {}
    for item in query.split("&"):
        name, _, value = item.partition("=")
        found.setdefault(name, value if _PLAIN.fullmatch(value) else unquote_plus(value))
    return found


def _from_header(authorization: str, headers: Mapping[str, str]) -> Signed | SignatureRefusal:
    algorithm, *items = _SEPARATOR.split(authorization.strip())
    fields: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if item and not equals:
            return _incomplete(
                f"'{item}' not a valid key=value pair (missing equal-sign) in Authorization header: "
                f"'{authorization}'."  # R
            )
        fields[name] = value
    amz_date = headers.get("x-amz-date") or headers.get("date") or ""
    sentences = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    if not amz_date:
        sentences.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if sentences:
        return _incomplete(" ".join([*sentences, f"Authorization={authorization}"]))  # R: ECR
    return _signed(
        algorithm,
        fields["Credential"],
        fields["SignedHeaders"],
        fields["Signature"],
        amz_date,
        headers.get("x-amz-security-token"),
    )


def _from_query(parameters: Mapping[str, str]) -> Signed | SignatureRefusal:
    missing = [name for name in _QUERY_PARAMETERS if not parameters.get(name)]
    if missing:
        sentences = [f"AWS query-string parameters must include '{name}'." for name in missing]
        return _incomplete(" ".join([*sentences, "Re-examine the query-string parameters."]))  # R
    algorithm, credential, signature, signed_headers, amz_date = (parameters[name] for name in _QUERY_PARAMETERS)
    token = parameters.get("X-Amz-Security-Token")
    signed = _signed(algorithm, credential, signed_headers, signature, amz_date, token)
    if isinstance(signed, SignatureRefusal):
        return signed
    expires = parameters.get("X-Amz-Expires", "")
    return signed._replace(presigned=True, expires=int(expires) if re.fullmatch("[0-9]{1,9}", expires) else None)


def _signed(
    algorithm: str, credential: str, signed_headers: str, signature: str, amz_date: str, session_token: str | None
) -> Signed | SignatureRefusal:
    moment = _moment(amz_date)
    if moment is None:
        return _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{amz_date}'. See http://en.wikipedia.org/wiki/ISO_8601"  # R
        )
    if algorithm != ALGORITHM:
        return _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). ")  # R
    scope = credential.rstrip("/").split("/")  # R: slashes at the end do not count
    if len(scope) != 5:
        return _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential}'"  # R
        )
    access_key, date, region, service, terminator = scope
    names = tuple(signed_headers.lower().split(";"))
    return Signed(
        access_key,
        date,
        region,
        service,
        terminator,
        names,
        signature,
        amz_date,
        moment,
        session_token,
        presigned=False,
        expires=None,
    )


def _incomplete(message: str) -> SignatureRefusal:
    return SignatureRefusal(SignatureFault.INCOMPLETE, message)


def _moment(amz_date: str) -> int | None:
    """Epoch seconds of `20260102T030405Z`."""
    if _DATE.fullmatch(amz_date) is None:
        return None
    try:
        return int(datetime.fromisoformat(amz_date).timestamp())
    except ValueError:
        return None


def verify(
    signed: Signed, parts: Parts, key: KnownKey, now: int, *, service: str, region: str | None = None
) -> SignatureRefusal | None:
    """None when the request is what the holder of the key signed.

    `now`: epoch milliseconds. `service`: the one that is asked (`ecr`, `ecr-public`, `sts`). `region`: the one that the
    signature has to be for; None when the signature itself says where the request goes.
    """
    return (
        _wrong_time(signed, now // 1000)
        or (None if "host" in signed.signed_headers else _HOST_NOT_SIGNED)
        or _wrong_scope(signed, service, region)
        or _wrong_token(signed, key, now)
        or _wrong_signature(signed, parts, key)
        # A permanent key has no token; that one was sent is found last (R).
        or (UNKNOWN_TOKEN if signed.session_token and key.session_token is None else None)
    )


def _wrong_time(signed: Signed, now: int) -> SignatureRefusal | None:
    earliest, latest = now - TOLERANCE * 60, now + TOLERANCE * 60
    if signed.moment < earliest:
        message = (
            f"Signature expired: {signed.amz_date} is now earlier than {_basic(earliest)} "
            f"({_basic(now)} - {TOLERANCE} min.)"  # R: ECR
        )
    elif signed.moment > latest:
        message = (
            f"Signature not yet current: {signed.amz_date} is still later than {_basic(latest)} "
            f"({_basic(now)} + {TOLERANCE} min.)"  # R
        )
    else:
        return None
    return SignatureRefusal(SignatureFault.INVALID, message)


def _basic(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def _wrong_scope(signed: Signed, service: str, region: str | None) -> SignatureRefusal | None:
    """All that is wrong with it, one sentence each, with a space after every one (R)."""
    sentences = []
    if region is not None and signed.region != region:
        sentences.append(f"Credential should be scoped to a valid region, not '{signed.region}'. ")
    if signed.service != service:
        sentences.append(f"Credential should be scoped to correct service: '{service}'. ")
    if signed.terminator != _TERMINATOR:
        sentences.append(
            f"Credential should be scoped with a valid terminator: '{_TERMINATOR}', not '{signed.terminator}'. "
        )
    if signed.date != (day := signed.amz_date[:8]):
        sentences.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{signed.date}' != '{day}', from '{signed.amz_date}'. "
        )
    return SignatureRefusal(SignatureFault.INVALID, "".join(sentences)) if sentences else None


def _wrong_token(signed: Signed, key: KnownKey, now: int) -> SignatureRefusal | None:
    """Of a temporary key: the token comes first, because AWS finds the secret in it (I)."""
    if key.session_token is None:
        return None
    if not _same(signed.session_token or "", key.session_token):
        return UNKNOWN_TOKEN
    return EXPIRED_TOKEN if key.expires_at is not None and now >= key.expires_at else None


def _same(given: str, right: str) -> bool:
    """In a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode("utf-8", "replace"))


def _wrong_signature(signed: Signed, parts: Parts, key: KnownKey) -> SignatureRefusal | None:
    # Each name costs as much as its header is long, and the key that is derived of the scope is remembered.
    if len(set(signed.signed_headers)) < len(signed.signed_headers) or len(signed.region) > _LONGEST_REGION:
        return MISMATCH
    canonical = _canonical(signed, parts)
    if canonical is None:
        return MISMATCH
    scope = f"{signed.date}/{signed.region}/{signed.service}/{signed.terminator}"
    text = f"{ALGORITHM}\n{signed.amz_date}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
    signing_key = _signing_key(key.secret, signed.date, signed.region, signed.service)
    right = hmac.digest(signing_key, text.encode("utf-8", "replace"), "sha256").hex()
    return None if _same(signed.signature, right) else MISMATCH


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The same for all the requests of a day to a region, and the larger part of the cost of a signature."""
    key = f"AWS4{secret}".encode("utf-8", "replace")
    for part in (date, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode("utf-8", "replace"), "sha256")
    return key


def _canonical(signed: Signed, parts: Parts) -> bytes | None:
    """The canonical request. None when a header that was signed is not there, or the body is another."""
    headers = []
    for name in signed.signed_headers:
        value = parts.headers.get(name)
        if value is None:
            return None
        headers.append(f"{name}:{_SPACES.sub(' ', value.strip())}\n")
    digest = hashlib.sha256(parts.body).hexdigest()
    declared = parts.headers.get("x-amz-content-sha256")
    if declared is not None and declared != digest:
        if declared != _UNSIGNED:
            return None
        digest = declared
    query = _canonical_query(parts.query, without_signature=signed.presigned) if parts.query else ""
    names = ";".join(signed.signed_headers)
    text = f"{parts.method}\n{_canonical_path(parts.path)}\n{query}\n{''.join(headers)}\n{names}\n{digest}"
    return text.encode("latin-1", "replace")


def _canonical_query(query: str, *, without_signature: bool) -> str:
    """Names and values encoded afresh, in order. A plus sign is a space, as everywhere in queries."""
    pairs = []
    for item in query.split("&"):
        name, _, value = item.replace("+", " ").partition("=")
        if item and not (without_signature and name == "X-Amz-Signature"):
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return quote_from_bytes(unquote_to_bytes(text), safe="-_.~")


def _canonical_path(path: str) -> str:
    """Normalised, and encoded once more (D: everywhere but in S3)."""
    if path in ("", "/"):
        return "/"
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return quote(f"/{'/'.join(segments)}{end}", safe="/-_.~", errors="replace")
