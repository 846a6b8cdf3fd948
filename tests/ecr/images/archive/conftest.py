"""A repository with two images at a clock that stands still."""

import pytest

from tests.ecr.images.archive.stock import NOW, ONE, TWO
from tests.pushing import create, push


@pytest.fixture
def repository(sim, ecr):
    """`app` with ONE as `v1` and `latest`, and TWO as `v2`."""
    sim.freeze(NOW.isoformat())
    create(ecr)
    push(ecr, "app", ONE, "v1", "latest")
    push(ecr, "app", TWO, "v2")
    return {"repositoryName": "app"}
