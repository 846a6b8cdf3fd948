"""What tests of the archive begin with: an instant, and two images in a repository."""

from datetime import UTC, datetime

from ecrsim.testing import build_image

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE, TWO = build_image(b"one", config=b"first"), build_image(b"two", config=b"second")
