"""HTTPS with a certificate authority of ecrsim's own.

The authority is made once and kept in the data directory; `ecrsim tls ca` prints its certificate. A wildcard covers
one label, and registry names have several, so a certificate is made for each name that a client asks for.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ecrsim.blobs import private
from ecrsim.core.certificates import key_usage, pem_of, private_pem_of, read_certificate, read_private_key, unsigned

#: Names of the certificate for clients that ask for none of their own (an IP address is never asked for).
STANDARD_NAMES = ("localhost", "*.localhost", "host.docker.internal", "ecrsim")
_ADDRESSES = ("127.0.0.1", "::1")
_MAX_CERTIFICATES = 256
_YEARS = datetime.timedelta(days=3650)
#: The longest validity that clients accept of a certificate.
_LEAF_LIFE = datetime.timedelta(days=397)


class Authority:
    """Makes certificates. `directory` keeps its key, readable by the owner alone."""

    def __init__(self, directory: Path, now: datetime.datetime) -> None:
        self._now = now
        self.certificate_file = directory / "ca.pem"
        key_file = directory / "ca-key.pem"
        if not self.certificate_file.exists():
            _make_authority(directory, self.certificate_file, key_file, now)
        self._key = read_private_key(key_file.read_bytes(), key_file)
        self._certificate = read_certificate(self.certificate_file.read_bytes(), self.certificate_file)
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """A server's context that finds the certificate by the name asked for."""
        standard = self._context_for(STANDARD_NAMES)

        def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name and name != "localhost":
                connection.context = self._named(name)

        standard.sni_callback = choose
        return standard

    def _named(self, name: str) -> ssl.SSLContext:
        with self._lock:
            found = self._contexts.get(name)
            if found is None:
                if len(self._contexts) >= _MAX_CERTIFICATES:
                    self._contexts.clear()
                found = self._contexts[name] = self._context_for((name,))
            return found

    def _context_for(self, names: tuple[str, ...]) -> ssl.SSLContext:
        certificate = self._issue(names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The ssl module reads chains from files only.
        with tempfile.TemporaryDirectory(prefix="ecrsim-tls-") as directory:
            chain = Path(directory) / "chain.pem"
            chain.write_bytes(pem_of(certificate) + pem_of(self._certificate) + private_pem_of(self._leaf_key))
            context.load_cert_chain(chain)
        return context

    def _issue(self, names: tuple[str, ...]) -> x509.Certificate:
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES]
        names_and_key = _name(names[0][:64]), self._certificate.subject, self._leaf_key.public_key()
        return (
            unsigned(*names_and_key, self._now - datetime.timedelta(days=1), self._now + _LEAF_LIFE)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(of_authority=False, signs_data=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            # Strict clients, Python 3.13 among them, do not take a certificate that does not name its authority's key.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _make_authority(directory: Path, certificate_file: Path, key_file: Path, now: datetime.datetime) -> None:
    private.make_directory(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("ecrsim local authority")
    certificate = (
        unsigned(name, name, key.public_key(), now - datetime.timedelta(days=1), now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(of_authority=True, signs_data=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(private_pem_of(key))
    # Written last and whole: its presence says that the key is there.
    partial = certificate_file.with_suffix(".partial")
    with os.fdopen(private.open_file(partial), "wb") as file:
        file.write(pem_of(certificate))
    partial.replace(certificate_file)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def context_from_files(certificate: str, key: str) -> ssl.SSLContext:
    """A context for a chain and key that the user gave. OSError or ssl.SSLError when they do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
