"""Tables that the first version lacked, which are made after all revisions."""

revision, down_revision = "2", "1"


def upgrade() -> None:
    """No table of the first version changed."""
