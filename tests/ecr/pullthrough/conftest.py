"""A cache whose upstreams are servers of this process."""

import pytest

from ecrsim import Ecrsim
from ecrsim.core.upstream.registry import Upstreams
from tests.core.upstream.conftest import PATIENT
from tests.core.upstream.fixtures import site, stack
from tests.ecr.pullthrough.caching import Cache

__all__ = ["site", "stack"]


@pytest.fixture
def cache(stack, site):
    """An ecrsim with a rule for an upstream: `cache(answer)`. Its settings besides."""

    def start(answer, name="quay.io", **settings):
        upstream = site(answer)
        entries = (f"{name}={upstream.url}", *settings.pop("upstream", ()))
        settings.setdefault("token_lifetime", 400 * 24 * 3600)
        sim = stack.enter_context(Ecrsim(socket=False, upstream=entries, **settings))
        sim.runtime.upstreams = Upstreams(PATIENT, lambda _: False)
        return Cache(sim, upstream, name)

    return start
