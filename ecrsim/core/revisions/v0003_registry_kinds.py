"""A registry is of a kind: private or public. What there was belongs to private ones."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, String, Text, text

from ecrsim.core.migrations import has_table

revision, down_revision = "3", "2"

#: Tables whose rows got the kind of their registry behind the other columns, and the column's name there.
MARKED = {"events": "kind", "jobs": "registry_kind", "audit": "kind"}


def upgrade() -> None:
    connection = op.get_bind()
    for table, column in MARKED.items():
        if has_table(connection, table):
            op.add_column(table, Column(column, String(7), server_default="private", nullable=False))
    key_by_kind(
        "account_settings",
        Column("name", String(64), nullable=False),
        Column("value", Text, nullable=False),
        key="name",
    )
    key_by_kind("registry_policies", Column("policy_text", Text, nullable=False))
    key_by_kind(
        "pull_time_update_exclusions",
        Column("principal_arn", String(200), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        key="principal_arn",
    )


def key_by_kind(table: str, *columns: Column[Any], key: str | None = None) -> None:
    """Make the table anew with the kind in front of its key."""
    if not has_table(op.get_bind(), table):
        return
    anew = f"{table}_anew"
    op.create_table(
        anew,
        Column("kind", String(7), nullable=False),
        Column("registry_id", String(12), nullable=False),
        Column("region", String, nullable=False),
        *columns,
        PrimaryKeyConstraint("kind", "registry_id", "region", *filter(None, [key])),
    )
    names = ", ".join(["registry_id", "region", *(column.name for column in columns)])
    op.execute(text(f"INSERT INTO {anew} (kind, {names}) SELECT 'private', {names} FROM {table}"))  # noqa: S608
    op.drop_table(table)
    op.rename_table(anew, table)
