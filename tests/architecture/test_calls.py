"""Time, chance and the environment each have one door: `core/clock.py`, `core/ids.py` and `config.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import Source, sources

CLOCK = "ecrsim.core.clock"
IDS = "ecrsim.core.ids"
CONFIG = "ecrsim.config"

#: What is banned, itself and everything below it, and the one module that may have it.
DOORS = {
    "datetime.date.today": CLOCK,
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "sqlalchemy.func.current_timestamp": CLOCK,
    "sqlalchemy.func.now": CLOCK,
    "time.time": CLOCK,
    "time.time_ns": CLOCK,
    "os.urandom": IDS,
    "random": IDS,
    "secrets": IDS,
    "sqlalchemy.func.random": IDS,
    "uuid.uuid1": IDS,
    "uuid.uuid4": IDS,
    "os.environ": CONFIG,
    "os.getenv": CONFIG,
}


def names(tree: ast.Module) -> dict[str, str]:
    """What the imported names of a file stand for: `from time import time as now` gives now: time.time."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, known)
        return f"{owner}.{node.attr}" if owner else None
    return None


def wrong_doors(source: Source) -> Iterator[str]:
    known = names(source.tree)
    for node in source.nodes:
        used = dotted(node, known) if isinstance(node, ast.Name | ast.Attribute) else None
        for banned, door in DOORS.items():
            if used is not None and source.name != door and (used == banned or used.startswith(f"{banned}.")):
                yield source.at(node.lineno, f"uses {used}, which belongs to {door}")


def test_the_package_reads_time_chance_and_environment_in_one_place_each():
    assert [complaint for source in sources("ecrsim") for complaint in wrong_doors(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\nnow = time.time()",
        "from time import time\nnow = time()",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime as moment\nclock = moment.now",
        "from uuid import uuid4\nkey = uuid4()",
        "import random\nrandom.shuffle([])",
        "import secrets\nkey = secrets.token_hex()",
        "import os\nhome = os.environ['HOME']",
        "from os import environ\nhome = environ.get('HOME')",
        "from sqlalchemy import func\nnow = func.now()",
    ],
)
def test_a_wrong_door_is_seen(text: str):
    assert list(wrong_doors(Source("ecrsim.ecr.images.service", text)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CLOCK, "import time\nnow = time.time()"),
        (IDS, "import uuid\nkey = uuid.uuid4()"),
        ("ecrsim.server", "import time\nstarted = time.monotonic(), time.perf_counter()"),
        ("ecrsim.core.db", "from datetime import datetime\nwhen = datetime.fromtimestamp(0)"),
        ("ecrsim.core.db", "now = call.now\ntime = row.time"),
    ],
)
def test_the_right_door_passes(name: str, text: str):
    assert list(wrong_doors(Source(name, text))) == []
