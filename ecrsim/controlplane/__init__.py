"""The JSON API: POST / with X-Amz-Target."""
