"""Servers of this process that are stopped with their test: what the tests of upstreams and of caches share."""

import contextlib

import pytest

from tests.core.upstream.servers import serving


@pytest.fixture
def stack():
    with contextlib.ExitStack() as found:
        yield found


@pytest.fixture
def site(stack):
    """Start a server: `site(answer)`."""
    return lambda answer, context=None: stack.enter_context(serving(answer, context))
