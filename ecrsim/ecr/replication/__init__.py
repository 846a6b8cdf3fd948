"""Replication: copies of what is pushed in other regions and accounts, deletions that follow, and backfills."""
