"""OpenID Connect ID tokens, as AssumeRoleWithWebIdentity takes them from the pipelines of GitHub, GitLab and others.

Pure, and nothing is fetched: the issuers and their keys are configured. What is accepted, and the sentences of the
refusals, are those of STS (R recorded from it in 2026, D documented, I inferred). Four of its rules surprise: dates
have five minutes of grace, which the sentences count in; a token for several audiences needs an authorized party, and
where there is one it alone counts; a key of a key set needs an id, and of two with the same id the later one counts;
the `alg` of a key does not matter.

IDPRejectedClaim is not among the refusals: it is for providers that are asked online, as Facebook is (D).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, NamedTuple

import orjson

#: How far the issuer's clock may be off, in seconds (R).
GRACE = 300

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_SECONDS = re.compile(r"-?[0-9]{1,15}")

#: Algorithm → (type of its keys, hash, curve, bytes of a coordinate) (R). `none` and HS256 are not among them, and so
#: no token chooses to be unsigned, or to be signed with what everybody knows.
_ALGORITHMS = {
    "RS256": ("RSA", "SHA256", "", 0),
    "RS384": ("RSA", "SHA384", "", 0),
    "RS512": ("RSA", "SHA512", "", 0),
    "ES256": ("EC", "SHA256", "P-256", 32),
    "ES384": ("EC", "SHA384", "P-384", 48),
    "ES512": ("EC", "SHA512", "P-521", 66),
}
_CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}


class IdentityTokenFault(Enum):
    """The codes of the errors of STS, each with status 400."""

    INVALID = "InvalidIdentityToken"
    EXPIRED = "ExpiredTokenException"


class IdentityTokenRefusal(NamedTuple):
    """A reason, and what STS says of it."""

    reason: IdentityTokenFault
    message: str

    @property
    def code(self) -> str:
        return self.reason.value


NO_TOKEN = IdentityTokenRefusal(
    IdentityTokenFault.INVALID,
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",  # R
)
NO_KEY = IdentityTokenRefusal(
    IdentityTokenFault.INVALID,
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements",  # R, with both spaces
)
#: Of an issuer that is not known, another audience, a wrong signature: STS keeps to itself which.
NOT_VALIDATED = IdentityTokenRefusal(
    IdentityTokenFault.INVALID,
    "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation for "
    "requirements.",  # R
)


class PublicKey(NamedTuple):
    """`kid` is None for a key from a PEM file, which serves for every id. `curve` is empty for RSA."""

    kid: str | None
    kind: str
    curve: str
    key: Any


def read_keys(material: str | Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """The keys of an issuer: a JSON Web Key Set (as text or read), or PEM. ValueError when none can be used."""
    if isinstance(material, str) and (blocks := _PEM.findall(material)):
        return tuple(_pem_key(block) for block in blocks)
    try:
        entries = (orjson.loads(material) if isinstance(material, str) else material)["keys"]
        keys = {entry["kid"]: entry for entry in entries if _is_usable(entry)}
    except (KeyError, TypeError, ValueError):
        raise ValueError("the keys are neither a JSON Web Key Set nor PEM") from None
    if not keys:
        raise ValueError("the key set has no RSA or EC key with an id (kid) for signatures")
    return tuple(_jwk_key(entry) for entry in keys.values())


def _is_usable(entry: Mapping[str, Any]) -> bool:
    """Keys without an id, and those for encryption, are passed over (R)."""
    known = entry["kty"] == "RSA" or (entry["kty"] == "EC" and entry.get("crv") in _CURVES)
    return known and isinstance(entry.get("kid"), str) and entry.get("use", "sig") == "sig"


def _pem_key(block: str) -> PublicKey:
    # 28 ms and 8 MB at start, and most never see a token.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(block.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("a PEM key is broken") from None
    if isinstance(key, rsa.RSAPublicKey):
        return PublicKey(None, "RSA", "", key)
    for curve, name in _CURVES.items():
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == name.lower():
            return PublicKey(None, "EC", curve, key)
    raise ValueError("a key is neither RSA nor on one of the curves P-256, P-384 and P-521")


def _jwk_key(entry: Mapping[str, Any]) -> PublicKey:
    # 28 ms and 8 MB at start, and most never see a token.
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        if entry["kty"] == "RSA":
            rsa_key = rsa.RSAPublicNumbers(_number(entry["e"]), _number(entry["n"])).public_key()
            return PublicKey(entry["kid"], "RSA", "", rsa_key)
        curve = getattr(ec, _CURVES[entry["crv"]])()
        ec_key = ec.EllipticCurvePublicNumbers(_number(entry["x"]), _number(entry["y"]), curve).public_key()
        return PublicKey(entry["kid"], "EC", entry["crv"], ec_key)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the key {entry['kid']} is broken") from None


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")


def _decoded(text: str) -> bytes:
    """ValueError when it is not base64 in the alphabet of URLs, without padding."""
    if _BASE64.fullmatch(text) is None:
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Token(NamedTuple):
    """The parts of a token, decoded, and the text that its signature covers."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signature: bytes
    signed: str


def _read(token: str) -> _Token | None:
    """None when it has not the form of a JSON Web Token."""
    signed, _, seal = token.rpartition(".")
    first, _, second = signed.partition(".")
    try:
        header, claims, signature = orjson.loads(_decoded(first)), orjson.loads(_decoded(second)), _decoded(seal)
    except ValueError:
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return _Token(header, claims, signature, signed)


