"""A cache reacts to what is asked for and not here."""

from __future__ import annotations

from ecrsim.core.misses import elsewhere
from ecrsim.ecr.pullthrough.fetching import look

elsewhere(look)
