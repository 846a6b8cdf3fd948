"""The commands, run as a user runs them but in this process: exit status, standard output, standard error."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from ecrsim.cli import main
from ecrsim.config import Config, variable


class Finished(NamedTuple):
    status: str | int | None
    out: str
    err: str


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No setting of the developer's; a home and a data directory of the test's own."""
    for name in (*Config.__dataclass_fields__, "config"):
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@pytest.fixture
def run(capsys) -> Callable[..., Finished]:
    def run(*arguments: str) -> Finished:
        status: str | int | None
        try:
            status = main(arguments)
        except SystemExit as stopped:
            status = stopped.code
        return Finished(status, *capsys.readouterr())

    return run
