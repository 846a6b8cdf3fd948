"""Image scanning."""
