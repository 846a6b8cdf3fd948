"""Numbers from outside have one door, which bounds them: `core/numbers.py`."""

from __future__ import annotations

import ast
import re

from tests.architecture.source import Source, sources

#: Where a request is read.
EDGES = re.compile(
    r"ecrsim\.(?:admin|controlplane|dataplane)(?:\..+)?|ecrsim\.core\.web|ecrsim\.ecr\.layers\.downloads"
)


def complaints(source: Source) -> list[str]:
    return [
        source.at(node.lineno, "reads a number without a bound: core/numbers.py does")
        for node in source.nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("int", "float")
    ]


def test_a_request_has_no_number_without_a_bound():
    looked_at = [source for source in sources("ecrsim") if EDGES.fullmatch(source.name)]
    assert len(looked_at) > 15
    assert [complaint for source in looked_at for complaint in complaints(source)] == []


def test_one_that_has_none_is_seen():
    assert complaints(Source("ecrsim.dataplane.blobs", "first = int(match[1])"))
    assert not complaints(Source("ecrsim.dataplane.blobs", "first = whole(match[1])\nnumbers: dict[str, int] = {}"))
