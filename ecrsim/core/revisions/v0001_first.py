"""The first version."""

revision, down_revision = "1", None


def upgrade() -> None:
    """Nothing comes before it."""
