"""The repository of tests of the archive; others make their own."""

import pytest

from tests.ecr.images.archiving import NOW, ONE, TWO
from tests.pushing import create, push


@pytest.fixture
def repository(sim, ecr):
    """`app` with two images, at NOW. Its name, as operations take it."""
    sim.freeze(NOW.isoformat())
    create(ecr)
    push(ecr, "app", ONE, "v1", "latest")
    push(ecr, "app", TWO, "v2")
    return {"repositoryName": "app"}
