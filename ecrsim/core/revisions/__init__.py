"""Alembic's revisions, one for each version of the database: see CONTRIBUTING.md, "Change a table"."""
