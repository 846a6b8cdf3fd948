"""From which version of the database which steps lead to the next.

A step is a statement, or a function of the connection where a statement has to look first. All steps of an upgrade run
in one transaction. Tables that are missing are made afterwards without being told, so a step expects none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, inspect

from ecrsim.core.sealing import seal_of

Step = str | Callable[[Connection], None]

#: Members of a target's settings that are secret, or may have a secret in them, as the URL of a webhook does.
TARGET_SECRETS = ("secret", "secret_access_key", "url", "endpoint_url", "queue_url")

#: Tables whose rows got the kind of their registry behind the other columns, and the column's name there.
_MARKED = {"events": "kind", "jobs": "registry_kind", "audit": "kind"}


class _Keyed(NamedTuple):
    """A table whose primary key begins with kind, account and region: the other columns, and the rest of the key."""

    columns: str
    names: str
    key: str


_KEYED = {
    "account_settings": _Keyed("name VARCHAR(64) NOT NULL, value TEXT NOT NULL", "name, value", ", name"),
    "registry_policies": _Keyed("policy_text TEXT NOT NULL", "policy_text", ""),
    "pull_time_update_exclusions": _Keyed(
        "principal_arn VARCHAR(200) NOT NULL, created_at BIGINT NOT NULL",
        "principal_arn, created_at",
        ", principal_arn",
    ),
}
_TEMPLATES = _Keyed(
    "prefix VARCHAR(256) NOT NULL, applied_for TEXT NOT NULL, description TEXT, "
    "encryption_configuration TEXT NOT NULL, resource_tags TEXT, image_tag_mutability VARCHAR NOT NULL, "
    "image_tag_mutability_exclusion_filters TEXT, "
    "repository_policy TEXT, lifecycle_policy TEXT, custom_role_arn TEXT, created_at BIGINT NOT NULL, "
    "updated_at BIGINT NOT NULL",
    "prefix, applied_for, description, encryption_configuration, resource_tags, image_tag_mutability, "
    "image_tag_mutability_exclusion_filters, repository_policy, lifecycle_policy, custom_role_arn, created_at, "
    "updated_at",
    ", prefix",
)


def _give_registries_a_kind(connection: Connection) -> None:
    present = set(inspect(connection).get_table_names())
    for table, column in _MARKED.items():
        if table in present:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(7) DEFAULT 'private' NOT NULL")
    for table, keyed in _KEYED.items():
        if table in present:
            _key_by_kind(connection, table, keyed)


def _key_by_kind(connection: Connection, table: str, keyed: _Keyed) -> None:
    """Make the table anew with the kind in front of its key; the rows it has belong to private registries."""
    connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_before")
    connection.exec_driver_sql(
        f"CREATE TABLE {table} (kind VARCHAR(7) NOT NULL, registry_id VARCHAR(12) NOT NULL, "
        f"region VARCHAR NOT NULL, {keyed.columns}, PRIMARY KEY (kind, registry_id, region{keyed.key}))"
    )
    connection.exec_driver_sql(
        f"INSERT INTO {table} (kind, registry_id, region, {keyed.names}) "  # noqa: S608 - names of ours
        f"SELECT 'private', registry_id, region, {keyed.names} FROM {table}_before"
    )
    connection.exec_driver_sql(f"DROP TABLE {table}_before")


def _give_templates_a_kind(connection: Connection) -> None:
    if "creation_templates" in inspect(connection).get_table_names():
        _key_by_kind(connection, "creation_templates", _TEMPLATES)


def _seal_secrets(connection: Connection) -> None:
    """Secrets stood in the clear: of access keys, of targets, and the keys of ecrsim itself."""
    seal, present = seal_of(connection), set(inspect(connection).get_table_names())
    if "access_keys" in present:
        for identity, secret in connection.exec_driver_sql("SELECT access_key_id, secret FROM access_keys").all():
            connection.exec_driver_sql(
                "UPDATE access_keys SET secret = ? WHERE access_key_id = ?",
                (seal.sealed(secret, "access_keys", identity), identity),
            )
    if "targets" in present:
        for name, settings in connection.exec_driver_sql("SELECT name, settings FROM targets").all():
            sealed = seal.sealed_members(orjson.loads(settings), TARGET_SECRETS, "targets", name)
            connection.exec_driver_sql(
                "UPDATE targets SET settings = ? WHERE name = ?", (orjson.dumps(sealed).decode(), name)
            )
    for name, value in connection.exec_driver_sql(
        "SELECT name, value FROM properties WHERE name IN ('secret:token', 'secret:download')"
    ).all():
        connection.exec_driver_sql(
            "UPDATE properties SET value = ? WHERE name = ?", (seal.sealed(value, "properties", name), name)
        )


def _give_jobs_a_lane(connection: Connection) -> None:
    if "jobs" in inspect(connection).get_table_names():
        connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN lane VARCHAR DEFAULT '' NOT NULL")
        connection.exec_driver_sql("DROP INDEX IF EXISTS jobs_by_time")
        connection.exec_driver_sql("CREATE INDEX jobs_by_lane ON jobs (lane, run_at, id) WHERE state = 'PENDING'")


#: Raised by one whenever a table changes. A data directory of another version is migrated or refused.
SCHEMA_VERSION = 6
MIGRATIONS: dict[int, tuple[Step, ...]] = {
    1: (),
    2: (_give_registries_a_kind,),
    3: (_seal_secrets,),
    4: (_give_templates_a_kind,),
    5: (_give_jobs_a_lane,),
}
