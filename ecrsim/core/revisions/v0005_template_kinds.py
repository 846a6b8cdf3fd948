"""Creation templates belong to a registry of a kind as well."""

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, String, Text, text

from ecrsim.core.migrations import has_table

revision, down_revision = "5", "4"

TABLE, ANEW = "creation_templates", "creation_templates_anew"


def upgrade() -> None:
    if not has_table(op.get_bind(), TABLE):
        return
    columns = (
        Column("registry_id", String(12), nullable=False),
        Column("region", String, nullable=False),
        Column("prefix", String(256), nullable=False),
        Column("applied_for", Text, nullable=False),
        Column("description", Text),
        Column("encryption_configuration", Text, nullable=False),
        Column("resource_tags", Text),
        Column("image_tag_mutability", String, nullable=False),
        Column("image_tag_mutability_exclusion_filters", Text),
        Column("repository_policy", Text),
        Column("lifecycle_policy", Text),
        Column("custom_role_arn", Text),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
    )
    key = PrimaryKeyConstraint("kind", "registry_id", "region", "prefix")
    op.create_table(ANEW, Column("kind", String(7), nullable=False), *columns, key)
    names = ", ".join(column.name for column in columns)
    op.execute(text(f"INSERT INTO {ANEW} (kind, {names}) SELECT 'private', {names} FROM {TABLE}"))  # noqa: S608
    op.drop_table(TABLE)
    op.rename_table(ANEW, TABLE)
