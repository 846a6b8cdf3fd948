"""The envelope of a Notary Project signature: a JWS, made and read (signature-envelope-jws.md of the Notary Project).

    {"payload": …, "protected": …, "header": {"x5c": [profile, root], "io.cncf.notary.signingAgent": …}, "signature": …}

The signing scheme is `notary.x509.signingAuthority`, as AWS Signer's is (documented): the time of the signature is
AWS's word, and certificates have to be good then, not when somebody verifies.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ecrsim import __version__
from ecrsim.core.clock import iso, parse_iso

MEDIA_TYPE = "application/jose+json"
PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
SCHEME = "notary.x509.signingAuthority"
_SCHEME, _TIME = "io.cncf.notary.signingScheme", "io.cncf.notary.authenticSigningTime"
_EXPIRY, _AGENT = "io.cncf.notary.expiry", "io.cncf.notary.signingAgent"
_ALGORITHM = "ES384"
#: Attributes of AWS Signer (documented). Not critical here: Notation would ask AWS's plugin for them.
VERSION_ATTRIBUTE = "com.amazonaws.signer.signingProfileVersion"
JOB_ATTRIBUTE = "com.amazonaws.signer.signingJob"


#: What reading bytes that anybody may have pushed ends in: JSON, certificates, keys, names, times.
_UNREADABLE = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError),
    *(UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)


class NotAnEnvelope(ValueError):
    """It is no JWS of a Notary Project signature, or it does not hold; the text says why."""


class _Headers(jws.JWSRegistry):
    """JOSE's headers with the Notary Project's, which are longer than others' are."""

    max_header_length = 64 * 1024


def _registry() -> _Headers:
    headers = dict.fromkeys((_SCHEME, _TIME, _EXPIRY), jws.JWSRegistry.default_header_registry["cty"])
    return _Headers(headers, algorithms=[_ALGORITHM], strict_check_header=False)


class SignedDescriptor(NamedTuple):
    """What is signed: an image or an index by its manifest."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Envelope(NamedTuple):
    """An envelope whose signature is right. Times are epoch milliseconds; `expires_at` is None when it never does."""

    target: SignedDescriptor
    certificates: Sequence[x509.Certificate]
    scheme: str
    signed_at: int
    expires_at: int | None
    profile_version_arn: str | None


def make(
    target: SignedDescriptor,
    private_key: str,
    chain: Sequence[x509.Certificate],
    now: int,
    expires_at: int,
    attributes: Mapping[str, str],
) -> bytes:
    """`chain`: the certificate of the key first, the root last. Times have whole seconds in the envelope."""
    protected = {
        "alg": _ALGORITHM,
        "crit": [_SCHEME, _TIME, _EXPIRY],
        "cty": PAYLOAD_TYPE,
        _SCHEME: SCHEME,
        _TIME: seconds(now),
        _EXPIRY: seconds(expires_at),
        **attributes,
    }
    header = {
        "x5c": [base64.b64encode(each.public_bytes(Encoding.DER)).decode("ascii") for each in chain],
        _AGENT: f"ecrsim/{__version__}",
    }
    payload = orjson.dumps({"targetArtifact": target.as_json()})
    key = ECKey.import_key(private_key)
    envelope = jws.serialize_json({"protected": protected, "header": header}, payload, key, registry=_registry())
    return orjson.dumps(envelope)


def seconds(moment: int) -> str:
    """RFC 3339 without fractions."""
    return iso(moment - moment % 1000).replace(".000", "")


def certificates_of(content: bytes) -> list[x509.Certificate]:
    """The chain that an envelope of any algorithm claims, at least one long. NotAnEnvelope."""
    try:
        chain = orjson.loads(content)["header"]["x5c"]
        found = [x509.load_der_x509_certificate(base64.b64decode(each, validate=True)) for each in chain]
    except _UNREADABLE as error:
        raise NotAnEnvelope(f"it cannot be read: {error}") from None
    if not found:
        raise NotAnEnvelope("it has no certificate")
    return found


def signer_of(certificates: Sequence[x509.Certificate]) -> str:
    """The subject of the one who signed, as text. NotAnEnvelope when it has none that can be read."""
    try:
        return certificates[0].subject.rfc4514_string()
    except _UNREADABLE as error:
        raise NotAnEnvelope(f"its certificate cannot be read: {error}") from None


def read(content: bytes) -> Envelope:
    """One of ecrsim's. NotAnEnvelope when it was altered, or is of another algorithm.

    Who signed is for the caller to judge (`chain_holds`).
    """
    certificates = certificates_of(content)
    try:
        document = orjson.loads(content)
        public = certificates[0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        found: Any = jws.deserialize_json(document, ECKey.import_key(public), registry=_registry())
        headers, payload = found.members[0].protected, orjson.loads(found.payload)
        target = payload["targetArtifact"]
        scheme = headers[_SCHEME]
        time = headers[_TIME if scheme == SCHEME else "io.cncf.notary.signingTime"]
        expiry = headers.get(_EXPIRY)
        return Envelope(
            SignedDescriptor(target["mediaType"], target["digest"], target["size"]),
            certificates,
            scheme,
            parse_iso(time),
            None if expiry is None else parse_iso(expiry),
            headers.get(VERSION_ATTRIBUTE),
        )
    except JoseError as error:
        raise NotAnEnvelope(f"its signature does not hold ({error.error})") from None
    except _UNREADABLE as error:
        raise NotAnEnvelope(f"it cannot be read: {error}") from None


def chain_holds(certificates: Sequence[x509.Certificate], root: x509.Certificate) -> bool:
    """Whether the root is the end of the chain, and each certificate is signed by the next."""
    key = root.public_key()
    if not certificates or certificates[-1] != root or not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        for each, issuer in pairwise(certificates):
            each.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True
