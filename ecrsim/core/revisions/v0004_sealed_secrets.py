"""Secrets stood in the clear: of access keys, of targets, and the keys of ecrsim itself."""

import orjson
from alembic import op
from sqlalchemy import text

from ecrsim.core.migrations import has_table
from ecrsim.core.sealing import seal_of

revision, down_revision = "4", "3"

#: Members of a target's settings that are secret, or may have a secret in them, as the URL of a webhook does.
TARGET_SECRETS = ("secret", "secret_access_key", "url", "endpoint_url", "queue_url")


def upgrade() -> None:
    connection = op.get_bind()
    seal = seal_of(connection)
    if has_table(connection, "access_keys"):
        for name, secret in connection.execute(text("SELECT access_key_id, secret FROM access_keys")).all():
            connection.execute(
                text("UPDATE access_keys SET secret = :secret WHERE access_key_id = :name"),
                {"secret": seal.sealed(secret, "access_keys", name), "name": name},
            )
    if has_table(connection, "targets"):
        for name, settings in connection.execute(text("SELECT name, settings FROM targets")).all():
            sealed = seal.sealed_members(orjson.loads(settings), TARGET_SECRETS, "targets", name)
            connection.execute(
                text("UPDATE targets SET settings = :settings WHERE name = :name"),
                {"settings": orjson.dumps(sealed).decode(), "name": name},
            )
    own = text("SELECT name, value FROM properties WHERE name IN ('secret:token', 'secret:download')")
    for name, value in connection.execute(own).all():
        connection.execute(
            text("UPDATE properties SET value = :value WHERE name = :name"),
            {"value": seal.sealed(value, "properties", name), "name": name},
        )
