"""The command, run as a user runs it but in this process, in a folder and an environment of the test's own."""

import io
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from ecrsim.cli import main
from ecrsim.config import Config, variable


class Outcome(NamedTuple):
    status: str | int | None
    out: str
    err: str


@pytest.fixture
def cost(capsys, monkeypatch, tmp_path) -> Callable[..., Outcome]:
    """`cost("--images", "-", stdin=b"...")`."""
    for name in (*Config.__dataclass_fields__, "config"):
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status: str | int | None
        try:
            status = main(["cost", *map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        return Outcome(status, *capsys.readouterr())

    return run
