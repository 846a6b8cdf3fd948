"""Fixtures for pytest, found by being installed: an ecrsim on a free port, empty at the start of each test.

One server for each set of settings serves the whole session and forgets everything between two tests. The plugin is
loaded in every test run of every project that has ecrsim installed, so what it stands on is imported by the first test
that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ecrsim.server import Ecrsim

#: Variables of a developer's own AWS configuration that would win over those of `ecrsim_env`.
_IN_THE_WAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ENDPOINT_URL")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("ecrsim", "settings of the fixture ecrsim, one a line: account = 123456789012", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "ecrsim(**settings): settings of ecrsim for this test, beside those of the ini option ecrsim"
    )


@pytest.fixture(scope="session")
def _ecrsim_server(pytestconfig: pytest.Config) -> Iterator[Callable[[dict[str, Any]], Ecrsim]]:
    """The running server of these settings, started by the first who asks."""
    # Imported on first use: 450 ms that test runs without these fixtures do not pay.
    from ecrsim.config import ConfigError, parse_lines
    from ecrsim.server import Ecrsim

    try:
        common = parse_lines(pytestconfig.getini("ecrsim"))
    except ConfigError as error:
        raise pytest.UsageError(f"ini option ecrsim: {error}") from None
    running: dict[str, Ecrsim] = {}
    with ExitStack() as stack:

        def server(settings: dict[str, Any]) -> Ecrsim:
            wanted = common | settings
            for name in ("principals", "targets"):
                if wanted.get(name):
                    # A path is one from the folder of the ini file on, wherever pytest was called.
                    wanted[name] = str(pytestconfig.rootpath / Path(wanted[name]).expanduser())
            key = repr(sorted(wanted.items()))
            if key not in running:
                running[key] = stack.enter_context(Ecrsim(**wanted))
            return running[key]

        yield server


@pytest.fixture
def ecrsim(_ecrsim_server: Callable[[dict[str, Any]], Ecrsim], request: pytest.FixtureRequest) -> Ecrsim:
    """A running `ecrsim.Ecrsim` without repositories, settings or uploads, its clock at the present."""
    settings: dict[str, Any] = {}
    # The nearest mark comes first, and holds.
    for mark in reversed(list(request.node.iter_markers("ecrsim"))):
        if mark.args:
            raise pytest.UsageError("@pytest.mark.ecrsim takes settings by name: quota_images=3")
        settings |= mark.kwargs
    server = _ecrsim_server(settings)
    server.reset()
    return server


@pytest.fixture
def ecr(ecrsim: Ecrsim) -> Any:
    """A boto3 client of ECR for the default account and region."""
    return ecrsim.client("ecr")


@pytest.fixture
def ecrsim_env(ecrsim: Ecrsim, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of the environment that lead AWS's command line and SDKs to it are set; answers them."""
    for name in _IN_THE_WAY:
        monkeypatch.delenv(name, raising=False)
    for name, value in ecrsim.environment.items():
        monkeypatch.setenv(name, value)
    return ecrsim.environment


@pytest.fixture
def ecrsim_clock(ecrsim: Ecrsim) -> Ecrsim:
    """The same ecrsim with its clock stopped: `.now`, `.advance(days=1)`, `.freeze("2026-01-31T12:00:00Z")`."""
    ecrsim.freeze()
    return ecrsim


@pytest.fixture
def ecrsim_registry(ecrsim: Ecrsim) -> str:
    """host:port of the registry, as docker takes it."""
    return ecrsim.registry
