"""An ecrsim in this process, without a socket, that every test finds empty.

One serves the whole session: emptying it takes half a millisecond, making another 40, and a boto3 client 100. What a
test sets by `configure` holds for that test.

The marks `recorded`, `documented` and `inferred` say how a behaviour of the service is known. Sentences say it by the
functions of the same names in `tests/answers.py`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.config import with_values
from ecrsim.contract import shape

PROVENANCE = {
    "recorded": "seen in an answer of the real service",
    "documented": "written in AWS's documentation or in the service model",
    "inferred": "our best reading of what the real service does",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in PROVENANCE.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.fixture(scope="session", autouse=True)
def _results_are_checked_in_full() -> Iterator[None]:
    shape.STRICT = True
    yield
    shape.STRICT = False


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Ecrsim]:
    with Ecrsim(socket=False) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _clients() -> dict[tuple[str, str | None, str | None], Any]:
    return {}


@pytest.fixture
def sim(_simulator: Ecrsim) -> Iterator[Ecrsim]:
    config = _simulator.runtime.config
    _simulator.reset()
    yield _simulator
    _simulator.runtime.config = config


@pytest.fixture
def configure(sim: Ecrsim) -> Callable[..., None]:
    """Change settings of `sim` until the test ends: `configure(quota_images=2)`."""

    def change(**settings: Any) -> None:
        sim.runtime.config = with_values(sim.runtime.config, **settings)

    return change


@pytest.fixture
def client(sim: Ecrsim, _clients: dict[tuple[str, str | None, str | None], Any]) -> Callable[..., Any]:
    """A boto3 client of `sim`: `client()`, `client(account="111111111111", region="eu-west-1")`."""

    def find(service: str = "ecr", *, region: str | None = None, account: str | None = None) -> Any:
        key = (service, region, account)
        if key not in _clients:
            _clients[key] = sim.client(service, region=region, account=account)
        return _clients[key]

    return find


@pytest.fixture
def ecr(client: Callable[..., Any]) -> Any:
    """The client of the default account and region."""
    return client()
