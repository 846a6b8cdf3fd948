"""Upstreams as a test has them: asked with little patience, and stopped when it ends."""

import threading

import pytest

from ecrsim.core.upstream.addresses import Addresses
from ecrsim.core.upstream.registry import Upstreams
from ecrsim.core.upstream.wire import Settings
from tests.core.upstream.fixtures import site, stack

__all__ = ["PATIENT", "site", "stack"]

#: Short, since the other side is a thread of this process.
PATIENT = Settings(connect_timeout=5, read_timeout=20, pause=0.001, patience=0.05)


@pytest.fixture
def waits():
    """The seconds that were waited for, none of which pass."""
    return []


@pytest.fixture
def ask(stack, waits):
    """The registry behind a URL: `ask(url)`, with credentials, further entries and other settings if need be."""

    def find(url, credentials=None, entries=None, network=False, **settings):
        stopping = threading.Event()
        upstreams = Upstreams(PATIENT._replace(**settings), lambda seconds: waits.append(seconds) or stopping.is_set())
        stack.callback(upstreams.close)
        addresses = Addresses({"registry.test": url, **(entries or {})}, network=network)
        found = upstreams.registry("registry.test", addresses, credentials)
        found.stopping = stopping  # type: ignore[attr-defined]  # for the test alone
        return found

    return find
