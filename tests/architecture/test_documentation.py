"""docs/configuration.md knows every setting, every command and every option."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from ecrsim.cli import make_parser
from ecrsim.config import Config, variable
from tests.architecture.source import ROOT


@pytest.fixture(scope="module")
def documentation() -> str:
    return (ROOT / "docs" / "configuration.md").read_text("utf-8")


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser of each command that can be given, `ecrsim tls ca` as well as `ecrsim serve`."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for part in group.choices.values():
            yield from commands(part)
    if not groups:
        yield parser


def test_every_setting_is_documented_by_its_variable(documentation: str):
    assert [knob.name for knob in fields(Config) if not re.search(rf"\b{variable(knob.name)}\b", documentation)] == []


def test_no_documented_setting_is_gone(documentation: str):
    known = {variable(knob.name) for knob in fields(Config)} | {"ECRSIM_CONFIG"}
    assert set(re.findall(r"\bECRSIM_[A-Z_]*[A-Z]\b", documentation)) - known == set()


def test_every_command_is_documented(documentation: str):
    names = [command.prog for command in commands(make_parser())]
    assert "ecrsim serve" in names
    assert [name for name in names if not re.search(rf"\b{name}\b", documentation)] == []


def test_every_option_is_documented(documentation: str):
    options = {
        option
        for command in commands(make_parser())
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-")
    }
    assert "--data-dir" in options
    assert {option for option in options - {"--help"} if not re.search(rf"{option}(?![\w-])", documentation)} == set()
