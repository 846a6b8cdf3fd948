"""An ecrsim with settings of the test's choice, and requests to it as a browser or a program would send them."""

from collections.abc import Callable, Iterator

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import Response, call_application


@pytest.fixture
def ask() -> Iterator[Callable[..., Response]]:
    """`ask("GET", "/_ecrsim/health", {"Origin": ...}, host="ecrsim.test", admin=False)`; the keywords are settings."""
    running: list[Ecrsim] = []

    def ask(method, path, headers=None, host="localhost:5100", body=b"", **settings):
        if not running:
            if "listens_on" in settings:
                settings["host"] = settings.pop("listens_on")
            running.append(Ecrsim(socket=False, **settings).start())
        return call_application(running[0].app, method, f"http://{host}{path}", headers or {}, body)

    yield ask
    for sim in running:
        sim.stop()
