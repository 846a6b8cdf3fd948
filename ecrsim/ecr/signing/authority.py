"""The root of all signatures that ecrsim makes, certificates of signing profiles, and the list of those revoked.

The root is made once and kept in `signer-root.pem` of the data directory, key and certificate, a file of mode 600;
where several machines have the database, it is kept there, sealed, so that they have one. Its certificate is what a
verifier trusts (`ecrsim signer trust-store`). Keys are P-384, as the platform Notation-OCI-SHA384-ECDSA has them
(documented); what certificates must say is the Notary Project's (signature-specification.md, "Certificate
requirements").
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ecrsim.blobs import private
from ecrsim.core.certificates import key_usage, pem_of, private_pem_of, read_certificate, read_private_key, unsigned
from ecrsim.core.db import Database
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.sealing import SecretDamaged, seal_of

NAME = "signer-root.pem"
_PROPERTY = "signer-root"
#: Certificates are good whenever: signatures are dated by ecrsim's clock, which a test may have turned far.
_BEGIN, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
#: How long a verifier may keep the revocation list. Notation keeps it for as long.
_LIST_LIFE = timedelta(minutes=5)
#: What the clock of a verifier may be behind.
_SKEW = timedelta(minutes=5)


class Root(NamedTuple):
    """Key and certificate that everything is signed by in the end."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return pem_of(self.certificate).decode("ascii")


class Revoked(NamedTuple):
    """A certificate that is good no more since `since`, and when that was said; epoch milliseconds."""

    serial_number: str
    since: int
    said_at: int


class NoRoot(Exception):
    """The file is none that ecrsim made, or was damaged; the text says why."""


def open_root(data_dir: Path, database: Database) -> Root:
    """The root of the data directory, or of a database that machines share, made where there is none.

    NoRoot for a file that is none; OSError, ServiceUnavailableException.
    """
    if database.is_shared:
        return _root_in(_shared(database), "the root in the database")
    file = data_dir / NAME
    if not file.exists():
        with database.exclusive("signer-root", wait=True):
            if not file.exists():
                _keep(file, _new_root())
    if not file.is_file():
        raise NoRoot(f"{file} is no file")
    return _root_in(file.read_bytes(), file)


def _shared(database: Database) -> bytes:
    with database.read() as connection:
        sealed = get_property(connection, _PROPERTY)
    if sealed is None:
        new = _new_root()
        with database.write() as connection:
            sealed = get_property(connection, _PROPERTY)
            if sealed is None:
                sealed = seal_of(connection).sealed(new.decode(), "properties", _PROPERTY)
                set_property(connection, _PROPERTY, sealed)
    with database.read() as connection:
        try:
            return seal_of(connection).opened(sealed, "properties", _PROPERTY).encode()
        except SecretDamaged as error:
            raise NoRoot(str(error)) from error


def _root_in(content: bytes, file: Path | str) -> Root:
    try:
        root = Root(read_private_key(content, file), read_certificate(content, file))
    except OSError as error:
        raise NoRoot(str(error)) from error
    except ValueError as error:
        raise NoRoot(f"{file} has no key and certificate: {error}") from error
    if root.certificate.public_key() != root.key.public_key():
        raise NoRoot(f"{file} has a key and the certificate of another one")
    return root


def _new_root() -> bytes:
    """Key and certificate of a new root, as PEM."""
    key = ec.generate_private_key(ec.SECP384R1())
    subject = _name("ecrsim signer root")
    certificate = (
        unsigned(subject, subject, key.public_key(), _BEGIN, _END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(of_authority=True, signs_data=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return private_pem_of(key) + pem_of(certificate)


def _keep(file: Path, root: bytes) -> None:
    aside = file.with_name(f"{NAME}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    with os.fdopen(private.open_file(aside), "wb") as out:
        out.write(root)
        out.flush()
        # Signatures that were given out are good for nothing without it.
        os.fsync(out.fileno())
    aside.replace(file)
    private.flush_names(file.parent)


def new_key() -> str:
    """A new key, as PEM."""
    return private_pem_of(ec.generate_private_key(ec.SECP384R1())).decode("ascii")


def issue(
    root: Root, private_key: str, account: str, region: str, profile_name: str, list_url: str
) -> x509.Certificate:
    """A certificate for the key of a profile, by whose subject a trust policy can name the profile."""
    key = serialization.load_pem_private_key(private_key.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of a signing profile is one of P-384")
    subject = subject_of(account, region, profile_name)
    place = x509.DistributionPoint([x509.UniformResourceIdentifier(list_url)], None, None, None)
    return (
        unsigned(subject, root.certificate.subject, key.public_key(), _BEGIN, _END)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(of_authority=False, signs_data=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        .add_extension(x509.CRLDistributionPoints([place]), critical=False)
        .sign(root.key, hashes.SHA384())
    )


def subject_of(account: str, region: str, profile_name: str) -> x509.Name:
    return _name(profile_name, organizational_unit=account, locality=region)


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def revocation_list(root: Root, revoked: Iterable[Revoked], now: int) -> bytes:
    """The list as DER, as of `now`: by the real clock, since verifiers go by theirs.

    Each entry says since when its certificate is invalid, so that what was signed before stays good (RFC 5280, 5.3.2).
    """
    moment = datetime.fromtimestamp(now // 1000, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(moment - _SKEW)
        .next_update(moment + _LIST_LIFE)
        .add_extension(x509.CRLNumber(now // 1000), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
    )
    for each in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(each.serial_number, 16))
            .revocation_date(datetime.fromtimestamp(each.said_at // 1000, UTC))
            .add_extension(x509.CRLReason(x509.ReasonFlags.privilege_withdrawn), critical=False)
            .add_extension(x509.InvalidityDate(datetime.fromtimestamp(each.since // 1000, UTC)), critical=False)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(root.key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def _name(common: str, organizational_unit: str = "signer", locality: str | None = None) -> x509.Name:
    """Country, state and organization are what a trust policy of Notation has to name."""
    parts = [
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.STATE_OR_PROVINCE_NAME, "WA"),
        *([(NameOID.LOCALITY_NAME, locality)] if locality else []),
        (NameOID.ORGANIZATION_NAME, "ecrsim"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, organizational_unit),
        (NameOID.COMMON_NAME, common),
    ]
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
