"""Authorization tokens: pure, given the key and the time.

The password has the outer form of ECR's (base64 of JSON with payload, datakey, version, type, expiration; no colon
inside, as SAM splits there). The payload holds account, region and principal; the data key is an HMAC over payload and
expiration.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import Enum
from typing import NamedTuple

import orjson

from ecrsim.core.durations import SECOND


class Token(NamedTuple):
    """To whom a token was given, and until when (epoch seconds)."""

    account: str
    region: str
    principal: str
    expiration: int
    #: The key that it was asked for with: a session's own limits go with the token.
    access_key: str = ""

    @property
    def is_anonymous(self) -> bool:
        """Given to somebody without credentials: it may pull from public registries, and is good for nothing else."""
        return not self.principal


class TokenRefusal(Enum):
    """Why credentials are not accepted."""

    MISSING = "missing"  # no Basic credentials, or another user than AWS
    MALFORMED = "malformed"  # AWS, with a password that begins like a token and is none
    INVALID = "invalid"  # no token at all, or one that was altered
    EXPIRED = "expired"


_START = base64.b64encode(b'{"payload"')[:12].decode()


def _seal(secret: bytes, payload: str, expiration: int) -> str:
    return base64.b64encode(hmac.digest(secret, f"{payload}.{expiration}".encode(), hashlib.sha256)).decode()


def issue(secret: bytes, token: Token) -> str:
    """The `authorizationToken`: base64 of `AWS:<password>`."""
    claims = {
        "account": token.account,
        "region": token.region,
        "principal": token.principal,
        "access_key": token.access_key,
    }
    payload = base64.b64encode(orjson.dumps(claims)).decode()
    password = orjson.dumps(
        {
            "payload": payload,
            "datakey": _seal(secret, payload, token.expiration),
            "version": "2",
            "type": "DATA_KEY",
            "expiration": token.expiration,
        }
    )
    return base64.b64encode(b"AWS:" + base64.b64encode(password)).decode()


def verify(secret: bytes, authorization: str | None, now: int) -> Token | TokenRefusal:
    """Check an `Authorization` header. `now` in epoch milliseconds."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return TokenRefusal.MISSING
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return TokenRefusal.MISSING
    if user != "AWS" or not colon or not password:
        return TokenRefusal.MISSING
    try:
        token = _read(secret, password)
    except (ValueError, KeyError, TypeError, AttributeError):
        return TokenRefusal.MALFORMED if password.startswith(_START) else TokenRefusal.INVALID
    if token is None:
        return TokenRefusal.INVALID
    return token if now // SECOND < token.expiration else TokenRefusal.EXPIRED


def _read(secret: bytes, password: str) -> Token | None:
    """None when the seal is broken; ValueError and the like when it is no token."""
    envelope = orjson.loads(base64.b64decode(password, validate=True))
    payload, expiration = envelope["payload"], envelope["expiration"]
    if type(expiration) is not int:
        raise ValueError("expiration")
    if not hmac.compare_digest(_seal(secret, payload, expiration).encode(), str(envelope["datakey"]).encode()):
        return None
    claims = orjson.loads(base64.b64decode(payload))
    return Token(claims["account"], claims["region"], claims["principal"], expiration, claims["access_key"])
