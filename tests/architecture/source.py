"""The source of the project as trees: what the tests of this folder look at. Nothing here imports what it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Source:
    """One Python file: its dotted name, its lines and its tree."""

    def __init__(self, name: str, text: str, *, package: bool = False) -> None:
        self.name = name
        self.parts = name.split(".")
        self.package = name if package else name.rpartition(".")[0]
        self.lines = text.splitlines()
        self._text = text

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self._text, self.name)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    def at(self, line: int, complaint: str) -> str:
        return f"{self.name}:{line} {complaint}"


class Import(NamedTuple):
    """`from ecrsim.core import ids` and `import ecrsim.core.ids` both have the target `ecrsim.core.ids`."""

    target: str
    line: int

    @property
    def parts(self) -> list[str]:
        return self.target.split(".")


def imports(source: Source) -> Iterator[Import]:
    """Every import, wherever in the file it stands, relative ones made absolute."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = source.package.split(".")[: len(source.package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno)


@cache
def sources(folder: str) -> tuple[Source, ...]:
    """The Python files under one folder of the project."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        package = parts[-1] == "__init__"
        found.append(Source(".".join(parts[:-1] if package else parts), path.read_text("utf-8"), package=package))
    return tuple(found)
