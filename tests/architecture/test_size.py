"""Files and functions that a reader can hold in the head, with names that say what is in them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.architecture.source import ROOT, Source, sources

FILE_LINES = {"ecrsim": 400, "scripts": 400, "tests": 600}
FUNCTION_LINES = 70
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "misc"}

everywhere = pytest.mark.parametrize("folder", FILE_LINES)


def long_functions(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield source.at(node.lineno, f"{node.name} has {lines} lines")


@everywhere
def test_no_file_is_too_long(folder: str):
    longest = FILE_LINES[folder]
    assert {each.name: len(each.lines) for each in sources(folder) if len(each.lines) > longest} == {}


@everywhere
def test_no_function_is_too_long(folder: str):
    assert [complaint for source in sources(folder) for complaint in long_functions(source)] == []


def test_a_long_function_is_seen():
    body = "    pass\n" * FUNCTION_LINES
    assert list(long_functions(Source("ecrsim.cli", f"class C:\n  def serve():\n{body}")))
    assert not list(long_functions(Source("ecrsim.cli", f"def serve():\n{body}".removesuffix("    pass\n"))))


@everywhere
def test_every_name_says_something(folder: str):
    assert [path for path in (ROOT / folder).rglob("*") if path.stem in EMPTY_NAMES] == []


def test_no_two_classes_of_the_package_share_a_name():
    """One name for one thing: who reads it in another file looks for it in one place. Those of one file alone may."""
    found = Counter(
        node.name
        for source in sources("ecrsim")
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert len(found) > 300
    assert [name for name, number in found.items() if number > 1] == []
