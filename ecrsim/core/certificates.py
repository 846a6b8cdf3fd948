"""What all certificates that ecrsim makes have in common: those of HTTPS, and those of signing profiles.

Importing it takes cryptography along: import it where certificates are made.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    """A certificate of this key with a serial number of its own, to be extended and signed."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def key_usage(*, of_authority: bool, signs_data: bool) -> x509.KeyUsage:
    """What the key may be used for: certificates and revocation lists (`of_authority`), other data (`signs_data`)."""
    return x509.KeyUsage(
        digital_signature=signs_data,
        key_cert_sign=of_authority,
        crl_sign=of_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS 8 without a password."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*form, serialization.NoEncryption())


def read_private_key(content: bytes, file: Path | str) -> ec.EllipticCurvePrivateKey:
    """The key in the content of a file. OSError for another kind of key, ValueError where there is none."""
    try:
        key = serialization.load_pem_private_key(content, None)
    except (TypeError, UnsupportedAlgorithm) as error:  # with a password, or of a curve that nobody knows
        raise OSError(f"{file} is not a key that ecrsim made: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OSError(f"{file} is not a key that ecrsim made")
    return key


def read_certificate(content: bytes, file: Path | str) -> x509.Certificate:
    """The certificate in the content of a file. OSError for one of another kind, ValueError where there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(content)
        key = certificate.public_key()
    except (TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise OSError(f"{file} is not a certificate that ecrsim made: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise OSError(f"{file} is not a certificate that ecrsim made")
    return certificate
