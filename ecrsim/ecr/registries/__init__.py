"""Registries: an account in a region, with its settings."""
