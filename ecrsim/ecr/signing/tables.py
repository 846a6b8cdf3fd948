"""Tables of signing. Columns carry the wire names in snake case; times are epoch milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata

signing_configurations = Table(
    "signing_configurations",
    metadata,
    *registry_columns(),
    # As PutSigningConfiguration was sent them.
    Column("rules", Json, nullable=False),
)

# The signatures of an image: one row for each profile that was ever to sign it.
signing_statuses = Table(
    "signing_statuses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    Column("signing_profile_arn", String(200), nullable=False),
    Column("status", String(11), nullable=False),
    Column("failure_code", Text),
    Column("failure_reason", Text),
    UniqueConstraint("image_id", "signing_profile_arn"),
    sqlite_autoincrement=True,
)

# Signing profiles, as AWS Signer has them: one row for each version, of which the newest signs.
signing_profiles = Table(
    "signing_profiles",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("arn", String(200), nullable=False),
    Column("profile_version", String(10), nullable=False),
    Column("account", String(12), nullable=False),
    Column("region", String, nullable=False),
    Column("profile_name", String(64), nullable=False),
    Column("platform_id", Text, nullable=False),
    # {"value": …, "type": "DAYS" | "MONTHS" | "YEARS"}
    Column("signature_validity_period", Json, nullable=False),
    Column("tags", Json, nullable=False),
    # Accounts and principals that may sign with it besides those of its own account.
    Column("shared_with", Json, nullable=False),
    # Active, Canceled or Revoked
    Column("status", String(8), nullable=False),
    Column("status_reason", Text),
    # Of a version that was revoked: since when, when that was said, and by whom.
    Column("revocation_effective_from", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_by", Text),
    # PEM, sealed (`core/sealing.py`); made when the version signs for the first time.
    Column("private_key", Text),
    UniqueConstraint("arn", "profile_version"),
    sqlite_autoincrement=True,
)
Index("signing_profiles_by_account", signing_profiles.c.account, signing_profiles.c.region)

# The certificates of a version's key. Each names the place of the revocation list, and so there is one for each place.
signing_certificates = Table(
    "signing_certificates",
    metadata,
    # Hexadecimal, as in the certificate.
    Column("serial_number", String(40), primary_key=True),
    Column("profile_number", ForeignKey("signing_profiles.number", ondelete="CASCADE"), nullable=False),
    Column("revocation_list_url", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    UniqueConstraint("profile_number", "revocation_list_url"),
)
