"""A throw-away capability: it scans what is pushed, and nobody who was there before knows of it."""
