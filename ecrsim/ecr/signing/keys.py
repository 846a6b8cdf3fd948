"""Keys and certificates of profiles as rows, and what of them was revoked."""

from __future__ import annotations

import logging
from typing import NamedTuple

from cryptography import x509
from sqlalchemy import bindparam, select

from ecrsim.core.certificates import pem_of
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.query import Addition, Query
from ecrsim.core.runtime import Call, Runtime
from ecrsim.core.sealing import SecretDamaged, seal_of
from ecrsim.ecr.signing import profiles
from ecrsim.ecr.signing.authority import NoRoot, Revoked, Root, issue, new_key, open_root, revocation_list, serial_of
from ecrsim.ecr.signing.profiles import SigningProfile
from ecrsim.ecr.signing.rules import LIST_PATH, RootDamaged, SigningRefused, refusal
from ecrsim.ecr.signing.tables import signing_certificates, signing_profiles

log = logging.getLogger("ecrsim.signing")

_CERTIFICATE = Query(
    select(signing_certificates.c.certificate).where(
        signing_certificates.c.profile_number == bindparam("profile"),
        signing_certificates.c.revocation_list_url == bindparam("url"),
    ),
    str,
)
_INSERT = Addition(signing_certificates, "serial_number", "profile_number", "revocation_list_url", "certificate")


class _RevokedRow(NamedTuple):
    serial_number: str
    revocation_effective_from: int
    revoked_at: int


_REVOKED = Query(
    select(
        signing_certificates.c.serial_number,
        signing_profiles.c.revocation_effective_from,
        signing_profiles.c.revoked_at,
    )
    .join(signing_profiles, signing_profiles.c.number == signing_certificates.c.profile_number)
    .where(signing_profiles.c.status == "Revoked")
    .order_by(signing_certificates.c.serial_number),
    _RevokedRow,
)


class SigningCredentials(NamedTuple):
    """What a profile signs with: its key as PEM, and the chain from its certificate to the root."""

    private_key: str
    chain: tuple[x509.Certificate, x509.Certificate]


def root_of(runtime: Runtime) -> Root:
    """Read once for as long as the process lives; it is never another one.

    RootDamaged for a file that is no root, ServiceUnavailableException when it cannot be read or made.
    """
    found = runtime.memory.get("signer-root")
    if not isinstance(found, Root):
        try:
            found = runtime.memory["signer-root"] = open_root(runtime.data_dir, runtime.database)
        except NoRoot as error:
            raise RootDamaged(f"The root of signatures cannot be used: {error}") from error
        except OSError as error:
            raise ServiceUnavailableException(f"The root of signatures cannot be used: {error}") from error
    return found


def list_url(runtime: Runtime) -> str:
    """Where a verifier finds the revocation list: by plain HTTP, which is all that Notation takes."""
    style = runtime.config.registry_host
    authority = f"localhost:{runtime.port}" if style in ("localhost", "domain", "aws") else style
    return f"http://{authority}{LIST_PATH}"


def credentials(call: Call, profile: SigningProfile) -> SigningCredentials:
    """The key and certificate of a version, made when they are asked for first. Runs in a write transaction.

    SigningRefused when the version was cancelled, revoked or deleted since `profile` was read.
    A key that was sealed with a `secret.key` that is lost is replaced: what the lost one signed stays good.
    """
    root, url = root_of(call.runtime), list_url(call.runtime)
    profile = _as_it_is(call, profile)
    seal, place = seal_of(call.connection), ("signing_profiles", profile.version_arn)
    key = None
    if profile.private_key is not None:
        try:
            key = seal.opened(profile.private_key, *place)
        except SecretDamaged as error:
            log.error("%s; another is made", error)  # noqa: TRY400 - what happened is no fault of the code
    text = None if key is None else _CERTIFICATE.first(call.connection, profile=profile.number, url=url)
    if key is None:
        key = new_key()
        profiles.set_key(call.connection, profile, seal.sealed(key, *place))
        call.connection.execute(
            signing_certificates.update()
            .where(signing_certificates.c.profile_number == profile.number)
            .values(revocation_list_url=signing_certificates.c.serial_number)
        )
    if text is None:
        certificate = issue(root, key, profile.account, profile.region, profile.profile_name, url)
        _INSERT.run(
            call.connection,
            serial_number=serial_of(certificate),
            profile_number=profile.number,
            revocation_list_url=url,
            certificate=pem_of(certificate).decode("ascii"),
        )
    else:
        certificate = x509.load_pem_x509_certificate(text.encode())
    return SigningCredentials(key, (certificate, root.certificate))


def _as_it_is(call: Call, profile: SigningProfile) -> SigningProfile:
    """The version by now: another call may have given it a key, or have ended it."""
    found = profiles.of_version(call.connection, profile.arn, profile.profile_version)
    status, platform = (None, None) if found is None else (found.status, found.platform_id)
    failure = refusal(profile.arn, status, platform)
    if failure is not None:
        raise SigningRefused(failure)
    return found or profile


def revoked(call: Call) -> list[Revoked]:
    """All certificates of versions that were revoked."""
    rows = _REVOKED.all(call.connection)
    return [Revoked(row.serial_number, row.revocation_effective_from, row.revoked_at) for row in rows]


def signed_list(call: Call) -> bytes:
    """The revocation list as it is now, as DER."""
    return revocation_list(root_of(call.runtime), revoked(call), call.runtime.clock.unturned())
