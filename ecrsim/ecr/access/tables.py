"""Tables of access: who there is, with which keys; which policies repositories and registries have; what was asked."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from ecrsim.core.belonging import registry_columns
from ecrsim.core.columns import Json, metadata

# Users and roles. An account's root user needs no row.
principals = Table(
    "principals",
    metadata,
    Column("arn", Text, primary_key=True),
    Column("account", String(12), nullable=False),
    # user or role
    Column("kind", String(4), nullable=False),
    Column("name", Text, nullable=False),
    # [{"name": …, "document": {…}}], boundary and trust: one document or null.
    Column("policies", Json, nullable=False),
    Column("boundary", Json),
    Column("trust", Json),
    Column("tags", Json, nullable=False),
    Column("max_session", Integer, nullable=False),
)

# Long-lived keys of users, and keys of sessions, which expire.
access_keys = Table(
    "access_keys",
    metadata,
    Column("access_key_id", String(128), primary_key=True),
    # Sealed (`core/sealing.py`).
    Column("secret", Text, nullable=False),
    # The user or role that it is a key of; the root user's ARN for root.
    Column("owner", Text, nullable=False),
    # Of a session alone: its token, the ARN that it goes by, what limits it, its tags, when it ends.
    Column("session_token", Text),
    Column("session_arn", Text),
    Column("session_policies", Json),
    Column("session_tags", Json),
    Column("expires_at", BigInteger),
)
Index("access_keys_by_owner", access_keys.c.owner)

# Issuers of web identities: {"issuer": …, "audiences": […], "keys": JWKS}.
identity_providers = Table(
    "identity_providers",
    metadata,
    Column("arn", Text, primary_key=True),
    Column("issuer", Text, nullable=False, unique=True),
    Column("audiences", Json, nullable=False),
    Column("keys", Json, nullable=False),
)

repository_policies = Table(
    "repository_policies",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("policy_text", Text, nullable=False),
)

registry_policies = Table(
    "registry_policies",
    metadata,
    *registry_columns(),
    Column("policy_text", Text, nullable=False),
)
