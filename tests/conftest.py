"""An ecrsim in this process, without a socket, that every test finds empty.

One serves the whole session: emptying it takes half a millisecond, making another 40, and a boto3 client 100. What a
test sets by `configure` holds for that test.

The marks `recorded`, `documented` and `inferred` say how a behaviour of the service is known. Sentences say it by the
functions of the same names in `tests/answers.py`. The marks `slow`, `crash` and `e2e` name what `scripts/test`
runs with `--all` only.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.config import with_values
from ecrsim.contract import shape
from tests.blob_store import BLOB_STORE, use_s3
from tests.engine import ENGINE, use_postgresql
from tests.fuzz import budget
from tests.postgresql import PROGRAMS, Cluster

PROVENANCE = {
    "recorded": "seen in an answer of the real service",
    "documented": "written in AWS's documentation or in the service model",
    "inferred": "our best reading of what the real service does",
}


ENGINES = {
    "sqlite": "about SQLite itself, or the file that it keeps; another engine skips it",
    "postgresql": "about PostgreSQL itself, with a server of the test's own",
}

STORES = {"files": "about the files of a directory; another blob store skips it"}

TIERS = {
    "slow": "takes more than a few seconds",
    "crash": "kills servers in the middle of their work, again and again",
    "e2e": "real clients against a server process: everything in tests/e2e",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in (PROVENANCE | TIERS | ENGINES | STORES).items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    # A shell that runs the tests in the background ignores Ctrl-C, and so would every process that they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if ENGINE == "postgresql":
        use_postgresql(config)
    if BLOB_STORE == "s3":
        use_s3(config)


def pytest_report_header() -> str:
    return f"engine: {ENGINE}, fuzzer: FUZZ_SEED={budget.SEED} FUZZ_REQUESTS={budget.REQUESTS}"


# Before pytest's own -m.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _E2E in item.path.parents:
            item.add_marker("e2e")
        if BLOB_STORE != "directory" and item.get_closest_marker("files"):
            item.add_marker(pytest.mark.skip(reason=f"about files; the blob store is {BLOB_STORE}"))
        if ENGINE != "sqlite" and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason=f"about SQLite itself; the engine is {ENGINE}"))


_E2E = Path(__file__).parent / "e2e"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed or logged, as text that pytest-xdist can send: without lone surrogates."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


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
def postgresql() -> Iterator[Cluster]:
    """A server for tests of PostgreSQL itself, whatever the engine of the run. Each makes a schema of its own."""
    if not PROGRAMS:
        assert not os.environ.get("E2E_REQUIRE_CLIENTS"), "PostgreSQL is missing"
        pytest.skip("there is no PostgreSQL on this machine")
    cluster = Cluster()
    yield cluster
    cluster.close()


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