def issuer_of(token: str) -> str | None:
    """By whom a token says it was issued, which nothing has borne out yet; None when it does not say."""
    read = _read(token)
    issuer = read.claims.get("iss") if read else None
    return issuer if isinstance(issuer, str) else None


def verify(
    token: str, keys: str | Mapping[str, Any], issuer: str, audiences: Collection[str], now: int
) -> dict[str, Any] | IdentityTokenRefusal:
    """The claims of a token of this issuer for one of these audiences. `now`: epoch milliseconds.

    `keys` as for `read_keys`; `issuer` is compared to the letter. The claims are as trust policies see them: `sub` is a
    text, `aud` is the one audience that counts, and `oaud` what the token itself has for `aud` (D).
    """
    read = _read(token)
    if read is None or "crit" in read.header:  # crit: R
        return NO_TOKEN
    algorithm = read.header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        return NO_TOKEN  # I
    if "iss" not in read.claims:
        return _missing("iss")
    if read.claims["iss"] != issuer:
        return NOT_VALIDATED
    candidates = _candidates(read_keys(keys), read.header.get("kid"))
    if not candidates:
        return NO_KEY
    if not any(_is_signed_by(key, algorithm, read.signed.encode(), read.signature) for key in candidates):
        return NOT_VALIDATED
    return _checked(read.claims, audiences, now // 1000)


def _candidates(keys: tuple[PublicKey, ...], kid: Any) -> list[PublicKey]:
    """A token need not name its key where there is only one (R)."""
    if kid is None and len(keys) == 1:
        return list(keys)
    return [key for key in keys if key.kid is None or key.kid == kid]


def _is_signed_by(key: PublicKey, algorithm: str, signed: bytes, signature: bytes) -> bool:
    # 28 ms and 8 MB at start, and most never see a token.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    kind, hash_name, curve, size = _ALGORITHMS[algorithm]
    if (key.kind, key.curve) != (kind, curve):
        return False
    hashing = getattr(hashes, hash_name)()
    try:
        if kind == "RSA":
            key.key.verify(signature, signed, padding.PKCS1v15(), hashing)
        elif len(signature) == 2 * size:
            numbers = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            key.key.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashing))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _checked(claims: dict[str, Any], audiences: Collection[str], now: int) -> dict[str, Any] | IdentityTokenRefusal:
    """The claims of a token whose signature is right."""
    for name in ("sub", "aud", "iat", "exp"):
        if name not in claims:
            return _missing(name)
    if (refusal := _wrong_time(claims, now)) is not None:
        return refusal
    audience = _audience(claims)
    if isinstance(audience, IdentityTokenRefusal):
        return audience
    if audience not in audiences:
        return NOT_VALIDATED
    subject = claims["sub"]
    if type(subject) is int:
        subject = str(subject)  # R
    if not isinstance(subject, str):
        return NOT_VALIDATED  # I: STS itself fails with InternalFailure when it is null
    return {**claims, "sub": subject, "aud": audience, "oaud": claims["aud"]}


def _missing(claim: str) -> IdentityTokenRefusal:
    return IdentityTokenRefusal(IdentityTokenFault.INVALID, f"Missing a required claim: {claim}")  # R


def _wrong_time(claims: Mapping[str, Any], now: int) -> IdentityTokenRefusal | None:
    moments = {name: _seconds(claims[name]) for name in ("exp", "nbf", "iat") if name in claims}
    expires, begins, issued = (moments.get(name) for name in ("exp", "nbf", "iat"))
    if None in moments.values() or expires is None or issued is None:
        return IdentityTokenRefusal(IdentityTokenFault.INVALID, "Invalid timestamp in token claims.")  # R
    if now - GRACE >= expires:
        message = (
            f"Token expired: current date/time {now - GRACE} must be before the expiration date/time {expires}"  # R
        )
        return IdentityTokenRefusal(IdentityTokenFault.EXPIRED, message)
    if begins is not None and begins > now + GRACE:
        message = (
            f"Token not yet valid: current date/time {now + GRACE} must be after or equal to the not-before "
            f"date/time {begins}"  # R
        )
        return IdentityTokenRefusal(IdentityTokenFault.INVALID, message)
    if issued > now + GRACE:
        return IdentityTokenRefusal(IdentityTokenFault.INVALID, f"Token issued in the future: {issued}")  # R
    return None


def _seconds(value: Any) -> int | None:
    """A whole number, or a text of one (R)."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return int(value)
    return value if type(value) is int else None


def _audience(claims: Mapping[str, Any]) -> str | IdentityTokenRefusal:
    """For whom the token is. The authorized party counts where there is one (R)."""
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not audiences:
        return IdentityTokenRefusal(IdentityTokenFault.INVALID, "Claim is not allowed to be empty: aud")  # R
    if "azp" not in claims and len(audiences) > 1:
        message = "Token audience contains more than one audience while authorized party is not present"  # R
        return IdentityTokenRefusal(IdentityTokenFault.INVALID, message)
    audience = claims.get("azp", audiences[0])
    return audience if isinstance(audience, str) else NOT_VALIDATED
