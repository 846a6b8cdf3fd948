"""Stops the shared ecrsims when the last test of the folder is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dataplane.wire import SIMS, World, shared_sim


@pytest.fixture(scope="package", autouse=True)
def _stop_shared_sims() -> Iterator[None]:
    yield
    SIMS.close()
    shared_sim.cache_clear()


@pytest.fixture
def world() -> World:
    """An account of its own, with the default settings."""
    return World(shared_sim(()))
