"""Fixtures for pytest, found by being installed: an ecrsim on a free port, empty at the start of each test.

One server serves the whole session and forgets everything between two tests. The plugin is loaded in every test run of
every project that has ecrsim installed, so what it stands on is imported by the first test that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ecrsim.server import Ecrsim


@pytest.fixture(scope="session")
def _ecrsim_server() -> Iterator[Ecrsim]:
    # Imported on first use: 450 ms that test runs without these fixtures do not pay.
    from ecrsim.server import Ecrsim

    with Ecrsim() as server:
        yield server


@pytest.fixture
def ecrsim(_ecrsim_server: Ecrsim) -> Ecrsim:
    """A running `ecrsim.Ecrsim` without repositories, settings or uploads, its clock at the present."""
    _ecrsim_server.reset()
    return _ecrsim_server


@pytest.fixture
def ecr(ecrsim: Ecrsim) -> Any:
    """A boto3 client of ECR for the default account and region."""
    return ecrsim.client("ecr")


@pytest.fixture
def ecrsim_clock(ecrsim: Ecrsim) -> Ecrsim:
    """The same ecrsim with its clock stopped: `.now`, `.advance(days=1)`, `.freeze("2026-01-31T12:00:00Z")`."""
    ecrsim.freeze()
    return ecrsim


@pytest.fixture
def ecrsim_registry(ecrsim: Ecrsim) -> str:
    """host:port of the registry, as docker takes it."""
    return ecrsim.registry
