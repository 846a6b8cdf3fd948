"""What a bill has to know of the past: bytes that were stored and are not any more, and the facts of a bill."""
