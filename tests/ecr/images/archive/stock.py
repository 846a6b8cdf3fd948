"""What the tests of the archive begin with."""

from datetime import UTC, datetime

from ecrsim.testing import build_image

#: The instant at which the clock stands still.
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE, TWO = build_image(b"one", config=b"first"), build_image(b"two", config=b"second")
