"""Tables of keys: ecrsim's own key ring, and what ECR was granted. Times are epoch milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from ecrsim.core.columns import Json, metadata

# The keys of the ring.
kms_keys = Table(
    "kms_keys",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("arn", Text, nullable=False, unique=True),
    Column("account", String(12), nullable=False),
    Column("region", String, nullable=False),
    # CUSTOMER, AWS (aws/ecr), S3 (for repositories of the type AES256; shown to nobody)
    Column("manager", String(8), nullable=False),
    Column("description", Text, nullable=False),
    # Enabled, Disabled or PendingDeletion, as KMS spells them
    Column("state", String(15), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("deletion_at", BigInteger),
    # Accounts and principals that may use it besides those of its own account.
    Column("shared_with", Json, nullable=False),
    sqlite_autoincrement=True,
)

# What a key encrypts with, one row for each rotation; the newest wraps, and all of them open.
kms_key_materials = Table(
    "kms_key_materials",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("key_number", ForeignKey("kms_keys.number", ondelete="CASCADE"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # 32 bytes in hexadecimal digits, sealed (`core/sealing.py`).
    Column("material", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("kms_key_materials_by_key", kms_key_materials.c.key_number)

kms_aliases = Table(
    "kms_aliases",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String, primary_key=True),
    Column("alias_name", String(256), primary_key=True),
    Column("key_number", ForeignKey("kms_keys.number", ondelete="CASCADE"), nullable=False),
)
Index("kms_aliases_by_key", kms_aliases.c.key_number)

# What ECR may do with a repository's key: two grants for each repository, whoever has the key.
kms_grants = Table(
    "kms_grants",
    metadata,
    Column("grant_id", String(128), primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("key_arn", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # By the owner of a key of the ring; a grant that is retired has no row.
    Column("is_revoked", Boolean, nullable=False),
)
Index("kms_grants_by_repository", kms_grants.c.repository_id)
Index("kms_grants_by_key", kms_grants.c.key_arn)

# A data key of a repository whose key is at a KMS: what is decrypted to see whether it may be read.
kms_data_keys = Table(
    "kms_data_keys",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("wrapped", Text, nullable=False),
)
