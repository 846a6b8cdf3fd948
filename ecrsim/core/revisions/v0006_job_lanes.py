"""A job that goes on for long without the database has a lane of its own."""

from alembic import op
from sqlalchemy import Column, String, text

from ecrsim.core.migrations import has_table

revision, down_revision = "6", "5"


def upgrade() -> None:
    if has_table(op.get_bind(), "jobs"):
        op.add_column("jobs", Column("lane", String, server_default="", nullable=False))
        op.drop_index("jobs_by_time", "jobs", if_exists=True)
        pending = text("state = 'PENDING'")
        op.create_index(
            "jobs_by_lane", "jobs", ["lane", "run_at", "id"], sqlite_where=pending, postgresql_where=pending
        )
