"""Repositories: their names, settings, mutability and resource tags."""
