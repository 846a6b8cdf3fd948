"""Advisories that a test imports are gone after it."""

from collections.abc import Iterator

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.scanning.advisories import open_advisories


@pytest.fixture(autouse=True)
def _nothing_is_left(sim: Ecrsim) -> Iterator[None]:
    yield
    open_advisories(sim.runtime).remove("test")
